// Blobs by digest, and uploads on their way to become one. Behind it stands a folder today; a bucket fits as well.
// All calls block on the disk; thread-safe for different uploads (the caller keeps one upload to one call at a time).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/hash.h"

namespace drover::store {

class Blobs {
 public:
  virtual ~Blobs() = default;

  // The size of a blob that is there: complete and verified. Nothing when it is not.
  virtual std::optional<std::uint64_t> size(const crypto::Digest& digest) const = 0;
  // A local file with its bytes, immutable; meaningful when size() said that it is there.
  virtual std::filesystem::path path(const crypto::Digest& digest) const = 0;
  // A whole small blob; not_found, too_large.
  virtual Result<Bytes> read(const crypto::Digest& digest, std::uint64_t limit) const = 0;

  // Writes at `offset`, dropping what stands behind it. disk_full, io.
  virtual Status append(std::string_view upload, std::uint64_t offset, std::string_view bytes) = 0;
  // What was appended is on disk for good when it returns ok.
  virtual Status sync(std::string_view upload) = 0;
  // Size and digest as announced, then it becomes the blob, for good. size_mismatch, digest_mismatch: it is dropped.
  // A blob that is there already stays as it is.
  virtual Status finish(std::string_view upload, const crypto::Digest& digest, std::uint64_t size) = 0;
  virtual void drop(std::string_view upload) = 0;
};

// <folder>/sha256/<first two digits>/<digits>, and <folder>/uploads/<id>. Makes the folders.
Result<std::unique_ptr<Blobs>> open_blob_folder(const std::filesystem::path& folder);

}  // namespace drover::store
