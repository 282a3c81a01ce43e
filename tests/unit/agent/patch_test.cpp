// A delta applied on real files: what comes out is exact, or an error, and the base stays as it is.
#include "agent/fetch/patch.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include "common/delta/delta.h"
#include "common/rng/rng.h"
#include "tests/support/temp_folder.h"

namespace drover::agent {
namespace {

namespace asio = boost::asio;

std::string noise(std::size_t size, unsigned seed) {
  std::string bytes(size, '\0');
  SeededRng rng(seed);
  rng.fill({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  return bytes;
}

class PatchTest : public testing::Test {
 protected:
  PatchTest() {
    target_ = base_ = noise(300'000, 1);
    target_.replace(100'000, 5000, noise(5000, 2));
    delta::MemorySink sink;
    EXPECT_TRUE(delta::make_delta(as_bytes(base_), as_bytes(target_), sink));
    delta_ = std::string(sink.bytes.begin(), sink.bytes.end());
    EXPECT_LT(delta_.size(), target_.size() / 10);
    patch_.base = crypto::sha256(base_).text();
    patch_.target = crypto::sha256(target_).text();
    patch_.base_file = folder_.write("base", base_).string();
    patch_.out = (folder_ / "out").string();
    patch_.size = target_.size();
  }

  Status apply(const std::string& delta, std::function<bool()> stop = nullptr) {
    patch_.delta = folder_.write("delta", delta).string();
    asio::io_context io;
    auto done = asio::co_spawn(io, apply_patch(fs::system_files(), patch_, std::move(stop)), asio::use_future);
    io.run();
    return done.get();
  }
  void expect_error(const Status& status, Code code) {
    ASSERT_FALSE(status);
    EXPECT_EQ(code_name(status.error().code()), code_name(code)) << status.error().message();
    EXPECT_EQ(*fs::system_files().read(patch_.base_file, 1 << 20), base_);
  }

  test::TempFolder folder_;
  std::string base_, target_, delta_;
  Patch patch_;
};

TEST_F(PatchTest, gives_the_target_over_whatever_was_there) {
  folder_.write("out", "half of an earlier try");
  const Status applied = apply(delta_);
  ASSERT_TRUE(applied) << applied.error().message();
  EXPECT_EQ(*fs::system_files().read(patch_.out, 1 << 20), target_);
  EXPECT_EQ(*fs::system_files().read(patch_.base_file, 1 << 20), base_);
}

TEST_F(PatchTest, refuses_a_delta_that_ends_early) {
  expect_error(apply(delta_.substr(0, delta_.size() / 2)), Code::malformed);
}

TEST_F(PatchTest, refuses_a_delta_that_was_changed) {
  std::string changed = delta_;
  changed[changed.size() / 2] = static_cast<char>(changed[changed.size() / 2] ^ 1);
  EXPECT_FALSE(apply(changed));
}

TEST_F(PatchTest, refuses_a_delta_of_another_target_or_base) {
  patch_.target = crypto::sha256("another").text();
  expect_error(apply(delta_), Code::digest_mismatch);
}

TEST_F(PatchTest, finds_that_the_base_has_rotted) {
  std::string rotten = base_;
  rotten[5] = static_cast<char>(rotten[5] ^ 1);
  patch_.base_file = folder_.write("rotten", rotten).string();
  const Status applied = apply(delta_);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code(), Code::digest_mismatch) << applied.error().message();
}

TEST_F(PatchTest, makes_no_more_than_the_signed_size) {
  patch_.size = target_.size() - 1;
  expect_error(apply(delta_), Code::too_large);
}

TEST_F(PatchTest, says_that_the_base_is_gone) {
  patch_.base_file = (folder_ / "nothing").string();
  const Status applied = apply(delta_);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code(), Code::not_found);
}

}  // namespace
}  // namespace drover::agent
