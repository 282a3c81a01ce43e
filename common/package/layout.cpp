#include "common/package/layout.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/package/document_impl.h"
#include "common/package/layout_impl.h"
#include "common/package/policy.h"

namespace drover::package {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::string_view kLayoutFile = "oci-layout";
constexpr std::string_view kIndexFile = "index.json";
constexpr std::string_view kLayoutVersion = "1.0.0";
constexpr std::size_t kMaxListedReleases = 1000;  // of one layout

Status check_marker(const fs::path& folder) {
  TRY_ASSIGN(const Bytes bytes, read_small_file(folder / kLayoutFile, kMaxName));
  TRY_ASSIGN(json::Value document, json::parse(as_text(bytes), kMaxName));
  json::Reader in(document);
  in.allow_unknown();
  const std::string version = in.text("imageLayoutVersion", 32);
  TRY(in.finish());
  if (version != kLayoutVersion) return Error(Code::unsupported, "an OCI layout of version " + version);
  return {};
}

Status make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder / "blobs" / "sha256", error);
  if (error)
    return Error(error == std::errc::no_space_on_device ? Code::disk_full : Code::io,
                 folder.string() + ": " + error.message());
  return {};
}

Result<std::vector<Descriptor>> read_listed(const fs::path& folder) {
  TRY_ASSIGN(const Bytes bytes, read_small_file(folder / kIndexFile, kMaxDocumentBytes));
  TRY_ASSIGN(json::Value document, json::parse(as_text(bytes), kMaxDocumentBytes));
  json::Reader in(document);
  in.allow_unknown();
  std::vector<Descriptor> listed;
  in.array("manifests", kMaxListedReleases, [&](json::Reader& item) { listed.push_back(read_descriptor(item)); });
  TRY(in.finish());
  return listed;
}

Json listed_json(const Descriptor& descriptor) {
  return {{"mediaType", descriptor.media_type},
          {"digest", descriptor.digest.text()},
          {"size", descriptor.size},
          {"annotations", descriptor.annotations}};
}

std::string_view layer_type(const PackagePolicy& policy, const std::string& path) {
  const auto& golden = policy.validation.golden;
  if (path == policy.model_file) return kWeightLayer;
  if (golden && (path == golden->inputs || path == golden->outputs || path == golden->labels)) return kDatasetLayer;
  const auto ends = [&](std::string_view suffix) { return std::string_view(path).ends_with(suffix); };
  if (ends(".json") || ends(".txt") || ends(".yaml") || ends(".yml")) return kWeightConfigLayer;
  return ends(".md") ? kDocLayer : kWeightLayer;
}

Result<Descriptor> store_document(Layout& layout, std::string_view media_type, const std::string& text) {
  if (text.size() > kMaxDocumentBytes) return Error(Code::too_large, "a document of more than 4 MiB");
  TRY_ASSIGN(const crypto::HashedFile stored, layout.add_blob(as_bytes(text)));
  Descriptor descriptor;
  descriptor.media_type = media_type;
  descriptor.digest = stored.digest;
  descriptor.size = stored.size;
  return descriptor;
}

Result<PackagePolicy> check_folder(const fs::path& folder, const std::vector<FoundFile>& files) {
  auto text = read_small_file(folder / kPolicyFile, kMaxPolicyBytes);
  if (!text && text.error().code() == Code::not_found)
    return Error(Code::invalid_argument, folder.string() + " holds no drover.json (the package policy)");
  TRY_ASSIGN(const Bytes bytes, std::move(text));
  TRY(check_policy_files(bytes, files).within(folder.string()));
  return parse_policy(bytes);
}

Status check_names(const VariantSpec& spec) {
  if (!is_kind(spec.kind))
    return Error(Code::invalid_argument,
                 "\"" + spec.kind + "\" is not a kind of device (lower-case letters, digits, \".\", \"_\", \"-\")");
  if (spec.architecture.empty())
    return Error(Code::invalid_argument, "the variant for " + spec.kind + " needs an architecture");
  return {};
}

}  // namespace

Result<Layout> Layout::create(const fs::path& folder) {
  TRY(make_folders(folder));
  std::error_code error;
  if (!fs::exists(folder / kLayoutFile, error))
    TRY(write_small_file(folder / kLayoutFile, Json{{"imageLayoutVersion", kLayoutVersion}}.dump()));
  if (!fs::exists(folder / kIndexFile, error))
    TRY(write_small_file(folder / kIndexFile,
                         Json{{"schemaVersion", 2}, {"mediaType", kIndexType}, {"manifests", Json::array()}}.dump()));
  return open(folder);
}

Result<Layout> Layout::open(const fs::path& folder) {
  TRY(check_marker(folder).within(folder.string() + " is not an OCI layout"));
  return Layout(folder);
}

fs::path Layout::blob_path(const crypto::Digest& digest) const { return folder_ / "blobs" / "sha256" / digest.hex(); }

bool Layout::has_blob(const crypto::Digest& digest) const {
  std::error_code error;
  return fs::symlink_status(blob_path(digest), error).type() == fs::file_type::regular;
}

Result<crypto::HashedFile> Layout::add_blob(ByteView bytes) { return store_bytes(folder_ / "blobs" / "sha256", bytes); }
Result<crypto::HashedFile> Layout::add_file(const fs::path& file) {
  return store_file(folder_ / "blobs" / "sha256", file);
}

Result<EncryptedBlob> Layout::add_encrypted(const fs::path& file, const crypto::ContentKey& key) {
  return store_encrypted(folder_ / "blobs" / "sha256", file, key);
}
Result<EncryptedBlob> Layout::add_encrypted(ByteView bytes, const crypto::ContentKey& key) {
  return store_encrypted(folder_ / "blobs" / "sha256", bytes, key);
}

Status Layout::read_encrypted(const File& file, const crypto::ContentKey& key, const crypto::StreamOut& out) const {
  if (!file.plain) return Error(Code::invalid_argument, file.path + " is not encrypted");
  crypto::StreamDecryptor decryptor(key, *file.plain, out);
  TRY(read_blocks(blob_path(file.digest), [&](ByteView part) { return decryptor.write(part); }).within(file.path));
  return decryptor.finish().within(file.path);
}

Result<Manifest> Layout::store_files(const std::vector<FoundFile>& files, const PackagePolicy& policy,
                                     const Encryption* encryption) {
  Manifest manifest;
  for (const FoundFile& found : files) {
    File file{found.path, {}, 0, std::string(layer_type(policy, found.path))};
    if (encryption != nullptr && found.path != kPolicyFile) {
      TRY_ASSIGN(const EncryptedBlob blob, add_encrypted(found.full, encryption->key));
      file.digest = blob.stored.digest;
      file.size = blob.stored.size;
      file.plain = blob.plain;
    } else {
      TRY_ASSIGN(const crypto::HashedFile stored, add_file(found.full));
      file.digest = stored.digest;
      file.size = stored.size;
    }
    manifest.files.push_back(std::move(file));
  }
  if (encryption == nullptr) return manifest;
  manifest.content_key = encryption->key.id();
  if (encryption->add_deltas) TRY(encryption->add_deltas(*this, manifest));
  return manifest;
}

Result<Variant> Layout::add_variant(const VariantSpec& spec, std::string_view model, std::string_view version,
                                    const Encryption* encryption) {
  TRY(check_names(spec));
  TRY_ASSIGN(const std::vector<FoundFile> files, list_files(spec.folder));
  TRY_ASSIGN(const PackagePolicy policy, check_folder(spec.folder, files));
  if (policy.confidential && encryption == nullptr)
    return Error(Code::invalid_argument, spec.folder.string() + ": drover.json says that this is confidential; "
                                         "build it encrypted, or take \"confidential\" out");
  TRY_ASSIGN(Manifest manifest, store_files(files, policy, encryption));
  manifest.annotations.insert(spec.annotations.begin(), spec.annotations.end());
  ModelConfig config{.name = std::string(model),
                     .version = std::string(version),
                     .architecture = {},
                     .format = policy.runtime,
                     .precision = spec.precision,
                     .layers = layer_digests(manifest)};
  TRY_ASSIGN(manifest.config, store_document(*this, kConfigType, print_config(config)));
  Variant variant{.descriptor = {},
                  .kind = spec.kind,
                  .architecture = spec.architecture,
                  .precision = spec.precision,
                  .runtime = spec.runtime,
                  .accelerator = spec.accelerator};
  TRY_ASSIGN(variant.descriptor, store_document(*this, kManifestType, print_manifest(manifest)));
  variant.descriptor.platform = Platform{.os = "linux", .architecture = spec.architecture, .variant = {}};
  return variant;
}

Result<StoredIndex> Layout::write_index(const Index& index) {
  const std::string text = print_index(index);
  TRY_ASSIGN(Index checked, parse_index(as_bytes(text)));
  TRY_ASSIGN(Descriptor descriptor, store_document(*this, kIndexType, text));
  descriptor.annotations = {{std::string(kRefName), checked.version}, {std::string(kModel), checked.model}};
  TRY_ASSIGN(const std::vector<Descriptor> listed, read_listed(folder_));
  Json manifests = Json::array();
  for (const Descriptor& other : listed)
    if (other.annotation(kRefName) != checked.version) manifests.push_back(listed_json(other));
  manifests.push_back(listed_json(descriptor));
  const Json top = {{"schemaVersion", 2}, {"mediaType", kIndexType}, {"manifests", std::move(manifests)}};
  TRY(write_small_file(folder_ / kIndexFile, top.dump()));
  return StoredIndex{descriptor.digest, descriptor.size, Bytes(text.begin(), text.end()), std::move(checked)};
}

Result<Bytes> Layout::read_blob(const crypto::Digest& digest, std::size_t limit) const {
  TRY_ASSIGN(Bytes bytes, read_small_file(blob_path(digest), limit));
  if (crypto::sha256(bytes) != digest)
    return Error(Code::digest_mismatch, "the blob " + digest.text() + " does not have the bytes that its name says");
  return bytes;
}

Result<StoredIndex> Layout::read_index(std::string_view version) const {
  TRY_ASSIGN(const std::vector<Descriptor> listed, read_listed(folder_).within(folder_.string()));
  const Descriptor* chosen = nullptr;
  for (const Descriptor& descriptor : listed) {
    if (!version.empty() && descriptor.annotation(kRefName) != version) continue;
    if (chosen != nullptr) return Error(Code::malformed, "index.json names several releases: say which version");
    chosen = &descriptor;
  }
  if (chosen == nullptr && version.empty()) return Error(Code::malformed, "index.json names no release");
  if (chosen == nullptr) return Error(Code::not_found, "the layout holds no version " + std::string(version));
  if (chosen->media_type != kIndexType)
    return Error(Code::unsupported, "index.json names a \"" + chosen->media_type + "\", not a release's index");
  TRY_ASSIGN(Bytes bytes, read_blob(chosen->digest));
  if (bytes.size() != chosen->size)
    return Error(Code::size_mismatch, "the release's index has another size than index.json says");
  TRY_ASSIGN(Index index, parse_index(bytes));
  return StoredIndex{chosen->digest, chosen->size, std::move(bytes), std::move(index)};
}

Result<Manifest> Layout::read_manifest(const Descriptor& descriptor) const {
  TRY_ASSIGN(const Bytes bytes, read_blob(descriptor.digest));
  if (bytes.size() != descriptor.size)
    return Error(Code::size_mismatch,
                 "the manifest " + descriptor.digest.text() + " has another size than the index says");
  return parse_manifest(bytes);
}

}  // namespace drover::package
