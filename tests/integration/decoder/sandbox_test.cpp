// drover-patch seen from outside while it reads: its delta is a pipe, so that a test can look at it in the middle, and
// change the world under its feet.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/crypto/hash.h"
#include "common/delta/delta.h"
#include "common/process/process.h"
#include "tests/support/noise.h"
#include "tests/support/temp_folder.h"

namespace drover {
namespace {

using testing::HasSubstr;

constexpr std::size_t kSize = 4 << 20;
constexpr int kMostLooks = 20'000;  // a millisecond apart

class Sandbox : public testing::Test {
 protected:
  Sandbox() {
    base_ = target_ = noise(kSize, 1);
    target_.replace(kSize / 2, 1000, noise(1000, 2));
    delta::MemorySink sink;
    EXPECT_TRUE(delta::make_delta(as_bytes(base_), as_bytes(target_), sink));
    delta_.assign(sink.bytes.begin(), sink.bytes.end());
    base_file_ = folder_.write("base", base_).string();
    pipe_file_ = (folder_ / "delta").string();
    EXPECT_EQ(::mkfifo(pipe_file_.c_str(), 0600), 0);
    // For both: then neither side waits for the other to open it.
    pipe_ = ::open(pipe_file_.c_str(), O_RDWR | O_CLOEXEC);
    EXPECT_GE(pipe_, 0);
  }
  ~Sandbox() override { ::close(pipe_); }

  process::Child start(const std::string& base_digest = "") {
    process::Spec spec;
    spec.argv = {DROVER_BIN_DIR "/drover-patch", "--delta", pipe_file_, "--out", out(), "--size",
                 std::to_string(target_.size())};
    if (!base_file_.empty()) spec.argv.insert(spec.argv.end(), {"--base", base_file_});
    if (!base_digest.empty()) spec.argv.insert(spec.argv.end(), {"--base-digest", base_digest});
    spec.deadline = std::chrono::seconds(60);
    auto child = process::start(spec);
    EXPECT_TRUE(child) << child.error().message();
    return std::move(*child);
  }
  void feed(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(pipe_, bytes.data(), bytes.size());
      ASSERT_GT(count, 0);
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  // Nothing but the end of a pipe's last writer ends it, and this test is one.
  static process::Outcome wait(process::Child& child) {
    while (!child.advance()) {
      pollfd ready{child.fd(), POLLIN, 0};
      ::poll(&ready, 1, -1);
    }
    return child.take_outcome();
  }
  static std::string status_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  static unsigned long anonymous_kibibytes(pid_t pid) {
    const std::string status = status_of(pid);
    const std::size_t at = status.find("RssAnon:");
    EXPECT_NE(at, std::string::npos);
    return at == std::string::npos ? 0 : std::stoul(status.substr(at + 8));
  }
  // It is confined when its filter is on, and then about to read the pipe.
  static void wait_until_confined(pid_t pid) {
    for (int looks = 0; looks < kMostLooks && ::kill(pid, 0) == 0; ++looks) {
      if (status_of(pid).find("Seccomp:\t2") != std::string::npos) return;
      ::usleep(1000);
    }
    ADD_FAILURE() << "it is not confined";
  }
  std::string out() const { return (folder_ / "out").string(); }

  test::TempFolder folder_;
  std::string base_, target_, delta_, base_file_, pipe_file_;
  int pipe_ = -1;
};

TEST_F(Sandbox, before_it_reads_a_byte_it_holds_three_files_and_can_get_no_other) {
  process::Child child = start();
  const pid_t pid = child.pid();
  wait_until_confined(pid);
  EXPECT_THAT(status_of(pid), HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(status_of(pid), HasSubstr("Threads:\t1\n"));
  std::vector<std::string> open;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd"))
    if (std::stoi(entry.path().filename()) > 2) open.push_back(std::filesystem::read_symlink(entry.path()).string());
  EXPECT_THAT(open, testing::UnorderedElementsAre(pipe_file_, out())) << "the base is mapped";
  std::ifstream limits("/proc/" + std::to_string(pid) + "/limits");
  std::stringstream text;
  text << limits.rdbuf();
  EXPECT_THAT(text.str(), testing::ContainsRegex("Max open files +0 "));
  EXPECT_THAT(text.str(), testing::ContainsRegex("Max processes +0 "));
  EXPECT_THAT(text.str(), testing::ContainsRegex("Max file size +" + std::to_string(kSize) + " "));
  const std::size_t address_space = text.str().find("Max address space"), mapped = status_of(pid).find("VmSize:");
  ASSERT_NE(address_space, std::string::npos);
  ASSERT_NE(mapped, std::string::npos);
  EXPECT_LE(std::stod(text.str().substr(address_space + 17)),
            std::stod(status_of(pid).substr(mapped + 7)) * 1024 + (17 << 20));
  feed(delta_);
  const process::Outcome outcome = wait(child);
  EXPECT_TRUE(outcome.exited(0)) << process::describe(outcome) << outcome.out;
  EXPECT_EQ(folder_.read("out"), target_);
}

TEST_F(Sandbox, a_base_cut_short_while_it_is_read_ends_the_child_alone) {
  process::Child child = start();
  wait_until_confined(child.pid());
  std::filesystem::resize_file(base_file_, 4096);
  feed(delta_);
  const process::Outcome outcome = wait(child);
  EXPECT_EQ(outcome.signal, SIGBUS) << process::describe(outcome) << outcome.out;
}

TEST_F(Sandbox, a_base_that_changes_while_it_is_read_is_found_by_the_digest) {
  process::Child child = start();
  wait_until_confined(child.pid());
  const int file = ::open(base_file_.c_str(), O_WRONLY);
  EXPECT_EQ(::pwrite(file, "changed", 7, 1000), 7);
  ::close(file);
  feed(delta_);
  const process::Outcome outcome = wait(child);
  EXPECT_TRUE(outcome.exited(1)) << process::describe(outcome);
  EXPECT_THAT(outcome.out, testing::StartsWith("digest_mismatch "));
}

#if !defined(__SANITIZE_ADDRESS__)
TEST_F(Sandbox, takes_little_memory_beside_its_base) {
  process::Child child = start();
  wait_until_confined(child.pid());
  feed(delta_.substr(0, delta_.size() - 1));  // all but the end: it has decoded, and waits
  const auto written = [this] { return std::filesystem::file_size(out()); };
  while (written() < kSize / 2) ::usleep(1000);
  EXPECT_LT(anonymous_kibibytes(child.pid()), 6U * 1024);
  feed(delta_.substr(delta_.size() - 1));
  EXPECT_TRUE(wait(child).exited(0));
}

// 12 MiB whose second half is the first, as one frame with a window of 8 MiB: it looks back into what it has written.
TEST_F(Sandbox, takes_little_memory_for_a_long_stretch_that_repeats_what_is_far_back) {
  base_.clear();
  base_file_.clear();
  const std::string half = noise(6 << 20, 3);
  target_ = half + half;
  delta::MemorySink sink;
  ASSERT_TRUE(delta::make_delta({}, as_bytes(target_), sink));
  ASSERT_LT(sink.bytes.size(), half.size() + 20'000);
  process::Child child = start();
  wait_until_confined(child.pid());
  feed(std::string_view(reinterpret_cast<const char*>(sink.bytes.data()), sink.bytes.size() - 1));
  // The file is extended at once, so that its size says nothing: the pipe is empty when all but the end is read.
  for (int left = 1; left > 0; ::usleep(1000)) ASSERT_EQ(::ioctl(pipe_, FIONREAD, &left), 0);
  EXPECT_LT(anonymous_kibibytes(child.pid()), 6U * 1024);
  feed(std::string_view(reinterpret_cast<const char*>(sink.bytes.data()) + sink.bytes.size() - 1, 1));
  const process::Outcome outcome = wait(child);
  EXPECT_TRUE(outcome.exited(0)) << process::describe(outcome) << outcome.out;
  EXPECT_TRUE(folder_.read("out") == target_);
}
#endif

TEST_F(Sandbox, a_link_in_the_place_of_the_result_is_not_followed) {
  std::filesystem::create_symlink(base_file_, out());
  process::Child child = start();
  feed(delta_);
  EXPECT_TRUE(wait(child).exited(1));
  EXPECT_EQ(folder_.read("base"), base_);
}

TEST(DecoderUsage, is_told_with_its_exit_status) {
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{},
                                             {"--delta"},
                                             {"--delta", "x", "--out", "y"},
                                             {"--delta", "x", "--out", "y", "--size", "0"},
                                             {"--delta", "x", "--out", "y", "--size", "many"},
                                             {"--colour", "red"}}) {
    process::Spec spec;
    spec.argv = {DROVER_BIN_DIR "/drover-patch"};
    spec.argv.insert(spec.argv.end(), wrong.begin(), wrong.end());
    const auto outcome = process::run_process(spec);
    ASSERT_TRUE(outcome);
    EXPECT_TRUE(outcome->exited(2)) << outcome->out;
    EXPECT_THAT(outcome->out, testing::StartsWith("invalid_argument "));
  }
}

}  // namespace
}  // namespace drover
