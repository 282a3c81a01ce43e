// Which deltas are worth making: from the releases that the fleet really runs, file by file. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/crypto/hash.h"
#include "common/package/manifest.h"
#include "server/store/control.h"
#include "server/store/devices.h"

namespace drover::deltas {

inline constexpr std::size_t kMostRun = 4;         // releases to start from; each costs one encoding a file
inline constexpr std::uint64_t kLeastFile = 4096;  // bytes; below it a request costs more than what it saves

struct Pair {
  crypto::Digest target, base;  // base: nothing() (chain.h) for the file packed
  std::uint64_t target_size = 0;

  bool operator==(const Pair&) const = default;
};

using ReleasesOfModel = std::map<std::string, store::ReleaseEntry, std::less<>>;

// The versions that devices may hold when they are to get `target`: the kMostRun most-run others (withdrawn ones too:
// their devices are those that must move), then the published one before it, which a fleet that is silent yet may run.
// `runs` has the most-run first.
std::vector<std::string> base_releases(const ReleasesOfModel& releases, std::string_view target,
                                       const std::vector<store::ReleaseCount>& runs);

// One for each file of `target` that `base` has under the same path with another content. None twice.
std::vector<Pair> pairs_of(const package::Manifest& base, const package::Manifest& target);

// One for each file of `target`, from nothing: for devices without an earlier version. None twice.
std::vector<Pair> packed_of(const package::Manifest& target);

}  // namespace drover::deltas
