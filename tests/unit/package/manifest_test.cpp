#include "common/package/manifest.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace drover::package {
namespace {

using Json = nlohmann::json;

Manifest example_manifest() {
  Manifest manifest;
  manifest.config.media_type = kConfigType;
  manifest.config.digest = crypto::sha256(std::string_view("config"));
  manifest.config.size = 6;
  manifest.files = {
      {"drover.json", crypto::sha256(std::string_view("policy")), 6, std::string(kWeightConfigLayer)},
      {"model.onnx", crypto::sha256(std::string_view("weights")), std::uint64_t{5} << 32, std::string(kWeightLayer)}};
  return manifest;
}

Variant example_variant(const std::string& kind, const std::string& architecture) {
  Variant variant;
  variant.kind = kind;
  variant.architecture = architecture;
  variant.precision = "int8";
  variant.runtime = "onnx";
  variant.descriptor.digest = crypto::sha256(kind);
  variant.descriptor.size = 1000;
  return variant;
}

Index example_index() {
  Index index;
  index.model = "mnist";
  index.version = "1.0.0";
  index.variants = {example_variant("kiosk-x64", "amd64"), example_variant("kiosk-arm", "arm64")};
  return index;
}

Code manifest_error(const Json& json) {
  const std::string text = json.dump();
  const auto parsed = parse_manifest(as_bytes(text));
  return parsed ? Code::ok : parsed.error().code();
}
Code index_error(const Json& json) {
  const std::string text = json.dump();
  const auto parsed = parse_index(as_bytes(text));
  return parsed ? Code::ok : parsed.error().code();
}

TEST(PackageManifest, IsReadAsItWasWritten) {
  const std::string text = print_manifest(example_manifest());
  const auto parsed = parse_manifest(as_bytes(text));
  ASSERT_TRUE(parsed) << parsed.error().message();
  ASSERT_EQ(parsed->files.size(), 2u);
  EXPECT_EQ(parsed->files[1].path, "model.onnx");
  EXPECT_EQ(parsed->files[1].size, std::uint64_t{5} << 32);
  EXPECT_EQ(parsed->total_bytes(), (std::uint64_t{5} << 32) + 6);
  EXPECT_EQ(parsed->file("drover.json")->digest, crypto::sha256(std::string_view("policy")));
  EXPECT_EQ(parsed->file("absent"), nullptr);
  EXPECT_EQ(print_manifest(*parsed), text);
}

TEST(PackageManifest, IsAnOciImageManifestOfTheModelPackKind) {
  const Json json = Json::parse(print_manifest(example_manifest()));
  EXPECT_EQ(json["schemaVersion"], 2);
  EXPECT_EQ(json["mediaType"], "application/vnd.oci.image.manifest.v1+json");
  EXPECT_EQ(json["artifactType"], "application/vnd.cncf.model.manifest.v1+json");
  EXPECT_EQ(json["config"]["mediaType"], "application/vnd.cncf.model.config.v1+json");
  EXPECT_EQ(json["layers"][1]["annotations"]["org.cncf.model.filepath"], "model.onnx");
}

TEST(PackageManifest, WithUnsafeOrCollidingPathsIsRefused) {
  const Json good = Json::parse(print_manifest(example_manifest()));
  ASSERT_EQ(manifest_error(good), Code::ok);
  for (const char* path :
       {"../model.onnx", "/model.onnx", "a/../b", "DROVER.JSON", "drover.json", "drover.json/x", "a\\b", ""}) {
    Json json = good;
    json["layers"][1]["annotations"]["org.cncf.model.filepath"] = path;
    EXPECT_EQ(manifest_error(json), Code::unsafe_path) << path;
  }
}

TEST(PackageManifest, OfAnotherTypeIsRefused) {
  const Json good = Json::parse(print_manifest(example_manifest()));
  const std::pair<const char*, Json> faults[] = {{"/mediaType", kIndexType},
                                                 {"/artifactType", "application/vnd.other"},
                                                 {"/config/mediaType", "application/vnd.oci.image.config.v1+json"},
                                                 {"/layers/0/mediaType", "application/vnd.cncf.model.weight.v1.tar"},
                                                 {"/layers/0/mediaType", "application/vnd.oci.image.layer.v1.tar+gzip"},
                                                 {"/schemaVersion", 1}};
  for (const auto& [pointer, value] : faults) {
    Json json = good;
    json[Json::json_pointer(pointer)] = value;
    EXPECT_EQ(manifest_error(json), Code::unsupported) << pointer;
  }
}

TEST(PackageManifest, OfAWrongShapeIsRefusedAndNotACrash) {
  const Json good = Json::parse(print_manifest(example_manifest()));
  for (const char* pointer : {"/schemaVersion", "/config", "/config/digest", "/config/size", "/layers", "/layers/0",
                              "/layers/0/digest", "/layers/0/size", "/layers/0/annotations", "/layers/0/mediaType"})
    for (const Json& wrong : {Json(nullptr), Json(-1), Json(1.5), Json("x"), Json::array({1}), Json({{"x", 1}})}) {
      Json json = good;
      json[Json::json_pointer(pointer)] = wrong;
      EXPECT_NE(manifest_error(json), Code::ok) << pointer << " = " << wrong;
    }
}

TEST(PackageManifest, WithoutFilesOrWithTooManyIsRefused) {
  Json json = Json::parse(print_manifest(example_manifest()));
  json["layers"] = Json::array();
  EXPECT_EQ(manifest_error(json), Code::malformed);
  Manifest many = example_manifest();
  many.files.clear();
  for (std::size_t i = 0; i <= kMaxFiles; ++i)
    many.files.push_back({"f" + std::to_string(i), {}, 1, std::string(kWeightLayer)});
  EXPECT_EQ(manifest_error(Json::parse(print_manifest(many))), Code::malformed);
  many.files.pop_back();
  EXPECT_EQ(manifest_error(Json::parse(print_manifest(many))), Code::ok);
}

TEST(PackageManifest, WithASizeBeyondTheBoundIsRefused) {
  Json json = Json::parse(print_manifest(example_manifest()));
  json["layers"][0]["size"] = kMaxFileBytes;
  EXPECT_EQ(manifest_error(json), Code::ok);
  json["layers"][0]["size"] = kMaxFileBytes + 1;
  EXPECT_EQ(manifest_error(json), Code::malformed);
  json["layers"][0]["size"] = UINT64_MAX;
  EXPECT_EQ(manifest_error(json), Code::malformed);
}

TEST(PackageManifest, CutOrFollowedByAnythingIsRefused) {
  const std::string text = print_manifest(example_manifest());
  for (std::size_t length = 0; length < text.size(); length += 5)
    EXPECT_FALSE(parse_manifest(as_bytes(std::string_view(text).substr(0, length))));
  EXPECT_FALSE(parse_manifest(as_bytes(text + std::string(1, '\0'))));
  EXPECT_FALSE(parse_manifest(as_bytes(text + "{}")));
  EXPECT_EQ(parse_manifest(as_bytes(text + std::string(kMaxDocumentBytes, ' '))).error().code(), Code::too_large);
}

TEST(PackageManifest, PassesOverFieldsOfOtherTools) {
  Json json = Json::parse(print_manifest(example_manifest()));
  json["x-more"] = 1;
  json["layers"][0]["urls"] = Json::array();
  EXPECT_EQ(manifest_error(json), Code::ok);
}

TEST(ReleaseIndex, IsReadAsItWasWritten) {
  const std::string text = print_index(example_index());
  const auto parsed = parse_index(as_bytes(text));
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->model, "mnist");
  EXPECT_EQ(parsed->version, "1.0.0");
  ASSERT_EQ(parsed->variants.size(), 2u);
  EXPECT_EQ(parsed->variants[0].precision, "int8");
  EXPECT_EQ(parsed->variants[0].runtime, "onnx");
  EXPECT_EQ(parsed->variants[0].accelerator, "");
  EXPECT_EQ(print_index(*parsed), text);
}

TEST(ReleaseIndex, GivesTheVariantForAKindOfDevice) {
  const Index index = example_index();
  ASSERT_NE(index.variant("kiosk-arm"), nullptr);
  EXPECT_EQ(index.variant("kiosk-arm")->architecture, "arm64");
  EXPECT_EQ(index.variant("kiosk"), nullptr);
  EXPECT_EQ(index.kinds(), (std::vector<std::string>{"kiosk-x64", "kiosk-arm"}));
}

TEST(ReleaseIndex, CarriesPlatformAndTargetAnnotations) {
  const Json json = Json::parse(print_index(example_index()));
  EXPECT_EQ(json["mediaType"], "application/vnd.oci.image.index.v1+json");
  EXPECT_EQ(json["annotations"]["org.drover.model"], "mnist");
  EXPECT_EQ(json["manifests"][0]["platform"]["os"], "linux");
  EXPECT_EQ(json["manifests"][0]["platform"]["architecture"], "amd64");
  EXPECT_EQ(json["manifests"][0]["annotations"]["org.drover.kind"], "kiosk-x64");
}

TEST(ReleaseIndex, WithAnAmbiguousOrMissingKindIsRefused) {
  const Json good = Json::parse(print_index(example_index()));
  ASSERT_EQ(index_error(good), Code::ok);
  Json json = good;
  json["manifests"][1]["annotations"]["org.drover.kind"] = "kiosk-x64";
  EXPECT_EQ(index_error(json), Code::malformed);
  for (const char* kind : {"", "Kiosk", "a b", "../x"}) {
    json["manifests"][1]["annotations"]["org.drover.kind"] = kind;
    EXPECT_EQ(index_error(json), Code::malformed) << kind;
  }
  json["manifests"][1]["annotations"].erase("org.drover.kind");
  EXPECT_EQ(index_error(json), Code::malformed);
}

TEST(ReleaseIndex, WithoutNameVariantsOrPlatformIsRefused) {
  const Json good = Json::parse(print_index(example_index()));
  Json json = good;
  json["annotations"].erase("org.drover.version");
  EXPECT_EQ(index_error(json), Code::malformed);
  json = good;
  json["manifests"] = Json::array();
  EXPECT_EQ(index_error(json), Code::malformed);
  json = good;
  json["manifests"][0].erase("platform");
  EXPECT_EQ(index_error(json), Code::malformed);
  json = good;
  json["manifests"][0]["size"] = kMaxDocumentBytes + 1;
  EXPECT_EQ(index_error(json), Code::too_large);
  json = good;
  json["manifests"][0]["mediaType"] = kIndexType;
  EXPECT_EQ(index_error(json), Code::unsupported);
  json = good;
  json["manifests"][0]["digest"] = "sha512:00";
  EXPECT_EQ(index_error(json), Code::malformed);
}

TEST(ModelConfig, IsReadAsItWasWritten) {
  const ModelConfig config{.name = "mnist",
                           .version = "1",
                           .architecture = "cnn",
                           .format = "onnx",
                           .precision = "fp32",
                           .layers = {crypto::sha256(std::string_view("a")), crypto::sha256(std::string_view("b"))}};
  const std::string text = print_config(config);
  const auto parsed = parse_config(as_bytes(text));
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->name, "mnist");
  EXPECT_EQ(parsed->format, "onnx");
  EXPECT_EQ(parsed->layers, config.layers);
  EXPECT_EQ(Json::parse(text)["modelfs"]["type"], "layers");
}

}  // namespace
}  // namespace drover::package
