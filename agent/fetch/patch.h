// Makes a file from a delta and the file that is there, in a child that can do little (drover-patch, agent/decoder):
// deltas come from a server that nobody needs to trust, so what reads them may crash, hang or be taken over, and all
// that this costs is the child. What it made counts only once its digest has been compared, by the caller.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "common/base/result.h"
#include "common/fs/files.h"
#include "common/process/process.h"

namespace drover::agent {

// Time that decoding may take: what any device manages, with room.
inline constexpr std::chrono::seconds kPatchGrace{60};
inline constexpr std::uint64_t kPatchLeastRate = 256 * 1024;  // bytes of the target a second
// Resident beyond the mapped base: the decoder needs at most 4 MiB, and C++ with its libraries as much again.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr std::uint64_t kPatchMemory = 1u << 30;  // and its shadow
#else
inline constexpr std::uint64_t kPatchMemory = 24u << 20;
#endif

struct Patch {
  std::string program;       // drover-patch
  std::string delta;         // file
  std::string base, target;  // digests, "sha256:<hex>"
  std::string base_file;
  std::string out;           // file; what is there is replaced, and on an error it is left for removal
  std::uint64_t size = 0;    // the most that the target may have
  std::chrono::milliseconds deadline{0};  // 0: by its size, as above
};

// The child says that the bytes of `out` are durable and have the target's digest. malformed: the delta is damaged, or the
// child ended in any other way; digest_mismatch, too_large: the delta or the base is damaged; not_found, io, disk_full;
// unsupported: there is no such program, or the kernel cannot confine it; unavailable: no process can be started now;
// cancelled when `stop` says so. `files` must outlive the call.
boost::asio::awaitable<Status> apply_patch(fs::Files& files, Patch patch, std::function<bool()> stop);

// What the child's end means.
Status judge_patch(const process::Outcome& outcome);
process::Spec patch_spec(const Patch& patch, std::uint64_t base_size);

}  // namespace drover::agent
