// Packages whose files are encrypted: their documents, and how they are built.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "common/package/content_keys.h"
#include "common/package/layout.h"
#include "common/package/policy.h"
#include "tests/support/expect.h"
#include "tests/support/temp_folder.h"

namespace drover::package {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using crypto::ContentKey;

ContentKey key_of(std::uint8_t byte) { return *ContentKey::from_bytes(Bytes(crypto::kContentKeySize, byte)); }

Manifest example() {
  Manifest manifest;
  manifest.config.media_type = kConfigType;
  manifest.config.digest = crypto::sha256(std::string_view("config"));
  manifest.config.size = 6;
  manifest.content_key = key_of(1).id();
  manifest.files = {{"drover.json", crypto::sha256(std::string_view("policy")), 6, std::string(kWeightConfigLayer)},
                    {"model.onnx", crypto::sha256(std::string_view("sealed")), crypto::encrypted_size(100'000),
                     std::string(kWeightLayer), crypto::PlainFile{{1, 2, 3}, 100'000}}};
  DeltaFile delta;
  delta.digest = crypto::sha256(std::string_view("delta"));
  delta.plain = {{4, 5, 6}, 900};
  delta.size = crypto::encrypted_size(900);
  delta.base = crypto::sha256(std::string_view("old"));
  delta.target = manifest.files[1].digest;
  manifest.deltas = {delta};
  return manifest;
}

Json document() { return Json::parse(print_manifest(example())); }

Code error_of(const Json& json) {
  const std::string text = json.dump();
  const auto parsed = parse_manifest(as_bytes(text));
  return parsed ? Code::ok : parsed.error().code();
}

TEST(ConfidentialManifest, IsReadAsItWasWritten) {
  const std::string text = print_manifest(example());
  const auto parsed = parse_manifest(as_bytes(text));
  ASSERT_OK(parsed);
  EXPECT_TRUE(parsed->confidential());
  EXPECT_EQ(parsed->content_key, key_of(1).id());
  EXPECT_FALSE(parsed->files[0].plain);
  EXPECT_EQ(parsed->files[1].plain, example().files[1].plain);
  EXPECT_EQ(parsed->files[1].content_size(), 100'000u);
  EXPECT_EQ(parsed->content_bytes(), 100'006u);
  EXPECT_GT(parsed->total_bytes(), parsed->content_bytes());
  const DeltaFile* delta = parsed->delta(example().deltas[0].target, example().deltas[0].base);
  ASSERT_NE(delta, nullptr);
  EXPECT_EQ(delta->plain.size, 900u);
  EXPECT_EQ(parsed->delta(example().deltas[0].base, example().deltas[0].target), nullptr);
  EXPECT_EQ(print_manifest(*parsed), text);
}

// Agents from before confidential packages take layers that end so, and say "unsupported" to all others.
TEST(ConfidentialManifest, HasNoLayerThatAnOlderAgentTakesForAFile) {
  const Json json = document();
  for (const Json& layer : json["layers"]) {
    const std::string type = layer["mediaType"];
    const bool taken = type.starts_with("application/vnd.cncf.model.") && type.ends_with(".v1.raw");
    EXPECT_EQ(taken, layer["annotations"].value(std::string(kFilePath), "") == "drover.json") << type;
  }
}

TEST(ConfidentialManifest, NeedsWhatDecryptingNeeds) {
  const auto without = [](const char* name) {
    Json json = document();
    json["layers"][1]["annotations"].erase(name);
    return error_of(json);
  };
  EXPECT_EQ(without("org.drover.encryption"), Code::unsupported);
  EXPECT_EQ(without("org.drover.plain.digest"), Code::malformed);
  EXPECT_EQ(without("org.drover.plain.size"), Code::malformed);
  Json json = document();
  json["annotations"].erase("org.drover.content-key");
  EXPECT_EQ(error_of(json), Code::malformed);
  json["annotations"]["org.drover.content-key"] = "not an id";
  EXPECT_EQ(error_of(json), Code::malformed);
}

TEST(ConfidentialManifest, OfANewerFormIsUnsupported) {
  Json json = document();
  json["layers"][1]["annotations"]["org.drover.encryption"] = "secretstream-v2";
  EXPECT_EQ(error_of(json), Code::unsupported);
}

TEST(ConfidentialManifest, HasSizesThatFitEachOther) {
  Json json = document();
  json["layers"][1]["size"] = 100'000;
  EXPECT_EQ(error_of(json), Code::malformed);
  json = document();
  json["layers"][1]["annotations"]["org.drover.plain.size"] = "-1";
  EXPECT_EQ(error_of(json), Code::malformed);
}

TEST(ConfidentialManifest, LeavesThePolicyReadable) {
  Json json = document();
  json["layers"][1]["annotations"]["org.cncf.model.filepath"] = "drover.json";
  json["layers"].erase(0);
  EXPECT_EQ(error_of(json), Code::malformed);
}

TEST(ConfidentialManifest, HasDeltasToItsOwnFilesOnly) {
  Json json = document();
  json["layers"][2]["annotations"]["org.drover.delta.target"] = crypto::sha256(std::string_view("other")).text();
  EXPECT_EQ(error_of(json), Code::malformed);
}

TEST(ConfidentialPolicy, SaysWherePlainTextMayBe) {
  const auto place = [](const std::string& confidential) {
    const std::string text =
        R"({"version":1,"model":{"file":"m","runtime":"onnx"},"confidential":)" + confidential + "}";
    return parse_policy(as_bytes(text));
  };
  EXPECT_EQ(place("{}")->confidential, PlainPlace::tmpfs);
  EXPECT_EQ(place(R"({"plain":"memfd"})")->confidential, PlainPlace::memfd);
  EXPECT_CODE(place(R"({"plain":"disk"})"), Code::malformed);
  EXPECT_EQ(parse_policy(as_bytes(print_policy(*place(R"({"plain":"memfd"})"))))->confidential, PlainPlace::memfd);
}

class Building : public ::testing::Test {
 protected:
  Building() {
    write("model.onnx", std::string(200'000, 'w') + kMarker);
    write_policy(PlainPlace::tmpfs);
  }
  void write(const std::string& name, const std::string& content) {
    fs::create_directories(model_);
    std::ofstream(model_ / name, std::ios::binary) << content;
  }
  void write_policy(std::optional<PlainPlace> place) {
    PackagePolicy policy;
    policy.model_file = "model.onnx";
    policy.runtime = "onnx";
    policy.confidential = place;
    write("drover.json", print_policy(policy));
  }
  Result<Variant> add(Layout& layout, const Encryption* encryption) {
    VariantSpec spec;
    spec.folder = model_;
    spec.kind = "kiosk-x64";
    spec.architecture = "amd64";
    return layout.add_variant(spec, "digits", "1", encryption);
  }
  bool on_disk(const std::string& text) {
    for (const auto& file : fs::recursive_directory_iterator(folder_.path() / "release")) {
      if (!file.is_regular_file()) continue;
      std::ifstream in(file.path(), std::ios::binary);
      const std::string bytes(std::istreambuf_iterator<char>(in), {});
      if (bytes.find(text) != std::string::npos) return true;
    }
    return false;
  }
  const std::string kMarker = "nobody may see this";
  const test::TempFolder folder_;
  const fs::path model_ = folder_.path() / "model";
  Layout layout_ = *Layout::create(folder_.path() / "release");
  const ContentKey key_ = key_of(1);
};

TEST_F(Building, StoresNothingInTheClearButThePolicy) {
  const Encryption encryption{key_};
  const auto variant = add(layout_, &encryption);
  ASSERT_OK(variant);
  Index index{.model = "digits", .version = "1", .variants = {*variant}, .annotations = {}};
  ASSERT_OK(layout_.write_index(index));
  EXPECT_OK(verify_layout(layout_));
  const auto manifest = layout_.read_manifest(variant->descriptor);
  ASSERT_OK(manifest);
  EXPECT_EQ(manifest->content_key, key_.id());
  EXPECT_FALSE(manifest->file("drover.json")->plain);
  EXPECT_FALSE(on_disk(kMarker));
  EXPECT_TRUE(on_disk("\"confidential\""));
  std::string read;
  const auto take = [&](ByteView part) {
    read += as_text(part);
    return Status();
  };
  ASSERT_OK(layout_.read_encrypted(*manifest->file("model.onnx"), key_, take));
  EXPECT_TRUE(read.ends_with(kMarker));
  EXPECT_CODE(layout_.read_encrypted(*manifest->file("model.onnx"), key_of(2), take), Code::digest_mismatch);
}

TEST_F(Building, MakesTheSameBytesWithTheSameKey) {
  const Encryption encryption{key_};
  Layout again = *Layout::create(folder_.path() / "again");
  EXPECT_EQ(add(layout_, &encryption)->descriptor.digest, add(again, &encryption)->descriptor.digest);
}

TEST_F(Building, InTheClearIsRefusedForWhatIsConfidential) {
  EXPECT_CODE(add(layout_, nullptr), Code::invalid_argument);
  write_policy(std::nullopt);
  EXPECT_OK(add(layout_, nullptr));
}

TEST_F(Building, TakesDeltasIntoTheManifest) {
  const auto add_delta = [&](Layout& layout, Manifest& manifest) -> Status {
    TRY_ASSIGN(const EncryptedBlob blob, layout.add_encrypted(as_bytes("a difference"), key_));
    manifest.deltas.push_back({blob.stored.digest, blob.stored.size, blob.plain,
                               crypto::sha256(std::string_view("old")), manifest.file("model.onnx")->digest});
    return {};
  };
  const Encryption encryption{key_, add_delta};
  const auto variant = add(layout_, &encryption);
  ASSERT_OK(variant);
  Index index{.model = "digits", .version = "1", .variants = {*variant}, .annotations = {}};
  const auto stored = layout_.write_index(index);
  ASSERT_OK(stored);
  EXPECT_OK(verify_layout(layout_));
  const auto blobs = release_blobs(layout_, *stored);
  ASSERT_OK(blobs);
  EXPECT_EQ(blobs->size(), 6u);  // two files, the delta, config, manifest, index
  fs::remove(layout_.blob_path(layout_.read_manifest(variant->descriptor)->deltas[0].digest));
  EXPECT_CODE(verify_layout(layout_), Code::not_found);
}

TEST(ContentKeyFile, IsReadAsItWasWritten) {
  ReleaseKeys keys;
  keys.model = "digits";
  keys.version = "1.0";
  const crypto::Digest package = crypto::sha256(std::string_view("manifest"));
  keys.keys.push_back({"kiosk-x64", package, key_of(3)});
  const std::string text = print_content_keys(keys);
  const auto parsed = parse_content_keys(text);
  ASSERT_OK(parsed);
  EXPECT_EQ(parsed->model, "digits");
  EXPECT_EQ(parsed->version, "1.0");
  ASSERT_NE(parsed->key(package), nullptr);
  EXPECT_EQ(parsed->key(package)->id(), key_of(3).id());
  EXPECT_EQ(parsed->key(crypto::sha256(std::string_view("other"))), nullptr);
}

TEST(ContentKeyFile, ThatIsNoneIsRefused) {
  EXPECT_CODE(parse_content_keys("{}"), Code::malformed);
  EXPECT_CODE(parse_content_keys(R"({"version":2,"model":"m","release":"1","keys":[]})"), Code::unsupported);
  const std::string row = R"({"version":1,"model":"m","release":"1","keys":[{"kind":"k","package":")" +
                          crypto::sha256(std::string_view()).text() + R"(","key":")";
  EXPECT_CODE(parse_content_keys(row + R"(00ff"}]})"), Code::malformed);
  EXPECT_CODE(parse_content_keys(row + std::string(64, 'x') + R"("}]})"), Code::malformed);
}

}  // namespace
}  // namespace drover::package
