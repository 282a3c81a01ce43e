// The store and the installer on the machine's own file system and SQLite, killed before each change to the disk: a
// child process does the work and ends itself at the n-th change, as SIGKILL would; then the slot is looked at, and
// another one finishes the work. Exhaustive over n.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include "common/fs/files.h"
#include "tests/support/temp_folder.h"
#include "tests/support/watched_files.h"
#include "tests/unit/agent/install_device.h"

namespace drover::agent::test {
namespace {

constexpr int kKilled = 99, kDone = 0, kWrong = 1;
constexpr int kNever = 1'000'000;

// Runs `work` in a child, which is gone before its n-th change. The child's exit code.
int in_a_child(int changes, const std::function<bool(const drover::test::WatchedFiles::Hook&)>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    int left = changes;
    const auto hook = [&left](const std::string&, const std::string&) {
      if (left-- == 0) ::_exit(kKilled);
      return Status();
    };
    ::_exit(work(hook) ? kDone : kWrong);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class HookedLedger final : public Ledger {
 public:
  HookedLedger(std::unique_ptr<Store> store, const drover::test::WatchedFiles::Hook& hook)
      : inner_(std::move(store)), hook_(hook) {}
  const update::State& state() override { return inner_.state(); }
  std::vector<update::Slot> slots() override { return inner_.slots(); }
  Status apply(const update::Decision& decision) override {
    TRY(hook_("store", "before"));
    TRY(inner_.apply(decision));
    return hook_("store", "after");
  }

 private:
  StoreLedger inner_;
  const drover::test::WatchedFiles::Hook& hook_;
};

class Kill : public testing::TestWithParam<bool> {
 protected:
  // The whole way from where the disk stands: one release, then the other.
  bool work(const std::string& folder, const drover::test::WatchedFiles::Hook& hook) {
    drover::test::WatchedFiles files(fs::system_files(), hook);
    auto store = Store::open(folder + "/agent.db");
    if (!store) return false;
    HookedLedger ledger(std::move(*store), hook);
    Device device(files, ledger, folder);
    if (!device.recover()) return false;
    if (ledger.state().step == update::Step::idle || ledger.state().target.release == "1") {
      if (!device.deploy(releases_[0], true)) return false;
    }
    return device.deploy(releases_[1], GetParam()).has_value();
  }
  const std::vector<Release> releases_{make_release("1"), make_release("2")};
};

INSTANTIATE_TEST_SUITE_P(While, Kill, testing::Bool(), [](const auto& healthy) {
  return healthy.param ? "a_release_is_installed" : "a_release_is_rolled_back";
});

// In memory where the machine has such a place: a kill loses nothing that was written, synced or not, and thousands of
// syncs are minutes on a busy disk.
void use_fast_folder() {
  struct stat info {};
  if (::stat("/dev/shm", &info) == 0 && S_ISDIR(info.st_mode) && ::access("/dev/shm", W_OK) == 0)
    ::setenv("TMPDIR", "/dev/shm", 1);
}

TEST_P(Kill, before_any_change_leaves_a_complete_slot_and_is_finished_afterwards) {
  use_fast_folder();
  fs::Files& disk = fs::system_files();
  bool seen_one = false;
  int kills = 0;
  for (int changes = 0; changes < kNever; changes += 1, ++kills) {
    const drover::test::TempFolder folder;
    const std::string path = folder.path().string();
    const auto step = [&](const drover::test::WatchedFiles::Hook& hook) { return work(path, hook); };
    const int end = in_a_child(changes, step);
    if (end == kDone) break;
    ASSERT_EQ(end, kKilled) << "at change " << changes;
    const auto seen = look(disk, path, releases_);
    ASSERT_TRUE(seen) << "killed at change " << changes << ": " << seen.error().message();
    EXPECT_TRUE(!seen_one || *seen != "") << "killed at change " << changes;
    seen_one = *seen == "1";
    ASSERT_EQ(in_a_child(kNever, step), kDone) << "after a kill at change " << changes;
    EXPECT_EQ(*look(disk, path, releases_), GetParam() ? "2" : "1") << "after a kill at change " << changes;
    const Status packages = check_packages(disk, path, releases_);
    EXPECT_TRUE(packages) << packages.error().message();
    if (HasFailure()) return;
  }
  EXPECT_GT(kills, 100) << "the test must see the changes";
}

}  // namespace
}  // namespace drover::agent::test
