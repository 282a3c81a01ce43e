#include <set>

#include "common/package/layout.h"
#include "common/package/layout_impl.h"
#include "common/package/policy.h"

namespace drover::package {
namespace {

Status check_blob(const Layout& layout, const crypto::Digest& digest, std::uint64_t size) {
  TRY_ASSIGN(const crypto::HashedFile found, crypto::sha256_file(layout.blob_path(digest)));
  if (found.size != size)
    return Error(Code::size_mismatch, "the blob " + digest.text() + " has " + std::to_string(found.size) +
                                          " bytes where " + std::to_string(size) + " are listed");
  if (found.digest != digest)
    return Error(Code::digest_mismatch, "the blob " + digest.text() + " does not have the bytes that its name says");
  return {};
}

Status check_config(const Layout& layout, const Manifest& manifest) {
  TRY_ASSIGN(const Bytes bytes, layout.read_blob(manifest.config.digest));
  if (bytes.size() != manifest.config.size)
    return Error(Code::size_mismatch, "the config has another size than the manifest says");
  TRY_ASSIGN(const ModelConfig config, parse_config(bytes).within("config"));
  if (config.layers != layer_digests(manifest)) return Error(Code::malformed, "the config and the manifest list different layers");
  return {};
}

Status check_policy(const Layout& layout, const Manifest& manifest) {
  const File* policy = manifest.file(kPolicyFile);
  if (policy == nullptr) return Error(Code::malformed, "the package holds no drover.json");
  TRY_ASSIGN(const Bytes bytes, layout.read_blob(policy->digest, kMaxPolicyBytes));
  std::vector<FoundFile> files;
  for (const File& file : manifest.files) files.push_back({file.path, {}, file.content_size()});
  TRY(check_policy_files(bytes, files));
  TRY_ASSIGN(const PackagePolicy parsed, parse_policy(bytes));
  if (parsed.confidential && !manifest.confidential())
    return Error(Code::malformed, "drover.json says that the package is confidential, and it is not encrypted");
  return {};
}

Status check_variant(const Layout& layout, const Variant& variant) {
  TRY_ASSIGN(const Manifest manifest, layout.read_manifest(variant.descriptor));
  TRY(check_config(layout, manifest));
  for (const File& file : manifest.files) TRY(check_blob(layout, file.digest, file.size).within(file.path));
  for (const DeltaFile& delta : manifest.deltas) TRY(check_blob(layout, delta.digest, delta.size).within("a delta"));
  return check_policy(layout, manifest);
}

}  // namespace

Result<std::vector<BlobRef>> release_blobs(const Layout& layout, const StoredIndex& index) {
  std::vector<BlobRef> blobs;
  std::set<crypto::Digest> seen;
  const auto add = [&](const crypto::Digest& digest, std::uint64_t size) {
    if (seen.insert(digest).second) blobs.push_back({digest, size});
  };
  // Files first: whoever finds an index elsewhere finds all that it names.
  for (const Variant& variant : index.index.variants) {
    TRY_ASSIGN(const Manifest manifest, layout.read_manifest(variant.descriptor));
    for (const File& file : manifest.files) add(file.digest, file.size);
    for (const DeltaFile& delta : manifest.deltas) add(delta.digest, delta.size);
    add(manifest.config.digest, manifest.config.size);
    add(variant.descriptor.digest, variant.descriptor.size);
  }
  add(index.digest, index.size);
  return blobs;
}

Status verify_layout(const Layout& layout, std::string_view version) {
  TRY_ASSIGN(const StoredIndex index, layout.read_index(version));
  for (const Variant& variant : index.index.variants)
    TRY(check_variant(layout, variant).within("the variant for " + variant.kind));
  return {};
}

}  // namespace drover::package
