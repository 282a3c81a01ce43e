// Publishing signed metadata: checked as every device will check it (publication.h), stored, and listed by a new snapshot and
// timestamp, all in one transaction. The server signs these two with its online keys and holds no other.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/tuf/metadata.h"
#include "server/api/api.h"
#include "server/api/journey/publication.h"
#include "server/release/rules.h"
#include "server/store/store.h"

namespace drover::api {

// A release that the new metadata of a model role adds, with its blobs checked.
struct CheckedRelease {
  store::ReleaseRow row;
};

// Reads index, manifests and configs of a listed release and looks that every blob is there with its size. Blocks on the
// disk. not_found for a missing blob, and malformed, size_mismatch, target_mismatch.
Result<CheckedRelease> check_release(const store::Blobs& blobs, std::string_view model, const release::Listed& listed);

// What a model role's file lists; its form only.
Result<std::vector<release::Listed>> listed_releases(std::string_view model, const tuf::Targets& targets);

// Role to version, of what was published.
using PublishedVersions = std::map<std::string, std::int64_t>;

// Checks once more in the transaction, and stores the files. `checked` are the releases that they add (check_release).
Result<PublishedVersions> publish(const Api& api, store::Writer& writer, const Publication& publication,
                                  const std::vector<CheckedRelease>& checked, WallTime now);

// New snapshot and timestamp where half of their life has passed; true when something was signed. Does nothing before
// there is a targets role.
Result<bool> refresh_online_roles(const Api& api, store::Writer& writer, WallTime now);

}  // namespace drover::api
