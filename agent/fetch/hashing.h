// SHA-256 of parts of large files without holding up the event loop: a block, then everybody else's turn.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <string>

#include "common/base/result.h"
#include "common/crypto/hash.h"
#include "common/fs/files.h"

namespace drover::agent {

inline constexpr std::size_t kHashBlock = 256 * 1024;  // some 200 microseconds of work on a small processor

// Digest of [offset, offset + length); size_mismatch when the file ends before. Stops with `cancelled` when `stop`
// (which may be empty) says so. `files` must outlive the call.
boost::asio::awaitable<Result<crypto::Digest>> hash_range(fs::Files& files, std::string path, std::uint64_t offset,
                                                          std::uint64_t length, fs::Cache cache,
                                                          std::function<bool()> stop);

// The whole file, read from the disk: size_mismatch, digest_mismatch, not_found.
boost::asio::awaitable<Status> check_file(fs::Files& files, std::string path, std::string digest, std::uint64_t size,
                                          std::function<bool()> stop);

}  // namespace drover::agent
