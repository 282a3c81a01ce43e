// Metadata that people publish together: one file, or the files of a change that only makes sense as a whole (a key
// that leaves a role, and what that key had signed, signed anew). Looked at as every device will look at it, once all
// of it is there.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/tuf/metadata.h"
#include "server/api/online_keys.h"
#include "server/store/store.h"

namespace drover::api {

inline constexpr std::size_t kMaxPublishedFiles = 256;  // of one publication; a change of keys touches a handful
// Targets of the largest size, and what else one change touches; read before anybody knows who sends it.
inline constexpr std::size_t kMaxPublicationBody = 8u << 20;

struct SignedFile {
  std::string role;
  std::string bytes;
};

class Publication {
 public:
  // Puts the files in the order in which they vouch for each other: root, targets, models. invalid_argument for a role
  // that people do not sign, for one that stands twice, and for none at all.
  static Result<Publication> of(std::vector<SignedFile> files);

  const std::vector<SignedFile>& files() const { return files_; }
  const SignedFile* find(std::string_view role) const;

 private:
  std::vector<SignedFile> files_;
};

// Signatures, thresholds, versions (current + 1) and expiry of each file; that the server's own keys have their place;
// and that nothing which is published already loses the signatures that devices want of it (threshold_not_met, with
// what has to be signed anew in the same publication).
Status check_publication(const OnlineKeys& keys, const store::Metadata& stored, const Publication& publication,
                         WallTime now);

// The published root; conflict when there is none.
Result<tuf::Root> current_root(const store::Metadata& metadata);
// The form only.
Result<tuf::Root> root_of(std::string_view bytes);
Result<tuf::Targets> targets_of(std::string_view bytes);

}  // namespace drover::api
