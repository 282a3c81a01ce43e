#include "common/crypto/hash.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace drover::crypto {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

class HashedFiles : public ::testing::Test {
 protected:
  HashedFiles() {
    std::string name = (fs::temp_directory_path() / "drover-hash-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~HashedFiles() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST(Hash, GivesTheValuesOfFips180) {
  EXPECT_EQ(sha256(std::string_view("abc")).hex(), kAbc);
  EXPECT_EQ(sha256(std::string_view("")).hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(sha512(as_bytes("abc"))),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

TEST(Hash, IsTheSameInPiecesAndAtOnce) {
  std::string text(100'000, 'x');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7);
  Sha256 hash;
  for (std::size_t at = 0, step = 1; at < text.size(); at += step, step = step * 2 + 1)
    hash.update(as_bytes(std::string_view(text).substr(at, step)));
  EXPECT_EQ(hash.finish(), sha256(text));
}

TEST(Hash, StartsAnewAfterFinish) {
  Sha256 hash;
  hash.update(as_bytes("something else"));
  (void)hash.finish();
  hash.update(as_bytes("abc"));
  EXPECT_EQ(hash.finish().hex(), kAbc);
}

TEST(Digest, IsReadAndWrittenAsText) {
  const std::string text = "sha256:" + std::string(kAbc);
  const auto digest = Digest::parse(text);
  ASSERT_TRUE(digest);
  EXPECT_EQ(digest->text(), text);
  EXPECT_EQ(*digest, sha256(std::string_view("abc")));
}

TEST(Digest, HasOneSpellingOnly) {
  const std::string hex(kAbc);
  std::string upper = hex;
  upper[1] = 'A';
  for (const std::string& wrong :
       {hex, "sha512:" + hex, "SHA256:" + hex, "sha256:" + upper, "sha256:" + hex.substr(1), "sha256:" + hex + "0",
        "sha256:" + hex + "\n", std::string("sha256:"), std::string()}) {
    const auto digest = Digest::parse(wrong);
    ASSERT_FALSE(digest) << wrong;
    EXPECT_EQ(digest.error().code(), Code::malformed);
  }
}

TEST_F(HashedFiles, AreHashedWithTheirSize) {
  const std::string content(600'000, 'm');  // more than one block
  std::ofstream(folder_ / "model.onnx", std::ios::binary) << content;
  const auto hashed = sha256_file(folder_ / "model.onnx");
  ASSERT_TRUE(hashed);
  EXPECT_EQ(hashed->size, content.size());
  EXPECT_EQ(hashed->digest, sha256(content));
}

TEST_F(HashedFiles, AreNeverReachedThroughASymbolicLink) {
  std::ofstream(folder_ / "secret") << "secret";
  fs::create_symlink(folder_ / "secret", folder_ / "model.onnx");
  EXPECT_EQ(sha256_file(folder_ / "model.onnx").error().code(), Code::unsafe_path);
}

TEST_F(HashedFiles, AreNeitherFoldersNorPipes) {
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(sha256_file(folder_ / "pipe").error().code(), Code::unsafe_path);  // and does not wait for a writer
  EXPECT_EQ(sha256_file(folder_).error().code(), Code::unsafe_path);
  EXPECT_EQ(sha256_file(folder_ / "absent").error().code(), Code::not_found);
}

}  // namespace
}  // namespace drover::crypto
