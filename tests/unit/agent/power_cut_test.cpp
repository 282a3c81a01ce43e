// Promise 2: at any instant a power cut leaves every model slot pointing at a complete, verified version, the old or
// the new. Exhaustive: a deployment is run once to count the changes that it makes to the disk and to its store, then
// once for each of them, with the power cut just before it; and each of these with several fates of what was not
// synced.
#include <gtest/gtest.h>

#include "common/fs/memory_files.h"
#include "tests/support/watched_files.h"
#include "tests/unit/agent/install_device.h"

namespace drover::agent::test {
namespace {

struct PowerCut {};

// Counts changes; the n-th is not made any more.
class Fuse {
 public:
  explicit Fuse(int changes) : left_(changes) {}
  Status operator()(const std::string& change, const std::string& path) {
    if (left_ == 0) throw PowerCut{};
    --left_;
    last_ = change + " " + path;
    return {};
  }
  int left() const { return left_; }
  const std::string& last() const { return last_; }

 private:
  int left_;
  std::string last_;
};

class FusedLedger final : public Ledger {
 public:
  FusedLedger(Ledger& inner, Fuse& fuse) : inner_(inner), fuse_(fuse) {}
  const update::State& state() override { return inner_.state(); }
  std::vector<update::Slot> slots() override { return inner_.slots(); }
  Status apply(const update::Decision& decision) override {
    TRY(fuse_("store", std::string(update::to_text(decision.next.step))));
    return inner_.apply(decision);
  }

 private:
  Ledger& inner_;
  Fuse& fuse_;
};

constexpr int kNever = 1'000'000;
constexpr const char* kFolder = "/state";

struct Case {
  const char* name;
  bool healthy;
  bool first;  // nothing is installed before
};
void PrintTo(const Case& of, std::ostream* out) { *out << of.name; }

class Cut : public testing::TestWithParam<Case> {
 protected:
  struct World {
    fs::MemoryFiles files;
    MemoryLedger ledger;
  };

  std::unique_ptr<World> world() {
    auto made = std::make_unique<World>();
    EXPECT_TRUE(made->files.make_folder(kFolder));
    EXPECT_TRUE(made->files.sync_folder("/"));
    Device device(made->files, made->ledger, kFolder);
    EXPECT_TRUE(device.recover());
    EXPECT_TRUE(GetParam().first || device.deploy(releases_[0], true));
    return made;
  }
  // True when the deployment came to its end before the fuse blew.
  bool deploy(World& world, Fuse& fuse) {
    test_files_ = std::make_unique<drover::test::WatchedFiles>(
        world.files, [&fuse](const std::string& change, const std::string& path) { return fuse(change, path); });
    FusedLedger ledger(world.ledger, fuse);
    Device device(*test_files_, ledger, kFolder);
    try {
      const Status recovered = device.recover();
      EXPECT_TRUE(recovered) << recovered.error().message();
      const Status deployed = device.deploy(releases_[1], GetParam().healthy);
      EXPECT_TRUE(deployed) << deployed.error().message();
      return true;
    } catch (const PowerCut&) {
      return false;
    }
  }
  void expect_complete(World& world, const std::string& when) {
    const auto seen = look(world.files, kFolder, releases_);
    ASSERT_TRUE(seen) << when << ": " << seen.error().message();
    if (GetParam().first)
      EXPECT_NE(*seen, "1") << when;
    else
      EXPECT_NE(*seen, "") << when;
    const Status packages = check_packages(world.files, kFolder, releases_);
    EXPECT_TRUE(packages) << when << ": " << packages.error().message();
  }
  std::string end() const { return GetParam().healthy ? "2" : GetParam().first ? "" : "1"; }

  std::vector<Release> releases_{make_release("1"), make_release("2")};
  std::unique_ptr<drover::test::WatchedFiles> test_files_;
};

INSTANTIATE_TEST_SUITE_P(While, Cut,
                         testing::Values(Case{"a_release_is_installed", true, false},
                                         Case{"a_release_is_rolled_back", false, false},
                                         Case{"the_first_release_is_installed", true, true},
                                         Case{"the_first_release_is_rolled_back", false, true}),
                         [](const auto& each) { return each.param.name; });

TEST_P(Cut, at_any_change_the_slot_is_complete_and_the_deployment_ends_well) {
  auto counted = world();
  Fuse counter(kNever);
  ASSERT_TRUE(deploy(*counted, counter));
  const int changes = kNever - counter.left();
  ASSERT_GT(changes, 60) << "the test must see the changes";
  EXPECT_EQ(*look(counted->files, kFolder, releases_), end());
  for (int at = 0; at < changes; ++at)
    for (std::uint64_t fate = 0; fate < 6; ++fate) {
      auto cut = world();
      Fuse fuse(at);
      ASSERT_FALSE(deploy(*cut, fuse));
      const std::string when =
          "cut after " + std::to_string(at) + " changes (" + fuse.last() + "), fate " + std::to_string(fate);
      if (fate == 0)
        cut->files.power_cut();
      else
        cut->files.power_cut(fate * 1000 + static_cast<std::uint64_t>(at));
      expect_complete(*cut, when + ", before anything runs");
      Fuse never(kNever);
      ASSERT_TRUE(deploy(*cut, never)) << when;
      expect_complete(*cut, when + ", in the end");
      EXPECT_EQ(*look(cut->files, kFolder, releases_), end()) << when;
      if (HasFailure()) return;
    }
}

TEST_P(Cut, of_the_process_alone_at_any_change_is_no_worse) {
  for (int at = 0;; ++at) {
    auto killed = world();
    Fuse fuse(at);
    if (deploy(*killed, fuse)) break;
    expect_complete(*killed, "killed after " + fuse.last());
    Fuse never(kNever);
    ASSERT_TRUE(deploy(*killed, never));
    EXPECT_EQ(*look(killed->files, kFolder, releases_), end()) << "killed after " << fuse.last();
    if (HasFailure()) return;
  }
}

TEST_P(Cut, and_a_second_cut_during_recovery_is_no_worse) {
  for (int at = 20; at < 400; at += 23)
    for (int second = 0; second < 40; ++second) {
      auto cut = world();
      Fuse fuse(at);
      if (deploy(*cut, fuse)) return;
      cut->files.power_cut(static_cast<std::uint64_t>(at));
      Fuse again(second);
      if (deploy(*cut, again)) break;
      cut->files.power_cut(static_cast<std::uint64_t>(second));
      expect_complete(*cut, "cut after " + fuse.last() + " and after " + again.last());
      Fuse never(kNever);
      ASSERT_TRUE(deploy(*cut, never));
      if (HasFailure()) return;
    }
}

}  // namespace
}  // namespace drover::agent::test
