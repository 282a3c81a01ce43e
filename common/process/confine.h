// A process gives up, for good, nearly everything that it could do: for code that reads hostile input, once it has
// opened all that it needs. Afterwards it can compute, allocate within a bound, read and write descriptors it holds
// and end. Opening a file fails with EACCES; a socket, a process, a thread, executable memory or anything else that is
// not on the list ends the process with SIGSYS.
#pragma once

#include <cstdint>

#include "common/base/result.h"

namespace drover::process {

struct Confinement {
  // Address space beyond what is mapped now (RLIMIT_AS). Larger than what may become resident, since allocators reserve
  // more than they touch; allocation fails behind it.
  std::uint64_t more_address_space = 0;
  // Bytes to which a file that it holds open may grow (RLIMIT_FSIZE). Above 0 it may also take their room in advance
  // (fallocate) and make them durable (fsync); 0: it writes to pipes alone.
  std::uint64_t file_size = 0;
};

// Sets no_new_privs, Landlock (no file system at all; skipped where the kernel has none), resource limits and the
// seccomp allow-list, in this order. Cannot be undone. The process must have one thread: others would stay free.
// Errors: unsupported (the kernel refuses one of them: then nothing hostile may be read), io.
Status confine_self(const Confinement& confinement);

}  // namespace drover::process
