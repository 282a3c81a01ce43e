// Every bound of the metadata client. A server that goes beyond one is refused with too_large.
#pragma once

#include <cstddef>
#include <cstdint>

namespace drover::tuf {

// Sizes and counts are those of python-tuf, so that a repository made for it is readable here.
inline constexpr std::uint64_t kMaxRootBytes = 512'000;
inline constexpr std::uint64_t kMaxTimestampBytes = 16'384;
inline constexpr std::uint64_t kMaxSnapshotBytes = 2'000'000;
inline constexpr std::uint64_t kMaxTargetsBytes = 5'000'000;
inline constexpr std::int64_t kMaxAssignmentVersion = (std::int64_t{1} << 53) - 1;  // what every JSON reader can hold
inline constexpr std::uint64_t kMaxAssignmentBytes = 262'144;  // 32 models with room to spare
inline constexpr int kMaxRootRotations = 256;                  // new roots taken in one refresh
inline constexpr int kMaxDelegations = 32;                     // roles visited in one search
inline constexpr std::size_t kMaxSignatures = 64;              // of one file
inline constexpr std::size_t kMaxKeys = 1024;                  // of one file; one model role has a handful
inline constexpr std::size_t kMaxRoleKeys = 64;
inline constexpr std::size_t kMaxDelegatedRoles = 4096;  // models of one fleet
inline constexpr std::size_t kMaxListedRoles = 32'768;   // in a snapshot: 4096 models, or 15 bits of hash bins
inline constexpr int kMaxBinBits = 32;                   // as TAP 15 bounds them
inline constexpr std::size_t kMaxPaths = 256;            // patterns of one delegation
inline constexpr std::size_t kMaxTextLength = 1024;      // names, paths and key ids
inline constexpr std::size_t kMaxKeyTextLength = 4096;   // a PEM key of 8192 bits has 1.4 KiB
inline constexpr std::size_t kMaxSignatureBytes = 1024;  // RSA 8192
inline constexpr std::size_t kMaxAssignedTargets = 64;   // models on one device

}  // namespace drover::tuf
