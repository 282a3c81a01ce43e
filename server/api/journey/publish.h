// Publishing signed metadata: checked as every device will check it, stored, and listed by a new snapshot and timestamp, all in
// one transaction. The server signs these two with its online keys and holds no other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/tuf/metadata.h"
#include "server/api/api.h"
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

// Signatures, threshold, version (current + 1) and expiry, and that the server's own keys have their place.
Status check_metadata(const Api& api, const store::Metadata& metadata, std::string_view role, std::string_view bytes,
                      WallTime now);

// Checks the same again in the transaction, and stores the file. `checked` are the releases that it
// adds (check_release). Gives the version.
Result<std::int64_t> publish(const Api& api, store::Writer& writer, std::string_view role, std::string_view bytes,
                             const std::vector<CheckedRelease>& checked, WallTime now);

// New snapshot and timestamp where half of their life has passed. Does nothing before there is a targets role.
Status refresh_online_roles(const Api& api, store::Writer& writer, WallTime now);

}  // namespace drover::api
