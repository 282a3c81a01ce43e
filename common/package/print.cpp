// The documents' bytes. Keys have a fixed order and there is no white space: equal input gives equal bytes, and so
// equal digests.
#include <nlohmann/json.hpp>

#include "common/package/manifest.h"

namespace drover::package {
namespace {

using Json = nlohmann::json;

std::string print(const Json& json) {
  // `replace`: what is not UTF-8 gives a document that the checks refuse, and no exception.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json descriptor_json(const Descriptor& descriptor) {
  Json json = {{"mediaType", descriptor.media_type}, {"digest", descriptor.digest.text()}, {"size", descriptor.size}};
  if (!descriptor.artifact_type.empty()) json["artifactType"] = descriptor.artifact_type;
  if (!descriptor.annotations.empty()) json["annotations"] = descriptor.annotations;
  if (descriptor.platform) {
    json["platform"] = {{"os", descriptor.platform->os}, {"architecture", descriptor.platform->architecture}};
    if (!descriptor.platform->variant.empty()) json["platform"]["variant"] = descriptor.platform->variant;
  }
  return json;
}

void put_plain(Json& annotations, const crypto::PlainFile& plain) {
  annotations[std::string(kEncryption)] = kStreamName;
  annotations[std::string(kPlainDigest)] = to_hex(plain.digest);
  annotations[std::string(kPlainSize)] = std::to_string(plain.size);
}

Json layer_json(const File& file) {
  Json layer = {{"mediaType", file.media_type + std::string(file.plain ? kEncryptedSuffix : "")},
                {"digest", file.digest.text()},
                {"size", file.size},
                {"annotations", {{std::string(kFilePath), file.path}}}};
  if (file.plain) put_plain(layer["annotations"], *file.plain);
  return layer;
}

Json layer_json(const DeltaFile& delta) {
  Json annotations = {{std::string(kDeltaBase), delta.base.text()}, {std::string(kDeltaTarget), delta.target.text()}};
  put_plain(annotations, delta.plain);
  return {{"mediaType", kDeltaLayer},
          {"digest", delta.digest.text()},
          {"size", delta.size},
          {"annotations", std::move(annotations)}};
}

void put(Annotations& annotations, std::string_view name, const std::string& text) {
  if (!text.empty()) annotations[std::string(name)] = text;
}

// The index in the order and with the fields of the OCI's own Go structures: skopeo (1.9) writes an index anew when it
// copies one, and only so has the copy the digest that was signed.
using OrderedJson = nlohmann::ordered_json;

OrderedJson variant_json(const Variant& variant) {
  const Descriptor& descriptor = variant.descriptor;
  Annotations annotations = descriptor.annotations;
  put(annotations, kKind, variant.kind);
  put(annotations, kPrecision, variant.precision);
  put(annotations, kRuntime, variant.runtime);
  put(annotations, kAccelerator, variant.accelerator);
  const Platform given = descriptor.platform.value_or(Platform{});
  OrderedJson platform = {{"architecture", variant.architecture}, {"os", given.os}};
  if (!given.variant.empty()) platform["variant"] = given.variant;
  return {{"mediaType", kManifestType},
          {"digest", descriptor.digest.text()},
          {"size", descriptor.size},
          {"annotations", annotations},
          {"platform", std::move(platform)}};
}

}  // namespace

std::string print_config(const ModelConfig& config) {
  Json json = {{"descriptor", Json::object()}, {"config", Json::object()}};
  const auto text = [](Json& object, const char* name, const std::string& value) {
    if (!value.empty()) object[name] = value;
  };
  text(json["descriptor"], "name", config.name);
  text(json["descriptor"], "version", config.version);
  text(json["config"], "architecture", config.architecture);
  text(json["config"], "format", config.format);
  text(json["config"], "precision", config.precision);
  Json layers = Json::array();
  for (const crypto::Digest& layer : config.layers) layers.push_back(layer.text());
  json["modelfs"] = {{"type", "layers"}, {"diffIds", std::move(layers)}};
  return print(json);
}

std::string print_manifest(const Manifest& manifest) {
  Json layers = Json::array();
  for (const File& file : manifest.files) layers.push_back(layer_json(file));
  for (const DeltaFile& delta : manifest.deltas) layers.push_back(layer_json(delta));
  Json json = {{"schemaVersion", 2},
               {"mediaType", kManifestType},
               {"artifactType", kArtifactType},
               {"config", descriptor_json(manifest.config)},
               {"layers", std::move(layers)}};
  Annotations annotations = manifest.annotations;
  put(annotations, kContentKey, manifest.content_key);
  if (!annotations.empty()) json["annotations"] = annotations;
  return print(json);
}

std::string print_index(const Index& index) {
  OrderedJson manifests = OrderedJson::array();
  for (const Variant& variant : index.variants) manifests.push_back(variant_json(variant));
  Annotations annotations = index.annotations;
  put(annotations, kModel, index.model);
  put(annotations, kVersion, index.version);
  const OrderedJson json = {{"schemaVersion", 2},
                            {"mediaType", kIndexType},
                            {"manifests", std::move(manifests)},
                            {"annotations", annotations}};
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace drover::package
