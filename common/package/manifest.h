// Packages and releases as OCI documents, after the CNCF ModelPack specification: a package is an image manifest with
// one layer a file, a release is an image index with one entry a variant. Building and strict parsing; pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/file_stream.h"
#include "common/crypto/hash.h"

namespace drover::package {

inline constexpr std::string_view kIndexType = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kArtifactType = "application/vnd.cncf.model.manifest.v1+json";
inline constexpr std::string_view kConfigType = "application/vnd.cncf.model.config.v1+json";
inline constexpr std::string_view kWeightLayer = "application/vnd.cncf.model.weight.v1.raw";
inline constexpr std::string_view kWeightConfigLayer = "application/vnd.cncf.model.weight.config.v1.raw";
inline constexpr std::string_view kDatasetLayer = "application/vnd.cncf.model.dataset.v1.raw";
inline constexpr std::string_view kDocLayer = "application/vnd.cncf.model.doc.v1.raw";
inline constexpr std::string_view kFilePath = "org.cncf.model.filepath";
inline constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";
inline constexpr std::string_view kKind = "org.drover.kind";
inline constexpr std::string_view kPrecision = "org.drover.precision";
inline constexpr std::string_view kRuntime = "org.drover.runtime";
inline constexpr std::string_view kAccelerator = "org.drover.accelerator";
inline constexpr std::string_view kModel = "org.drover.model";
inline constexpr std::string_view kVersion = "org.drover.version";
// Of confidential packages (docs/formats/encryption.md).
inline constexpr std::string_view kContentKey = "org.drover.content-key";  // id of the key, on the manifest
inline constexpr std::string_view kEncryption = "org.drover.encryption";   // these: on an encrypted layer
inline constexpr std::string_view kPlainDigest = "org.drover.plain.digest";
inline constexpr std::string_view kPlainSize = "org.drover.plain.size";
inline constexpr std::string_view kDeltaBase = "org.drover.delta.base";
inline constexpr std::string_view kDeltaTarget = "org.drover.delta.target";
inline constexpr std::string_view kStreamName = "secretstream-v1";
inline constexpr std::string_view kEncryptedSuffix = "+encrypted";  // of a layer's type; an older agent does not know it
inline constexpr std::string_view kDeltaLayer = "application/vnd.drover.delta.v1+encrypted";

inline constexpr std::size_t kMaxDocumentBytes = 4u << 20;  // the distribution specification's bound for manifests
inline constexpr std::size_t kMaxFiles = 1000;              // of one package
inline constexpr std::size_t kMaxVariants = 256;            // of one release
inline constexpr std::size_t kMaxAnnotations = 64;
inline constexpr std::size_t kMaxAnnotationLength = 4096;
inline constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 40;  // 1 TiB: sums of 1000 stay within 63 bits

using Annotations = std::map<std::string, std::string, std::less<>>;

struct Platform {
  std::string os = "linux";
  std::string architecture;  // amd64, arm64, ...
  std::string variant;       // may be empty
};

struct Descriptor {
  std::string media_type;
  crypto::Digest digest;
  std::uint64_t size = 0;
  Annotations annotations;
  std::optional<Platform> platform;
  std::string artifact_type;

  // Empty when there is no such annotation.
  std::string_view annotation(std::string_view name) const;
};

// One file of a package.
struct File {
  std::string path;
  crypto::Digest digest;
  std::uint64_t size = 0;
  std::string media_type;  // without kEncryptedSuffix
  // What `digest` and `size` are encrypted from; none: the file lies there as it is.
  std::optional<crypto::PlainFile> plain{};

  std::uint64_t content_size() const { return plain ? plain->size : size; }
};

// From one encrypted file to another, made where both can be read, and encrypted itself.
struct DeltaFile {
  crypto::Digest digest;
  std::uint64_t size = 0;
  crypto::PlainFile plain;  // the delta (docs/formats/delta.md) before it was encrypted
  crypto::Digest base;      // a layer of an earlier package
  crypto::Digest target;    // a file of this one
};

// A parsed package manifest: its paths are safe and do not collide (unsafe_path otherwise).
struct Manifest {
  Descriptor config;
  std::vector<File> files;  // in the manifest's order
  Annotations annotations;
  std::vector<DeltaFile> deltas{};  // layers behind the files
  std::string content_key{};        // id of the key of what is encrypted; empty: nothing is

  bool confidential() const { return !content_key.empty(); }
  std::uint64_t total_bytes() const;    // of the files, as they travel
  std::uint64_t content_bytes() const;  // of the files, as applications see them
  const File* file(std::string_view path) const;
  const DeltaFile* delta(const crypto::Digest& target, const crypto::Digest& base) const;
};

// Of all layers, in the manifest's order.
std::vector<crypto::Digest> layer_digests(const Manifest& manifest);

// One entry of a release's index.
struct Variant {
  Descriptor descriptor;  // of the manifest
  std::string kind;
  std::string architecture;
  std::string precision;  // this and below: may be empty
  std::string runtime;
  std::string accelerator;
};

struct Index {
  std::string model;
  std::string version;
  std::vector<Variant> variants;  // no kind twice
  Annotations annotations;

  // The variant for a kind of device, or null.
  const Variant* variant(std::string_view kind) const;
  std::vector<std::string> kinds() const;
};

// What the config blob says of a model; texts may be empty.
struct ModelConfig {
  std::string name;
  std::string version;
  std::string architecture;  // of the network ("cnn"), not of the processor
  std::string format;        // "onnx"
  std::string precision;
  std::vector<crypto::Digest> layers;  // in the manifest's order
};

// The documents' bytes; equal input gives equal bytes.
std::string print_config(const ModelConfig& config);
std::string print_manifest(const Manifest& manifest);
std::string print_index(const Index& index);

// Errors: malformed, too_large, unsupported (another media or artifact type), unsafe_path. Unknown fields are passed
// over (documents of other tools), wrong types are not.
Result<Manifest> parse_manifest(ByteView bytes);
Result<Index> parse_index(ByteView bytes);
Result<ModelConfig> parse_config(ByteView bytes);

// A kind of device: [a-z0-9][a-z0-9._-]{0,63}
bool is_kind(std::string_view text);

}  // namespace drover::package
