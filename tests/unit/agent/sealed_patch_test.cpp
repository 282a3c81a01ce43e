// A delta between encrypted files, applied on real files: what comes out are the very bytes that were signed.
#include "agent/fetch/sealed_patch.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <future>

#include "common/delta/delta.h"
#include "tests/support/expect.h"
#include "tests/support/noise.h"
#include "tests/support/temp_folder.h"
#include "tests/support/watched_files.h"

namespace drover::agent {
namespace {

namespace asio = boost::asio;

crypto::ContentKey key_of(std::uint8_t byte) {
  return *crypto::ContentKey::from_bytes(Bytes(crypto::kContentKeySize, byte));
}

std::string encrypt(const crypto::ContentKey& key, const std::string& content, crypto::PlainFile& plain) {
  crypto::PlainHash hash(key);
  hash.update(as_bytes(content));
  plain = hash.finish();
  std::string out;
  crypto::StreamEncryptor encryptor(key, plain, [&](ByteView part) {
    out += as_text(part);
    return Status();
  });
  EXPECT_OK(encryptor.write(as_bytes(content)));
  EXPECT_OK(encryptor.finish());
  return out;
}

class SealedPatchTest : public ::testing::Test {
 protected:
  SealedPatchTest() {
    target_ = base_ = noise(300'000, 1);
    target_.replace(100'000, 5000, noise(5000, 2));
    delta::MemorySink sink;
    EXPECT_TRUE(delta::make_delta(as_bytes(base_), as_bytes(target_), sink));
    sealed_target_ = encrypt(patch_->key, target_, patch_->target);
    sealed_base_ = encrypt(*patch_->base_key, base_, patch_->base);
    sealed_delta_ = encrypt(patch_->key, std::string(as_text(sink.bytes)), patch_->delta);
    patch_->base_file = folder_.write("base", sealed_base_).string();
    patch_->out = (folder_ / "out").string();
  }
  Status apply(const std::string& delta, std::function<bool()> stop = nullptr) {
    patch_->delta_file = folder_.write("delta", delta).string();
    asio::io_context io;
    auto done = asio::co_spawn(io, apply_sealed_patch(files_, patch_, std::move(stop)), asio::use_future);
    io.run();
    return done.get();
  }
  void use_base(const std::string& content) { patch_->base_file = folder_.write("other-base", content).string(); }

  // Before the result is begun, on the thread that makes it.
  std::function<void()> at_begin_ = [] {};
  test::WatchedFiles files_{fs::system_files(), [this](const std::string& change, const std::string&) {
                              if (change == "open") at_begin_();
                              return Status();
                            }};
  test::TempFolder folder_;
  std::string base_, target_, sealed_target_, sealed_base_, sealed_delta_;
  std::shared_ptr<SealedPatch> patch_ =
      std::make_shared<SealedPatch>(SealedPatch{key_of(1), key_of(2), {}, {}, {}, "", "", ""});
};

TEST_F(SealedPatchTest, GivesTheSignedBytesAndLeavesNothingPlain) {
  folder_.write("out", "half of an earlier try");
  ASSERT_OK(apply(sealed_delta_));
  EXPECT_EQ(folder_.read("out"), sealed_target_);
  const std::string piece = target_.substr(200'000, 64), changed = target_.substr(101'000, 64);
  for (const char* name : {"out", "delta", "base"}) {
    EXPECT_EQ(folder_.read(name).find(piece), std::string::npos) << name;
    EXPECT_EQ(folder_.read(name).find(changed), std::string::npos) << name;
  }
}

TEST_F(SealedPatchTest, StartsFromThePlainFileWhereThatIsOpen) {
  patch_->base_key.reset();
  use_base(base_);
  ASSERT_OK(apply(sealed_delta_));
  EXPECT_EQ(folder_.read("out"), sealed_target_);
}

TEST_F(SealedPatchTest, RefusesADamagedDelta) {
  std::string damaged = sealed_delta_;
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
  EXPECT_CODE(apply(damaged), Code::digest_mismatch);
  EXPECT_CODE(apply(sealed_delta_.substr(0, sealed_delta_.size() - 20)), Code::digest_mismatch);
}

TEST_F(SealedPatchTest, RefusesADeltaThatEndsEarlyUnderItsEncryption) {
  delta::MemorySink sink;
  ASSERT_TRUE(delta::make_delta(as_bytes(base_), as_bytes(target_), sink));
  const std::string half(as_text(sink.bytes).substr(0, sink.bytes.size() / 2));
  EXPECT_CODE(apply(encrypt(patch_->key, half, patch_->delta)), Code::malformed);
}

TEST_F(SealedPatchTest, MakesNoMoreThanWasSigned) {
  patch_->target.size -= 1;
  EXPECT_CODE(apply(sealed_delta_), Code::too_large);
}

TEST_F(SealedPatchTest, SaysThatItIsTheBaseThatIsCutShort) {
  use_base(sealed_base_.substr(0, sealed_base_.size() - 20));
  const Status applied = apply(sealed_delta_);
  ASSERT_CODE(applied, Code::digest_mismatch);
  EXPECT_TRUE(applied.error().message().starts_with("the base")) << applied.error().message();
}

TEST_F(SealedPatchTest, StopsWhenItIsTold) {
  std::promise<void> told;
  at_begin_ = [told = told.get_future().share()] { told.wait(); };
  int asked = 0;
  EXPECT_CODE(apply(sealed_delta_,
                    [&] {
                      if (++asked == 2) told.set_value();  // the first answer has arrived by then
                      return true;
                    }),
              Code::cancelled);
}

TEST_F(SealedPatchTest, FindsThatTheBaseHasRottedOrIsAnother) {
  std::string rotten = sealed_base_;
  rotten[70'000] = static_cast<char>(rotten[70'000] ^ 1);
  use_base(rotten);
  EXPECT_CODE(apply(sealed_delta_), Code::digest_mismatch);
  patch_->base_key.reset();
  use_base(noise(300'000, 9));
  EXPECT_CODE(apply(sealed_delta_), Code::digest_mismatch);
}

TEST_F(SealedPatchTest, NeedsTheRightKeys) {
  patch_->base_key = key_of(3);
  EXPECT_CODE(apply(sealed_delta_), Code::digest_mismatch);
  patch_->base_key = key_of(2);
  patch_->key = key_of(3);
  EXPECT_CODE(apply(sealed_delta_), Code::digest_mismatch);
}

}  // namespace
}  // namespace drover::agent
