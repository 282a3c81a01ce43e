// A release on disk as an OCI image layout: oci-layout, index.json (which names the release's index by digest) and
// blobs/sha256/<hex>. This is the part with I/O; files are copied and hashed in O(1) memory, blobs are written
// to a temporary name and renamed, so that a blob that exists is complete.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/content_key.h"
#include "common/crypto/file_stream.h"
#include "common/crypto/hash.h"
#include "common/package/manifest.h"

namespace drover::package {

struct FoundFile;
struct PackagePolicy;

// What a variant is made of and for.
struct VariantSpec {
  std::filesystem::path folder;  // its files; must hold drover.json
  std::string kind;
  std::string architecture;
  std::string precision;
  std::string runtime;
  std::string accelerator;
  Annotations annotations;  // of the package's manifest: how it was made
};

struct StoredIndex {
  crypto::Digest digest;
  std::uint64_t size = 0;
  Bytes bytes;  // what TUF signs the digest of
  Index index;
};

// A file as it is stored, encrypted, and what it was before.
struct EncryptedBlob {
  crypto::HashedFile stored;
  crypto::PlainFile plain;
};

class Layout;

// How a variant becomes confidential: every file of it but drover.json is stored encrypted.
struct Encryption {
  const crypto::ContentKey& key;
  // Called when the files are stored: may add deltas to the manifest. Empty: adds none.
  std::function<Status(Layout&, Manifest&)> add_deltas{};
};

class Layout {
 public:
  // Makes the folder and its skeleton; an existing layout is opened.
  static Result<Layout> create(const std::filesystem::path& folder);
  // not_found or malformed when it is none.
  static Result<Layout> open(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path blob_path(const crypto::Digest& digest) const;
  bool has_blob(const crypto::Digest& digest) const;

  // Hashes and stores every regular file of the folder. Symbolic links, devices, sockets and unsafe names are refused
  // (unsafe_path), as is a folder whose drover.json does not parse or names a missing file.
  // A drover.json that asks for a confidential package is refused without `encryption` (null: none).
  Result<Variant> add_variant(const VariantSpec& spec, std::string_view model, std::string_view version,
                              const Encryption* encryption = nullptr);
  // Writes the release's index and lets index.json name it (under the version).
  Result<StoredIndex> write_index(const Index& index);

  Result<crypto::HashedFile> add_blob(ByteView bytes);
  Result<crypto::HashedFile> add_file(const std::filesystem::path& file);
  Result<EncryptedBlob> add_encrypted(const std::filesystem::path& file, const crypto::ContentKey& key);
  Result<EncryptedBlob> add_encrypted(ByteView bytes, const crypto::ContentKey& key);
  // An encrypted file's content, piece by piece. unknown_key, digest_mismatch, not_found.
  Status read_encrypted(const File& file, const crypto::ContentKey& key, const crypto::StreamOut& out) const;
  // A small blob (manifest, index, config): digest and bound checked.
  Result<Bytes> read_blob(const crypto::Digest& digest, std::size_t limit = kMaxDocumentBytes) const;

  // The release that index.json names; malformed when it names none or several (not_found when `version` is given
  // and not there).
  Result<StoredIndex> read_index(std::string_view version = {}) const;
  Result<Manifest> read_manifest(const Descriptor& descriptor) const;

 private:
  explicit Layout(std::filesystem::path folder) : folder_(std::move(folder)) {}
  Result<Manifest> store_files(const std::vector<FoundFile>& files, const PackagePolicy& policy,
                               const Encryption* encryption);
  std::filesystem::path folder_;
};

// Every blob that a release needs, without doubles: index, manifests, configs, files.
struct BlobRef {
  crypto::Digest digest;
  std::uint64_t size = 0;
};
// In an order in which each blob comes after those that it names.
Result<std::vector<BlobRef>> release_blobs(const Layout& layout, const StoredIndex& index);

// Reads everything: every document parses, every blob is there with its size and digest. The first fault is named.
Status verify_layout(const Layout& layout, std::string_view version = {});

}  // namespace drover::package
