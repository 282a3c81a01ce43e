// A delta applied on real files by the real program, and by programs that misbehave as one that was taken over might:
// what comes out is exact, or an error, in bounded time, and the base stays as it is.
#include "agent/fetch/patch.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <cstring>

#include "common/delta/delta.h"
#include "common/rng/rng.h"
#include "tests/support/noise.h"
#include "tests/support/temp_folder.h"

namespace drover::agent {
namespace {

namespace asio = boost::asio;

class PatchTest : public testing::Test {
 protected:
  PatchTest() {
    target_ = base_ = noise(300'000, 1);
    target_.replace(100'000, 5000, noise(5000, 2));
    delta::MemorySink sink;
    EXPECT_TRUE(delta::make_delta(as_bytes(base_), as_bytes(target_), sink));
    delta_ = std::string(sink.bytes.begin(), sink.bytes.end());
    EXPECT_LT(delta_.size(), target_.size() / 10);
    patch_.program = DROVER_BIN_DIR "/drover-patch";
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
  // Applies with a shell script in the program's place.
  Status apply_with(const std::string& script) {
    patch_.program = folder_.write("stand-in", "#!/bin/sh\n" + script + "\n").string();
    ::chmod(patch_.program.c_str(), 0755);
    return apply(delta_);
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
  const Status applied = apply(delta_.substr(0, delta_.size() / 2));
  expect_error(applied, Code::malformed);
  EXPECT_NE(applied.error().message().find("ends early"), std::string::npos) << applied.error().message();
}

TEST_F(PatchTest, refuses_a_delta_that_was_changed) {
  std::string changed = delta_;
  changed[changed.size() / 2] = static_cast<char>(changed[changed.size() / 2] ^ 1);
  EXPECT_FALSE(apply(changed));
}

TEST_F(PatchTest, refuses_a_delta_of_another_target_or_base) {
  const std::string base = std::exchange(patch_.base, crypto::sha256("another").text());
  expect_error(apply(delta_), Code::digest_mismatch);
  patch_.base = base;
  patch_.target = crypto::sha256("another").text();
  expect_error(apply(delta_), Code::digest_mismatch);
}

TEST_F(PatchTest, a_delta_of_a_later_version_is_no_fault_of_the_kernel) {
  std::string later = delta_;
  later[4] = 99;
  expect_error(apply(later), Code::malformed);
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

TEST_F(PatchTest, a_decoder_that_crashes_is_a_damaged_delta) {
  for (const char* signal : {"SEGV", "BUS", "ABRT", "KILL", "SYS"})
    expect_error(apply_with(std::string("kill -") + signal + " $$"), Code::malformed);
}

TEST_F(PatchTest, a_decoder_that_hangs_is_ended_at_its_deadline) {
  patch_.deadline = std::chrono::milliseconds(300);
  const Status applied = apply_with("exec sleep 1000");
  expect_error(applied, Code::malformed);
  EXPECT_NE(applied.error().message().find("deadline"), std::string::npos) << applied.error().message();
}

TEST_F(PatchTest, a_decoder_that_writes_too_much_is_stopped_at_the_signed_size) {
  EXPECT_FALSE(apply_with("exec head -c 100000000 /dev/zero > \"$4\""));
  EXPECT_LE(std::filesystem::file_size(patch_.out), patch_.size);
}

TEST_F(PatchTest, a_decoder_that_talks_without_end_does_not_fill_the_agent) {
  expect_error(apply_with("head -c 50000000 /dev/zero; exit 1"), Code::malformed);
}

TEST_F(PatchTest, a_decoder_that_takes_too_much_memory_is_ended) {
  // A line without an end, which tail keeps whole.
  const Status applied = apply_with("exec tail -n 1 /dev/zero");
  expect_error(applied, Code::malformed);
  EXPECT_NE(applied.error().message().find("memory"), std::string::npos) << applied.error().message();
}

#if !defined(__SANITIZE_ADDRESS__)
// From too little to be loaded to enough: in between it runs out in the middle of its work, here or there.
TEST_F(PatchTest, a_decoder_that_gets_no_memory_says_so_and_makes_nothing_wrong) {
  std::string numbers(400'000, '\0');
  SeededRng rng(4);
  for (std::size_t i = 0; i < numbers.size(); i += 4) {
    const float weight = static_cast<float>(static_cast<double>(rng.below(2000) + rng.below(2000)) - 2000.0) * 1e-5F;
    std::memcpy(numbers.data() + i, &weight, 4);
  }
  delta::MemorySink sink;
  ASSERT_TRUE(delta::make_delta({}, as_bytes(numbers), sink));
  ASSERT_LT(sink.bytes.size(), numbers.size() * 9 / 10);
  delta_ = std::string(sink.bytes.begin(), sink.bytes.end());
  patch_.base_file.clear();
  patch_.target = crypto::sha256(numbers).text();
  patch_.size = numbers.size();
  int starved = 0, done = 0;
  for (int kibibytes = 200; kibibytes <= 4000; kibibytes += 100) {
    const Status applied =
        apply_with("ulimit -d " + std::to_string(kibibytes) + "; exec " DROVER_BIN_DIR "/drover-patch \"$@\"");
    if (applied) {
      ++done;
      EXPECT_TRUE(folder_.read("out") == numbers) << kibibytes;
      continue;
    }
    EXPECT_EQ(applied.error().message().find("signal"), std::string::npos) << kibibytes << applied.error().message();
    starved += applied.error().message().find("memory") != std::string::npos;
  }
  EXPECT_GT(starved, 0);
  EXPECT_GT(done, 0);
}
#endif

TEST_F(PatchTest, a_decoder_that_is_not_there_is_no_fault_of_the_delta) {
  patch_.program = (folder_ / "nothing").string();
  expect_error(apply(delta_), Code::unsupported);
}

TEST_F(PatchTest, stops_when_it_is_told) {
  patch_.program = folder_.write("hangs", "#!/bin/sh\nexec sleep 1000\n").string();
  ::chmod(patch_.program.c_str(), 0755);
  expect_error(apply(delta_, [] { return true; }), Code::cancelled);
}

}  // namespace
}  // namespace drover::agent
