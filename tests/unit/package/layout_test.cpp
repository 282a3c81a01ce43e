#include "common/package/layout.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "common/package/policy.h"

namespace drover::package {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class LayoutTest : public ::testing::Test {
 protected:
  LayoutTest() {
    std::string name = (fs::temp_directory_path() / "drover-layout-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    model_ = root_ / "model";
    write("model.onnx", std::string(300'000, 'w'));
    write("golden/inputs.f32", std::string(4 * 2 * 3, 'i'));
    write("golden/outputs.f32", std::string(4 * 2 * 2, 'o'));
    PackagePolicy policy{.model_file = "model.onnx", .runtime = "onnx", .validation = {}, .confirmation = {}};
    policy.validation.golden = GoldenPolicy{.inputs = "golden/inputs.f32",
                                            .outputs = "golden/outputs.f32",
                                            .samples = 2,
                                            .input_shape = {3},
                                            .output_shape = {2},
                                            .atol = 0.01,
                                            .min_agreement = 1.0,
                                            .labels = "",
                                            .min_accuracy = 0};
    write("drover.json", print_policy(policy));
  }
  ~LayoutTest() override { fs::remove_all(root_); }

  void write(const fs::path& path, std::string_view content) {
    fs::create_directories((model_ / path).parent_path());
    std::ofstream(model_ / path, std::ios::binary) << content;
  }
  static void overwrite(const fs::path& path, std::string_view content) {
    std::ofstream(path, std::ios::binary) << content;
  }
  Layout layout() { return *Layout::create(root_ / "release"); }
  VariantSpec spec(const std::string& kind = "kiosk-x64") {
    return {.folder = model_,
            .kind = kind,
            .architecture = "amd64",
            .precision = "fp32",
            .runtime = "onnx",
            .accelerator = ""};
  }
  Code add_error() {
    Layout out = layout();
    const auto variant = out.add_variant(spec(), "mnist", "1.0.0");
    return variant ? Code::ok : variant.error().code();
  }
  // A release with two variants.
  StoredIndex build(Layout& out) {
    Index index{.model = "mnist", .version = "1.0.0", .variants = {}, .annotations = {}};
    for (const char* kind : {"kiosk-x64", "kiosk-arm"}) {
      auto variant = out.add_variant(spec(kind), "mnist", "1.0.0");
      EXPECT_TRUE(variant) << variant.error().message();
      index.variants.push_back(*variant);
    }
    return *out.write_index(index);
  }
  Code verify_error(const Layout& out) {
    const Status status = verify_layout(out);
    return status ? Code::ok : status.error().code();
  }
  fs::path root_, model_;
};

TEST_F(LayoutTest, HoldsAReleaseThatVerifies) {
  Layout out = layout();
  const StoredIndex index = build(out);
  EXPECT_EQ(verify_error(out), Code::ok);
  const auto read = Layout::open(root_ / "release")->read_index("1.0.0");
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->digest, index.digest);
  EXPECT_EQ(crypto::sha256(read->bytes), index.digest);
  EXPECT_EQ(read->index.kinds(), (std::vector<std::string>{"kiosk-x64", "kiosk-arm"}));
}

TEST_F(LayoutTest, IsAnOciImageLayout) {
  Layout out = layout();
  const StoredIndex index = build(out);
  EXPECT_EQ(Json::parse(std::ifstream(root_ / "release/oci-layout"))["imageLayoutVersion"], "1.0.0");
  const Json top = Json::parse(std::ifstream(root_ / "release/index.json"));
  ASSERT_EQ(top["manifests"].size(), 1u);
  EXPECT_EQ(top["manifests"][0]["digest"], index.digest.text());
  EXPECT_EQ(top["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "1.0.0");
  EXPECT_TRUE(fs::exists(root_ / "release/blobs/sha256" / index.digest.hex()));
}

TEST_F(LayoutTest, GivesEachFileItsLayerTypeAndPath) {
  Layout out = layout();
  const StoredIndex index = build(out);
  const Manifest manifest = *out.read_manifest(index.index.variants[0].descriptor);
  ASSERT_EQ(manifest.files.size(), 4u);
  EXPECT_EQ(manifest.file("model.onnx")->media_type, kWeightLayer);
  EXPECT_EQ(manifest.file("model.onnx")->size, 300'000u);
  EXPECT_EQ(manifest.file("golden/inputs.f32")->media_type, kDatasetLayer);
  EXPECT_EQ(manifest.file("drover.json")->media_type, kWeightConfigLayer);
}

TEST_F(LayoutTest, IsTheSameForTheSameFiles) {
  Layout one = *Layout::create(root_ / "one"), two = *Layout::create(root_ / "two");
  EXPECT_EQ(build(one).digest, build(two).digest);
}

TEST_F(LayoutTest, ListsEveryBlobOnceAndInOrderOfNeed) {
  Layout out = layout();
  const StoredIndex index = build(out);
  const auto blobs = release_blobs(out, index);
  ASSERT_TRUE(blobs);
  std::set<crypto::Digest> seen;
  for (const BlobRef& blob : *blobs) {
    EXPECT_TRUE(seen.insert(blob.digest).second);
    EXPECT_EQ(fs::file_size(out.blob_path(blob.digest)), blob.size);
  }
  // Both variants are of the same files: four files, one config, one manifest, the index.
  EXPECT_EQ(blobs->size(), 7u);
  EXPECT_EQ(blobs->back().digest, index.digest);
}

TEST_F(LayoutTest, LeavesNothingButBlobsBehind) {
  Layout out = layout();
  build(out);
  write("link-to-be", "x");
  fs::create_symlink("model.onnx", model_ / "link");
  EXPECT_FALSE(out.add_variant(spec(), "mnist", "1.0.0"));
  for (const auto& entry : fs::directory_iterator(root_ / "release/blobs/sha256"))
    EXPECT_EQ(entry.path().filename().string().size(), 64u) << entry.path();
}

TEST_F(LayoutTest, TakesNoSymbolicLinks) {
  fs::create_symlink("/etc/passwd", model_ / "labels.txt");
  EXPECT_EQ(add_error(), Code::unsafe_path);
}

TEST_F(LayoutTest, TakesNoSymbolicLinkToAFolder) {
  fs::create_directory_symlink("/etc", model_ / "more");
  EXPECT_EQ(add_error(), Code::unsafe_path);
}

TEST_F(LayoutTest, TakesNoPipesOrSockets) {
  ASSERT_EQ(::mkfifo((model_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(add_error(), Code::unsafe_path);
}

TEST_F(LayoutTest, TakesNoFileUnderTwoNames) {
  fs::create_hard_link(model_ / "model.onnx", model_ / "again.onnx");
  EXPECT_EQ(add_error(), Code::unsafe_path);
}

TEST_F(LayoutTest, TakesNoUnsafeOrCollidingNames) {
  write("Model.onnx", "x");
  EXPECT_EQ(add_error(), Code::unsafe_path);
  fs::remove(model_ / "Model.onnx");
  write("a b", "x");
  EXPECT_EQ(add_error(), Code::unsafe_path);
}

TEST_F(LayoutTest, TakesNoFolderWithoutAPolicyOrWithABadOne) {
  overwrite(model_ / "drover.json", "{}");
  EXPECT_EQ(add_error(), Code::malformed);
  fs::remove(model_ / "drover.json");
  EXPECT_EQ(add_error(), Code::invalid_argument);
  model_ = root_ / "absent";
  EXPECT_EQ(add_error(), Code::not_found);
}

TEST_F(LayoutTest, TakesNoFolderThatLacksWhatItsPolicyNames) {
  fs::remove(model_ / "golden/outputs.f32");
  EXPECT_EQ(add_error(), Code::invalid_argument);
  write("golden/outputs.f32", "short");
  EXPECT_EQ(add_error(), Code::invalid_argument);
  write("golden/outputs.f32", std::string(16, 'o'));
  EXPECT_EQ(add_error(), Code::ok);
  fs::remove(model_ / "model.onnx");
  EXPECT_EQ(add_error(), Code::invalid_argument);
}

TEST_F(LayoutTest, TakesNoUnusableKind) {
  Layout out = layout();
  EXPECT_EQ(out.add_variant(spec("Kiosk X"), "mnist", "1").error().code(), Code::invalid_argument);
}

TEST_F(LayoutTest, DoesNotVerifyWhenAByteOfAnyBlobDiffers) {
  Layout out = layout();
  const StoredIndex index = build(out);
  const auto blobs = *release_blobs(out, index);
  for (const BlobRef& blob : blobs) {
    const fs::path path = out.blob_path(blob.digest);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const char first = static_cast<char>(file.get());
    file.seekp(0);
    file.put(static_cast<char>(first ^ 1));
    file.close();
    EXPECT_EQ(verify_error(out), Code::digest_mismatch) << path;
    std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).put(first);
  }
  EXPECT_EQ(verify_error(out), Code::ok);
}

TEST_F(LayoutTest, DoesNotVerifyWithATruncatedLongerOrMissingFile) {
  Layout out = layout();
  const StoredIndex index = build(out);
  const Manifest manifest = *out.read_manifest(index.index.variants[0].descriptor);
  const fs::path path = out.blob_path(manifest.file("model.onnx")->digest);
  fs::resize_file(path, 299'999);
  EXPECT_EQ(verify_error(out), Code::size_mismatch);
  fs::resize_file(path, 300'001);
  EXPECT_EQ(verify_error(out), Code::size_mismatch);
  fs::remove(path);
  EXPECT_EQ(verify_error(out), Code::not_found);
  fs::create_symlink(model_ / "model.onnx", path);
  EXPECT_EQ(verify_error(out), Code::unsafe_path);
}

TEST_F(LayoutTest, HealsADamagedBlobWhenTheFileIsAddedAgain) {
  Layout out = layout();
  const auto stored = *out.add_file(model_ / "model.onnx");
  overwrite(out.blob_path(stored.digest), "damaged");
  ASSERT_TRUE(out.add_file(model_ / "model.onnx"));
  EXPECT_EQ(crypto::sha256_file(out.blob_path(stored.digest))->digest, stored.digest);
}

TEST_F(LayoutTest, DoesNotReadABlobOverItsLimitOrWithOtherBytes) {
  Layout out = layout();
  const auto stored = *out.add_blob(as_bytes("content"));
  EXPECT_EQ(as_text(*out.read_blob(stored.digest)), "content");
  EXPECT_EQ(out.read_blob(stored.digest, 3).error().code(), Code::too_large);
  overwrite(out.blob_path(stored.digest), "kontent");
  EXPECT_EQ(out.read_blob(stored.digest).error().code(), Code::digest_mismatch);
  EXPECT_EQ(out.read_blob(crypto::sha256(std::string_view("absent"))).error().code(), Code::not_found);
}

TEST_F(LayoutTest, ReplacesTheReleaseOfTheSameVersionAndKeepsOthers) {
  Layout out = layout();
  const StoredIndex first = build(out);
  Index index = first.index;
  index.variants.pop_back();
  const StoredIndex again = *out.write_index(index);
  EXPECT_EQ(out.read_index()->digest, again.digest);
  index.version = "2.0.0";
  index.annotations.clear();
  const StoredIndex second = *out.write_index(index);
  EXPECT_EQ(out.read_index().error().code(), Code::malformed);  // which one?
  EXPECT_EQ(out.read_index("2.0.0")->digest, second.digest);
  EXPECT_EQ(out.read_index("1.0.0")->digest, again.digest);
  EXPECT_EQ(out.read_index("3.0.0").error().code(), Code::not_found);
}

TEST_F(LayoutTest, IsNotOpenedWhereThereIsNone) {
  EXPECT_EQ(Layout::open(root_ / "absent").error().code(), Code::not_found);
  fs::create_directories(root_ / "other");
  overwrite(root_ / "other/oci-layout", "{\"imageLayoutVersion\":\"9.0.0\"}");
  EXPECT_EQ(Layout::open(root_ / "other").error().code(), Code::unsupported);
  overwrite(root_ / "other/oci-layout", "nonsense");
  EXPECT_EQ(Layout::open(root_ / "other").error().code(), Code::malformed);
}

}  // namespace
}  // namespace drover::package
