#include "common/package/manifest.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "common/package/document_impl.h"
#include "common/package/path_rules.h"
#include "common/package/policy.h"
#include "proto/json/reader.h"

namespace drover::package {
namespace {

constexpr std::size_t kKindLength = 64;
constexpr std::size_t kMaxLayers = 4 * kMaxFiles;  // with deltas from three earlier packages

Annotations read_annotations(json::Reader& in) {
  Annotations annotations;
  for (auto& [name, text] : in.text_map_or_none("annotations", kMaxAnnotations, kMaxName, kMaxAnnotationLength))
    annotations[name] = std::move(text);
  return annotations;
}

Status check_head(json::Reader& in, std::string_view media_type) {
  const auto schema = in.integer("schemaVersion", 0, INT32_MAX);
  const std::string type = in.text_or("mediaType", media_type, kMaxName);
  TRY(in.finish());
  if (schema != 2) return Error(Code::unsupported, "/schemaVersion: must be 2");
  if (type != media_type)
    return Error(Code::unsupported,
                 "/mediaType: is \"" + type + "\" where \"" + std::string(media_type) + "\" is needed");
  return {};
}

// A layer that is compressed or a tar cannot be one file as it is.
bool is_raw_layer(std::string_view media_type) {
  return media_type.starts_with("application/vnd.cncf.model.") && media_type.ends_with(".v1.raw");
}

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

Result<crypto::PlainDigest> read_plain_digest(const Descriptor& layer) {
  const auto raw = from_hex(layer.annotation(kPlainDigest));
  crypto::PlainDigest digest{};
  if (!raw || raw->size() != digest.size())
    return Error(Code::malformed, "an encrypted layer needs 64 hexadecimal digits in " + std::string(kPlainDigest));
  std::copy(raw->begin(), raw->end(), digest.begin());
  return digest;
}

Result<crypto::PlainFile> read_plain(const Descriptor& layer) {
  const std::string_view stream = layer.annotation(kEncryption);
  if (stream != kStreamName)
    return Error(Code::unsupported, "a layer is encrypted as " + quoted(stream) + " where " + quoted(kStreamName) +
                                        " is understood");
  crypto::PlainFile plain;
  TRY_ASSIGN(plain.digest, read_plain_digest(layer));
  const std::string_view size = layer.annotation(kPlainSize);
  const auto [end, fault] = std::from_chars(size.data(), size.data() + size.size(), plain.size);
  if (fault != std::errc() || end != size.data() + size.size() || plain.size > kMaxFileBytes)
    return Error(Code::malformed, "an encrypted layer has no size in " + std::string(kPlainSize));
  if (crypto::encrypted_size(plain.size) != layer.size)
    return Error(Code::malformed, "an encrypted layer has " + std::to_string(layer.size) + " bytes, and its content of " +
                                      std::string(size) + " takes " +
                                      std::to_string(crypto::encrypted_size(plain.size)));
  return plain;
}

Status add_delta(Manifest& manifest, const Descriptor& layer) {
  DeltaFile delta;
  TRY_ASSIGN(delta.plain, read_plain(layer));
  TRY_ASSIGN(delta.base, crypto::Digest::parse(layer.annotation(kDeltaBase)).within(kDeltaBase));
  TRY_ASSIGN(delta.target, crypto::Digest::parse(layer.annotation(kDeltaTarget)).within(kDeltaTarget));
  delta.digest = layer.digest;
  delta.size = layer.size;
  manifest.deltas.push_back(delta);
  return {};
}

Status add_file(Manifest& manifest, PathSet& paths, Descriptor&& layer) {
  if (layer.media_type == kDeltaLayer) return add_delta(manifest, layer);
  const auto path = layer.annotations.find(kFilePath);
  if (path == layer.annotations.end())
    return Error(Code::malformed, "a layer has no annotation " + std::string(kFilePath));
  const bool encrypted = layer.media_type.ends_with(kEncryptedSuffix);
  std::string type = layer.media_type.substr(0, layer.media_type.size() - (encrypted ? kEncryptedSuffix.size() : 0));
  if (!is_raw_layer(type))
    return Error(Code::unsupported, "a layer of type \"" + layer.media_type + "\" where raw files are needed");
  TRY(paths.add(path->second));
  File file{path->second, layer.digest, layer.size, std::move(type)};
  if (encrypted) {
    TRY_ASSIGN(file.plain, read_plain(layer).within(file.path));
  }
  manifest.files.push_back(std::move(file));
  return {};
}

bool is_key_id(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// What must hold between the manifest, its files and its deltas.
Status check_confidential(Manifest& manifest) {
  const auto id = manifest.annotations.find(kContentKey);
  if (id != manifest.annotations.end()) manifest.content_key = id->second;
  const bool encrypted = std::ranges::any_of(manifest.files, [](const File& file) { return file.plain.has_value(); });
  if (encrypted != manifest.confidential() || (encrypted && !is_key_id(manifest.content_key)))
    return Error(Code::malformed, "encrypted layers and the annotation " + std::string(kContentKey) +
                                      " (64 hexadecimal digits) go together");
  if (const File* policy = manifest.file(kPolicyFile); policy != nullptr && policy->plain)
    return Error(Code::malformed, std::string(kPolicyFile) + " is encrypted: nobody could read how to check the package");
  const auto known = [&](const crypto::Digest& digest) {
    return std::ranges::any_of(manifest.files,
                               [&](const File& file) { return file.digest == digest && file.plain.has_value(); });
  };
  for (const DeltaFile& delta : manifest.deltas)
    if (!known(delta.target)) return Error(Code::malformed, "a delta makes a file that the package does not have");
  return {};
}

Result<Variant> make_variant(Descriptor&& descriptor) {
  Variant variant;
  variant.kind = descriptor.annotation(kKind);
  variant.precision = descriptor.annotation(kPrecision);
  variant.runtime = descriptor.annotation(kRuntime);
  variant.accelerator = descriptor.annotation(kAccelerator);
  if (!is_kind(variant.kind)) return Error(Code::malformed, "a variant has no valid annotation " + std::string(kKind));
  if (!descriptor.platform) return Error(Code::malformed, "the variant for " + variant.kind + " has no platform");
  if (descriptor.media_type != kManifestType)
    return Error(Code::unsupported,
                 "the variant for " + variant.kind + " is of type \"" + descriptor.media_type + "\"");
  if (descriptor.size > kMaxDocumentBytes)
    return Error(Code::too_large, "the manifest of the variant for " + variant.kind + " is over 4 MiB");
  variant.architecture = descriptor.platform->architecture;
  variant.descriptor = std::move(descriptor);
  return variant;
}

Status add_variant(Index& index, Descriptor&& descriptor) {
  TRY_ASSIGN(Variant variant, make_variant(std::move(descriptor)));
  if (index.variant(variant.kind) != nullptr)
    return Error(Code::malformed, "two variants for the kind " + variant.kind);
  index.variants.push_back(std::move(variant));
  return {};
}

std::vector<Descriptor> read_list(json::Reader& in, std::string_view name, std::size_t max) {
  std::vector<Descriptor> list;
  in.array(name, max, [&](json::Reader& item) { list.push_back(read_descriptor(item)); });
  return list;
}

}  // namespace

bool is_kind(std::string_view text) {
  const auto lower = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= kKindLength && lower(text.front()) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return lower(c) || c == '.' || c == '_' || c == '-'; });
}

std::string_view Descriptor::annotation(std::string_view name) const {
  const auto found = annotations.find(name);
  return found == annotations.end() ? std::string_view() : std::string_view(found->second);
}

std::uint64_t Manifest::total_bytes() const {
  std::uint64_t total = 0;
  for (const File& file : files) total += file.size;
  return total;
}

std::uint64_t Manifest::content_bytes() const {
  std::uint64_t total = 0;
  for (const File& file : files) total += file.content_size();
  return total;
}

std::vector<crypto::Digest> layer_digests(const Manifest& manifest) {
  std::vector<crypto::Digest> digests;
  for (const File& file : manifest.files) digests.push_back(file.digest);
  for (const DeltaFile& delta : manifest.deltas) digests.push_back(delta.digest);
  return digests;
}

const DeltaFile* Manifest::delta(const crypto::Digest& target, const crypto::Digest& base) const {
  const auto found = std::ranges::find_if(
      deltas, [&](const DeltaFile& delta) { return delta.target == target && delta.base == base; });
  return found == deltas.end() ? nullptr : &*found;
}

const File* Manifest::file(std::string_view path) const {
  const auto found = std::find_if(files.begin(), files.end(), [&](const File& file) { return file.path == path; });
  return found == files.end() ? nullptr : &*found;
}

const Variant* Index::variant(std::string_view kind) const {
  const auto found = std::find_if(variants.begin(), variants.end(), [&](const Variant& v) { return v.kind == kind; });
  return found == variants.end() ? nullptr : &*found;
}

std::vector<std::string> Index::kinds() const {
  std::vector<std::string> kinds;
  for (const Variant& variant : variants) kinds.push_back(variant.kind);
  return kinds;
}

Descriptor read_descriptor(json::Reader& in) {
  Descriptor descriptor;
  descriptor.media_type = in.text("mediaType", kMaxName);
  const std::string digest = in.text("digest", kMaxName);
  descriptor.size = static_cast<std::uint64_t>(in.integer("size", 0, static_cast<std::int64_t>(kMaxFileBytes)));
  descriptor.artifact_type = in.text_or("artifactType", "", kMaxName);
  descriptor.annotations = read_annotations(in);
  in.object_or_none("platform", [&](json::Reader& platform) {
    descriptor.platform.emplace();
    descriptor.platform->os = platform.text("os", kMaxName);
    descriptor.platform->architecture = platform.text("architecture", kMaxName);
    descriptor.platform->variant = platform.text_or("variant", "", kMaxName);
  });
  auto parsed = crypto::Digest::parse(digest);
  if (parsed)
    descriptor.digest = *parsed;
  else
    in.fail("digest", parsed.error().message());
  return descriptor;
}

Result<Manifest> parse_manifest(ByteView bytes) {
  TRY_ASSIGN(json::Value document, json::parse(as_text(bytes), kMaxDocumentBytes));
  json::Reader in(document);
  in.allow_unknown();
  TRY(check_head(in, kManifestType));
  const std::string artifact = in.text_or("artifactType", "", kMaxName);
  Manifest manifest;
  in.object("config", [&](json::Reader& config) { manifest.config = read_descriptor(config); });
  manifest.annotations = read_annotations(in);
  std::vector<Descriptor> layers = read_list(in, "layers", kMaxLayers);
  TRY(in.finish());
  if (artifact != kArtifactType)
    return Error(Code::unsupported,
                 "/artifactType: is \"" + artifact + "\" where \"" + std::string(kArtifactType) + "\" is needed");
  if (manifest.config.media_type != kConfigType)
    return Error(Code::unsupported, "/config/mediaType: is \"" + manifest.config.media_type + "\"");
  PathSet paths;
  for (Descriptor& layer : layers) TRY(add_file(manifest, paths, std::move(layer)));
  if (manifest.files.empty()) return Error(Code::malformed, "/layers: a package without files");
  if (manifest.files.size() > kMaxFiles) return Error(Code::malformed, "/layers: more than 1000 files");
  TRY(check_confidential(manifest));
  return manifest;
}

Result<Index> parse_index(ByteView bytes) {
  TRY_ASSIGN(json::Value document, json::parse(as_text(bytes), kMaxDocumentBytes));
  json::Reader in(document);
  in.allow_unknown();
  TRY(check_head(in, kIndexType));
  Index index;
  index.annotations = read_annotations(in);
  std::vector<Descriptor> manifests = read_list(in, "manifests", kMaxVariants);
  TRY(in.finish());
  const auto take = [&](std::string_view name) {
    const auto found = index.annotations.find(name);
    return found == index.annotations.end() ? std::string() : found->second;
  };
  index.model = take(kModel);
  index.version = take(kVersion);
  if (index.model.empty() || index.version.empty())
    return Error(Code::malformed, "the index does not name its model and version (annotations " + std::string(kModel) +
                                      " and " + std::string(kVersion) + ")");
  for (Descriptor& manifest : manifests) TRY(add_variant(index, std::move(manifest)));
  if (index.variants.empty()) return Error(Code::malformed, "/manifests: a release without variants");
  return index;
}

Result<ModelConfig> parse_config(ByteView bytes) {
  TRY_ASSIGN(json::Value document, json::parse(as_text(bytes), kMaxDocumentBytes));
  json::Reader in(document);
  in.allow_unknown();
  ModelConfig config;
  in.object_or_none("descriptor", [&](json::Reader& descriptor) {
    config.name = descriptor.text_or("name", "", kMaxName);
    config.version = descriptor.text_or("version", "", kMaxName);
  });
  in.object_or_none("config", [&](json::Reader& network) {
    config.architecture = network.text_or("architecture", "", kMaxName);
    config.format = network.text_or("format", "", kMaxName);
    config.precision = network.text_or("precision", "", kMaxName);
  });
  std::vector<std::string> layers;
  in.object("modelfs", [&](json::Reader& files) { layers = files.texts_or_none("diffIds", kMaxLayers, kMaxName); });
  TRY(in.finish());
  for (const std::string& layer : layers) {
    TRY_ASSIGN(const crypto::Digest digest, crypto::Digest::parse(layer).within("/modelfs/diffIds"));
    config.layers.push_back(digest);
  }
  return config;
}

}  // namespace drover::package
