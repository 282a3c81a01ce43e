// Makes a file from a delta and the file that is there, on a thread of its own that lives as long as the work: decoding
// is computing, and the agent's one thread must go on hearing applications and the server.
//
// Memory: what the decoder needs (about 3 MiB) and two buffers; the base is mapped.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "common/base/result.h"
#include "common/fs/files.h"

namespace drover::agent {

struct Patch {
  std::string delta;          // file
  std::string base, target;   // digests, "sha256:<hex>"
  std::string base_file;
  std::string out;            // file; what is there is replaced, and on an error it is left for removal
  std::uint64_t size = 0;     // signed, of the target
};

// The bytes of `out` are durable and have the target's digest, as they were written. malformed, digest_mismatch and
// too_large: the delta or the base is damaged. not_found, io, disk_full; cancelled when `stop` says so.
// `files` must be one that several threads may use.
boost::asio::awaitable<Status> apply_patch(fs::Files& files, Patch patch, std::function<bool()> stop);

}  // namespace drover::agent
