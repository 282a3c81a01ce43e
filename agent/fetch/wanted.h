// What a package needs, and what the device holds already that a delta could start from. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/package/manifest.h"

namespace drover::agent {

inline constexpr std::uint64_t kLeastDelta = 4096;  // bytes of a file; below it a request costs more than what it saves

// A delta that came with the release, between encrypted files.
struct SealedDelta {
  package::DeltaFile delta;
  package::File target, base;
  std::size_t held = 0;  // the base's package, in the list that was given
};

struct Wanted {
  std::string digest;  // "sha256:<hex>"
  std::uint64_t size = 0;
  std::vector<std::string> bases;  // "sha256:<hex>" of earlier files under the same path, the likeliest first
  bool encrypted = false;  // no server can make deltas of it
  std::optional<SealedDelta> sealed{};
};

// The files of a package in its order. `held`: packages whose files are on the disk, the likeliest base first.
std::vector<Wanted> wanted_files(const package::Manifest& manifest, std::span<const package::Manifest> held = {});

}  // namespace drover::agent
