// Makes a file from a delta and its base, as a process that can do nothing else: it opens the three files, confines
// itself (common/process/confine.h), and only then reads the first byte of the delta, which nobody has signed.
//
// Memory: what the decoder needs (at most 4 MiB) and two buffers; the base is mapped. A base that shrinks meanwhile ends the
// process with SIGBUS, a delta that has found a fault in the decoder ends it with some other signal: neither harms
// anybody else. Contract of the program: docs/reference/patch.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "common/base/result.h"
#include "common/crypto/hash.h"

namespace drover::decoder {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;   // stdout: "<name of the code> <sentence>"
inline constexpr int kExitUsage = 2;
inline constexpr int kExitConfine = 3;  // the kernel cannot confine it: nothing was read

struct Job {
  std::string delta;
  std::string base;  // empty: a delta without one
  std::string out;   // what is there is replaced
  std::optional<crypto::Digest> base_digest, target_digest;  // of what it must be for
  std::uint64_t size = 0;                                     // the most that is written
};

// --delta FILE --out FILE --size BYTES [--base FILE --base-digest D] [--target-digest D]
Result<Job> parse_job(std::span<const std::string> arguments);

// Once in a process, which must have one thread. The bytes of `out` are durable and have the target's digest.
// unsupported: it cannot be confined; otherwise the errors of delta::apply_delta and of files.
Status decode(const Job& job);

}  // namespace drover::decoder
