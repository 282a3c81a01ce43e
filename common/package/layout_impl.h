// Internal to this folder: files and folders of a layout.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/hash.h"
#include "common/package/layout.h"

namespace drover::package {

// A regular file of a model folder.
struct FoundFile {
  std::string path;  // within the folder, safe
  std::filesystem::path full;
  std::uint64_t size = 0;
};
// All regular files below `folder`, sorted by path. Anything else, unsafe or colliding names, two names of one file
// and more than kMaxFiles are refused (unsafe_path, too_large).
Result<std::vector<FoundFile>> list_files(const std::filesystem::path& folder);

// The whole of a small regular file; symbolic links are refused.
Result<Bytes> read_small_file(const std::filesystem::path& path, std::size_t limit);
// Temporary file, sync, rename.
Status write_small_file(const std::filesystem::path& path, std::string_view text);

// Copies while hashing, then renames to blobs/<digest>: what is stored under a digest is what was hashed.
Result<crypto::HashedFile> store_file(const std::filesystem::path& blobs, const std::filesystem::path& from);
Result<crypto::HashedFile> store_bytes(const std::filesystem::path& blobs, ByteView bytes);
// The same, encrypted; the file is read twice, and must not change between.
Result<EncryptedBlob> store_encrypted(const std::filesystem::path& blobs, const std::filesystem::path& from,
                                      const crypto::ContentKey& key);
Result<EncryptedBlob> store_encrypted(const std::filesystem::path& blobs, ByteView bytes,
                                      const crypto::ContentKey& key);
// A regular file from front to back, in blocks.
Status read_blocks(const std::filesystem::path& path, const crypto::StreamOut& out);

// Every file that drover.json names is among `files`, and the golden set has the sizes that it states.
Status check_policy_files(const Bytes& policy, const std::vector<FoundFile>& files);

}  // namespace drover::package
