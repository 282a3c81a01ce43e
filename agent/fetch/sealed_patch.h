// Makes an encrypted file from a delta that came with its release and an earlier file, without a plain byte on the disk:
// delta and base are decrypted as they are read, and the result is encrypted again as it is written, to the very bytes that
// were signed. On a thread of its own that lives as long as the work.
//
// In this process, unlike deltas that a server made: these are authenticated with a key that only who built the release and
// the device have, so that they are no more hostile than the model is.
// Memory: what the decoder needs (at most 4 MiB), and the base in the clear when it was not open.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/base/result.h"
#include "common/crypto/content_key.h"
#include "common/crypto/file_stream.h"
#include "common/fs/files.h"

namespace drover::agent {

struct SealedPatch {
  crypto::ContentKey key;                      // of delta and target
  std::optional<crypto::ContentKey> base_key;  // none: `base_file` is in the clear
  crypto::PlainFile delta, base, target;
  std::string delta_file, base_file;
  std::string out;  // what is there is replaced, and on an error it is left for removal
};

// The bytes of `out` are durable; whether they have the signed digest is for the caller to look. digest_mismatch, malformed
// and too_large: delta or base are damaged, or of another key. not_found, io, disk_full; cancelled when `stop` says so.
// `files` must be one that several threads may use.
boost::asio::awaitable<Status> apply_sealed_patch(fs::Files& files, std::shared_ptr<const SealedPatch> patch,
                                                  std::function<bool()> stop);

}  // namespace drover::agent
