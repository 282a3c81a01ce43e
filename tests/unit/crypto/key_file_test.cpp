#include "common/crypto/key_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace drover::crypto {
namespace {

namespace fs = std::filesystem;
constexpr KdfCost kCheap{1, 8192};  // the least that libsodium takes: tests are not about cost

class KeyFile : public ::testing::Test {
 protected:
  KeyFile() {
    std::string name = (fs::temp_directory_path() / "drover-key-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    path_ = folder_ / "release.key";
  }
  ~KeyFile() override { fs::remove_all(folder_); }
  nlohmann::json encoded(std::string_view passphrase) {
    return nlohmann::json::parse(*encode_key(key_, passphrase, rng_, kCheap));
  }
  static Code decode_error(const nlohmann::json& document, std::string_view passphrase) {
    auto decoded = decode_key(document.dump(), passphrase);
    return decoded ? Code::ok : decoded.error().code();
  }
  SeededRng rng_{11};
  KeyPair key_ = KeyPair::generate(rng_);
  fs::path folder_, path_;
};

TEST_F(KeyFile, KeepsAKeyWithoutAPassphrase) {
  ASSERT_TRUE(save_key_file(path_, key_, "", rng_));
  const auto loaded = load_key_file(path_, "");
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(loaded->seed(), key_.seed());
}

TEST_F(KeyFile, KeepsAKeyUnderAPassphrase) {
  ASSERT_TRUE(save_key_file(path_, key_, "correct horse", rng_, kCheap));
  const auto loaded = load_key_file(path_, "correct horse");
  ASSERT_TRUE(loaded) << loaded.error().message();
  EXPECT_EQ(loaded->seed(), key_.seed());
}

TEST_F(KeyFile, DoesNotHoldTheSecretInTheClearUnderAPassphrase) {
  const std::string text = *encode_key(key_, "passphrase", rng_, kCheap);
  EXPECT_EQ(text.find(to_hex(key_.seed())), std::string::npos);
  EXPECT_NE(text.find(to_hex(key_.public_key())), std::string::npos);
}

TEST_F(KeyFile, TellsWhetherItNeedsAPassphraseAndWhoseItIs) {
  EXPECT_FALSE(*key_is_encrypted(encoded("").dump()));
  EXPECT_TRUE(*key_is_encrypted(encoded("p").dump()));
  EXPECT_EQ(*key_public_part(encoded("p").dump()), key_.public_key());
}

TEST_F(KeyFile, RefusesAWrongOrMissingPassphrase) {
  EXPECT_EQ(decode_error(encoded("right"), "wrong"), Code::unauthenticated);
  EXPECT_EQ(decode_error(encoded("right"), ""), Code::unauthenticated);
}

TEST_F(KeyFile, RefusesAPublicHalfThatWasExchanged) {
  const KeyPair other = KeyPair::generate(rng_);
  auto plain = encoded("");
  plain["public"] = to_hex(other.public_key());
  EXPECT_EQ(decode_error(plain, ""), Code::malformed);
  auto boxed = encoded("p");
  boxed["public"] = to_hex(other.public_key());
  EXPECT_EQ(decode_error(boxed, "p"), Code::unauthenticated);
}

TEST_F(KeyFile, RefusesWhatItDoesNotUnderstand) {
  auto document = encoded("");
  document["version"] = 2;
  EXPECT_EQ(decode_error(document, ""), Code::unsupported);
  document = encoded("");
  document["keytype"] = "rsa";
  EXPECT_EQ(decode_error(document, ""), Code::unsupported);
  document = encoded("");
  document["surprise"] = true;
  EXPECT_EQ(decode_error(document, ""), Code::malformed);
  document = encoded("");
  document["private"] = "00";
  EXPECT_EQ(decode_error(document, ""), Code::malformed);
  document = encoded("");
  document.erase("private");
  EXPECT_EQ(decode_error(document, ""), Code::malformed);
  document = encoded("p");
  document["private"] = to_hex(key_.seed());
  EXPECT_EQ(decode_error(document, "p"), Code::malformed);
}

TEST_F(KeyFile, DoesNotObeyAFileThatAsksForTooMuchWork) {
  auto document = encoded("p");
  document["kdf"]["memory"] = kMaxKdfMemory + 1;
  EXPECT_EQ(decode_error(document, "p"), Code::malformed);
  document = encoded("p");
  document["kdf"]["ops"] = kMaxKdfOps + 1;
  EXPECT_EQ(decode_error(document, "p"), Code::malformed);
  document = encoded("p");
  document["box"] = "00";
  EXPECT_EQ(decode_error(document, "p"), Code::malformed);
}

TEST_F(KeyFile, IsReadableByItsOwnerOnly) {
  ASSERT_TRUE(save_key_file(path_, key_, "", rng_));
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(KeyFile, IsRefusedWhenOthersMayReadIt) {
  ASSERT_TRUE(save_key_file(path_, key_, "", rng_));
  ASSERT_EQ(::chmod(path_.c_str(), 0640), 0);
  const auto loaded = load_key_file(path_, "");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), Code::permission_denied);
  EXPECT_NE(loaded.error().message().find("chmod 600"), std::string::npos);
}

TEST_F(KeyFile, IsNeverOverwritten) {
  ASSERT_TRUE(save_key_file(path_, key_, "", rng_));
  const KeyPair other = KeyPair::generate(rng_);
  EXPECT_EQ(save_key_file(path_, other, "", rng_).error().code(), Code::already_exists);
  EXPECT_EQ(load_key_file(path_, "")->seed(), key_.seed());
}

TEST_F(KeyFile, ThatIsMissingTooLargeOrNoFileIsAClearError) {
  EXPECT_EQ(load_key_file(path_, "").error().code(), Code::not_found);
  EXPECT_EQ(load_key_file(folder_, "").error().code(), Code::invalid_argument);
  std::ofstream(path_) << std::string(kMaxKeyFile + 1, ' ');
  ASSERT_EQ(::chmod(path_.c_str(), 0600), 0);
  EXPECT_EQ(load_key_file(path_, "").error().code(), Code::too_large);
}

}  // namespace
}  // namespace drover::crypto
