// What publishing a model role's new metadata does to the releases of that model, and what it may not do. Pure: the
// signatures, versions and expiry are common/tuf's, the blobs the store's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace drover::release {

inline constexpr std::size_t kMaxReleases =
    1000;                                     // of one model in one metadata file: it stays below the client's limit
inline constexpr std::size_t kMaxKinds = 64;  // variants of one release
inline constexpr std::int64_t kMaxCounter = 1'000'000'000;

// [a-z0-9][a-z0-9._-]{0,63}, and none of TUF's and ours: root, targets, snapshot, timestamp, director.
bool is_model_name(std::string_view name);
// [A-Za-z0-9][A-Za-z0-9._+-]{0,63}
bool is_release_version(std::string_view version);
// [a-z0-9][a-z0-9._-]{0,63}
bool is_kind(std::string_view kind);

// One target of a model role: "<model>/<version>".
struct Listed {
  std::string version;
  std::int64_t length = 0;
  std::string sha256;  // 64 hexadecimal digits, of the release's index
  std::int64_t release_counter = 0;
  std::vector<std::string> kinds;

  bool operator==(const Listed&) const = default;
};

// Splits a target path of this model's role; target_mismatch for another model's, malformed for no valid name.
Result<std::string> version_of_path(std::string_view model, std::string_view path);

struct Changes {
  std::vector<Listed> added;           // never seen before: check their blobs, publish them
  std::vector<Listed> reinstated;      // were withdrawn, are listed again, the same bytes
  std::vector<Listed> raised;          // the same bytes with a higher release counter: signed anew
  std::vector<std::string> withdrawn;  // versions listed before and no longer

  bool empty() const { return added.empty() && reinstated.empty() && raised.empty() && withdrawn.empty(); }
};

// `before`: what the role lists now; `withdrawn`: what it listed once and no longer (a release that was withdrawn is
// remembered for ever); `after`: what it is to list. Rules:
//  - a version names the same bytes and kinds for ever, withdrawn or not (already_exists)
//  - its release counter never falls (counter_below_floor)
//  - a new version's counter is not below the highest of any release of this model, withdrawn ones included: devices
//  that
//    ran that one would refuse it (counter_below_floor)
//  - names, digests, kinds and counters have their form; no version twice; bounds (invalid_argument, too_large)
Result<Changes> plan_publication(const std::vector<Listed>& before, const std::vector<Listed>& withdrawn,
                                 const std::vector<Listed>& after);

}  // namespace drover::release
