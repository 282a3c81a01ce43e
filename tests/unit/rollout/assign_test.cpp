#include "server/rollout/assign.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>

namespace drover::rollout {
namespace {

// A control plane in memory and one device to ask for.
class Assign : public testing::Test {
 protected:
  struct Rollout {
    std::string id, salt = "salt";
    std::uint64_t order = 0;
    wire::RolloutSpec spec;
    RolloutState state;
    fleet::Group group;
    Thresholds thresholds;
  };

  Assign() {
    device_.id = "d0123456789abcdef0123456789abcdef";
    device_.name = "kiosk-07";
    device_.kind = "kiosk-x64";
    for (const char* version : {"0.9.0", "1.0.0", "2.0.0", "3.0.0"}) add_release("vision", version);
  }

  ReleaseView& add_release(const std::string& model, const std::string& version) {
    return releases_[model + "/" + version] = {model, version, false, {"kiosk-arm64", "kiosk-x64"}};
  }

  // Newer with every call. Open to everyone, completed.
  Rollout& add_rollout(const std::string& release, Phase phase = Phase::completed,
                       const std::string& model = "vision") {
    auto rollout = std::make_unique<Rollout>(Rollout{.id = "r" + std::to_string(rollouts_.size() + 1),
                                                     .order = rollouts_.size() + 1,
                                                     .spec = {},
                                                     .state = {},
                                                     .group = *fleet::Group::from_query("all", "all"),
                                                     .thresholds = {{}, kEveryone}});
    rollout->spec.model = model;
    rollout->spec.release = release;
    rollout->spec.stages.resize(1);
    rollout->spec.stages[0].percent = 100;
    rollout->state.stages.resize(1);
    rollout->state.stage_opened = true;
    rollout->state.phase = phase;
    rollouts_.push_back(std::move(rollout));
    return *rollouts_.back();
  }

  PastDeployment& past(const Rollout& rollout, Standing standing, const std::string& previous = "") {
    history_.push_back({"dep-" + rollout.id, rollout.id, standing, false, previous, false});
    return history_.back();
  }
  void installed(const std::string& release) { installed_.push_back({"vision", release}); }

  std::vector<Desired> ask() const {
    std::vector<RolloutView> views;
    const auto find = [this](std::string_view model, std::string_view version) -> const ReleaseView* {
      const auto at = releases_.find(std::string(model) + "/" + std::string(version));
      return at == releases_.end() ? nullptr : &at->second;
    };
    for (const auto& r : rollouts_)
      views.push_back({r->id, r->order, r->salt, &r->spec, &r->state, &r->group, &r->thresholds,
                       find(r->spec.model, r->spec.release)});
    return assign(device_, installed_, history_, views, find);
  }
  Desired one() const {
    const auto all = ask();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? Desired{} : all[0];
  }
  static std::string told(const Desired& desired) {
    static const char* const kWants[] = {"nothing", "keep", "offer", "go back to"};
    std::string text = kWants[static_cast<int>(desired.want)];
    if (!desired.release.empty()) text += " " + desired.release;
    return text + ": " + std::string(to_text(desired.why)) + (desired.rollback ? " (rollback)" : "");
  }
  std::string answer() const { return told(one()); }

  fleet::DeviceView device_;
  std::vector<InstalledRelease> installed_;
  std::vector<PastDeployment> history_;
  std::vector<std::unique_ptr<Rollout>> rollouts_;
  std::map<std::string, ReleaseView> releases_;
};

TEST_F(Assign, OffersTheNewestRolloutThatCoversTheDevice) {
  add_rollout("1.0.0");
  add_rollout("2.0.0");
  EXPECT_EQ(answer(), "offer 2.0.0: new_offer");
  EXPECT_EQ(one().rollout, "r2");
}

TEST_F(Assign, GivesNothingWithoutRolloutsAndToDevicesThatAreNotActive) {
  EXPECT_TRUE(ask().empty());
  add_rollout("1.0.0");
  device_.state = fleet::DeviceState::pending;
  EXPECT_TRUE(ask().empty());
  device_.state = fleet::DeviceState::decommissioned;
  EXPECT_TRUE(ask().empty());
}

TEST_F(Assign, LeavesADeviceBehindTheThresholdToTheOlderRollout) {
  add_rollout("1.0.0");
  Rollout& canary = add_rollout("2.0.0", Phase::open);
  canary.thresholds = {{{"kiosk-x64", bucket("salt", device_.id)}}, kEveryone};
  EXPECT_EQ(answer(), "offer 1.0.0: new_offer") << "who is late gets the release that is through";
  canary.thresholds.by_kind[0].second += 1;
  EXPECT_EQ(answer(), "offer 2.0.0: new_offer") << "its own place is just inside";
  canary.thresholds.by_kind[0].first = "kiosk-y";
  canary.thresholds.otherwise = 0;
  rollouts_.erase(rollouts_.begin());
  EXPECT_EQ(answer(), "nothing: not_yet");
}

TEST_F(Assign, AsksTheGroup) {
  Rollout& rollout = add_rollout("1.0.0", Phase::open);
  rollout.group = *fleet::Group::from_query("lab", "tag:lab");
  EXPECT_EQ(answer(), "nothing: no_rollout");
  device_.tags = {"lab"};
  EXPECT_EQ(answer(), "offer 1.0.0: new_offer");
}

TEST_F(Assign, KeepsWhatADeviceGotInAGroupThatItHasLeft) {
  Rollout& rollout = add_rollout("1.0.0");
  past(rollout, Standing::succeeded);
  rollout.group = *fleet::Group::from_query("lab", "tag:lab");
  EXPECT_EQ(answer(), "keep 1.0.0: done");
}

TEST_F(Assign, StaysWithTheSameDeploymentUntilItEnds) {
  Rollout& rollout = add_rollout("1.0.0", Phase::open);
  past(rollout, Standing::in_flight);
  EXPECT_EQ(answer(), "keep 1.0.0: on_its_way");
  EXPECT_EQ(one().deployment, "dep-r1");
  rollout.thresholds = {{}, 0};
  EXPECT_EQ(answer(), "keep 1.0.0: on_its_way") << "who has it, has it";
  history_[0].standing = Standing::silent;
  EXPECT_EQ(answer(), "keep 1.0.0: on_its_way") << "it may still come";
  history_[0].standing = Standing::succeeded;
  EXPECT_EQ(answer(), "keep 1.0.0: done");
}

TEST_F(Assign, NeverOffersAgainWhatFailedHere) {
  add_rollout("1.0.0");
  Rollout& second = add_rollout("2.0.0", Phase::open);
  past(*rollouts_[0], Standing::succeeded);
  past(second, Standing::none);
  for (const Standing standing : {Standing::failed, Standing::rolled_back, Standing::aborted}) {
    history_[1].standing = standing;
    EXPECT_EQ(answer(), "keep 1.0.0: done");
  }
  history_.erase(history_.begin());
  rollouts_.erase(rollouts_.begin());
  EXPECT_EQ(answer(), "nothing: failed_before");
  add_rollout("2.0.0", Phase::open).id = "r9";
  EXPECT_EQ(answer(), "offer 2.0.0: new_offer") << "another rollout of the same release is another attempt";
}

TEST_F(Assign, OffersNothingNewWhilePausedButLetsWhatIsInFlightGoOn) {
  Rollout& rollout = add_rollout("1.0.0", Phase::paused);
  EXPECT_EQ(answer(), "nothing: paused");
  past(rollout, Standing::in_flight);
  EXPECT_EQ(answer(), "keep 1.0.0: on_its_way");
}

TEST_F(Assign, TakesBackWhatIsNotYetActivatedWhenHalted) {
  installed("1.0.0");
  past(add_rollout("1.0.0"), Standing::succeeded);
  for (const Phase phase : {Phase::halted, Phase::aborted}) {
    Rollout& rollout = add_rollout("2.0.0", phase);
    EXPECT_EQ(answer(), "keep 1.0.0: done") << "no new offer";
    past(rollout, Standing::in_flight);
    EXPECT_EQ(answer(), "keep 1.0.0: done") << "2.0.0 is not named any more: taken back";
    history_.back().activated = true;
    EXPECT_EQ(answer(), "keep 2.0.0: on_its_way") << "the device itself finds out whether it is well";
    history_.back().activated = false;
    installed_[0].release = "2.0.0";
    EXPECT_EQ(answer(), "keep 2.0.0: on_its_way") << "it runs, though its report is still to come";
    installed_[0].release = "1.0.0";
    history_.pop_back();
    rollouts_.pop_back();
  }
}

TEST_F(Assign, SaysThatItTookBackWhenThereIsNothingElse) {
  past(add_rollout("2.0.0", Phase::halted), Standing::in_flight);
  EXPECT_EQ(answer(), "nothing: taken_back");
  EXPECT_EQ(one().deployment, "dep-r1");
}

TEST_F(Assign, LeavesWhatSucceededInAHaltedRollout) {
  past(add_rollout("1.0.0"), Standing::succeeded);
  past(add_rollout("2.0.0", Phase::halted), Standing::succeeded);
  EXPECT_EQ(answer(), "keep 2.0.0: done");
}

TEST_F(Assign, ReturnsEachDeviceToWhatItItselfRanBefore) {
  past(add_rollout("1.0.0"), Standing::succeeded);
  Rollout& rollout = add_rollout("2.0.0", Phase::rolling_back);
  past(rollout, Standing::succeeded, "0.9.0");
  for (const Phase phase : {Phase::rolling_back, Phase::rolled_back}) {
    rollout.state.phase = phase;
    EXPECT_EQ(answer(), "go back to 0.9.0: rollback (rollback)") << "not to what the older rollout would give";
  }
  EXPECT_EQ(one().rollout, "r2");
  history_[1].return_ended = true;
  EXPECT_EQ(answer(), "keep 1.0.0: done");
}

TEST_F(Assign, TakesBackWhatIsInFlightInARollback) {
  past(add_rollout("1.0.0"), Standing::succeeded);
  past(add_rollout("2.0.0", Phase::rolling_back), Standing::in_flight, "1.0.0");
  EXPECT_EQ(answer(), "keep 1.0.0: done");
  history_[1].activated = true;
  EXPECT_EQ(answer(), "go back to 1.0.0: rollback (rollback)");
}

TEST_F(Assign, ReturnsNobodyToNothing) {
  Rollout& rollout = add_rollout("2.0.0", Phase::rolling_back);
  past(rollout, Standing::succeeded);
  EXPECT_EQ(answer(), "nothing: no_previous");
  history_[0].previous = "0.1.0";
  EXPECT_EQ(answer(), "nothing: no_previous") << "a release that is unknown";
  history_[0].previous = "1.0.0";
  releases_["vision/1.0.0"].withdrawn = true;
  EXPECT_EQ(answer(), "nothing: no_previous") << "a release that was withdrawn";
}

TEST_F(Assign, OffersNothingOfARollbackToDevicesThatNeverTookPart) {
  add_rollout("1.0.0");
  add_rollout("2.0.0", Phase::rolling_back);
  EXPECT_EQ(answer(), "offer 1.0.0: new_offer");
}

TEST_F(Assign, LetsANewerRolloutWinOverAnOlderRollback) {
  past(add_rollout("2.0.0", Phase::rolling_back), Standing::succeeded, "1.0.0");
  add_rollout("3.0.0", Phase::open);
  EXPECT_EQ(answer(), "offer 3.0.0: new_offer");
}

TEST_F(Assign, NeverOffersAWithdrawnRelease) {
  Rollout& rollout = add_rollout("2.0.0");
  releases_["vision/2.0.0"].withdrawn = true;
  EXPECT_EQ(answer(), "nothing: withdrawn");
  past(rollout, Standing::in_flight);
  EXPECT_EQ(answer(), "nothing: taken_back");
  history_[0].standing = Standing::succeeded;
  EXPECT_EQ(answer(), "nothing: withdrawn") << "not named; it stays until somebody rolls back";
  releases_.erase("vision/2.0.0");
  EXPECT_EQ(answer(), "nothing: withdrawn");
  rollout.state.phase = Phase::rolling_back;
  history_[0].previous = "1.0.0";
  EXPECT_EQ(answer(), "go back to 1.0.0: rollback (rollback)");
}

TEST_F(Assign, GivesNothingToAKindWithoutAVariant) {
  add_rollout("2.0.0");
  device_.kind = "kiosk-riscv";
  EXPECT_EQ(answer(), "nothing: no_variant");
}

TEST_F(Assign, KnowsADeviceThatRunsTheReleaseAlready) {
  Rollout& rollout = add_rollout("2.0.0", Phase::open);
  installed("2.0.0");
  EXPECT_EQ(answer(), "keep 2.0.0: already_installed");
  rollout.spec.stages[0].max_in_flight = 1;
  rollout.state.stages[0].in_flight = rollout.state.stages[0].offered = 1;
  EXPECT_EQ(answer(), "keep 2.0.0: already_installed") << "nothing is in flight for it";
  rollout.thresholds.otherwise = 0;
  EXPECT_EQ(answer(), "nothing: not_yet");
}

TEST_F(Assign, HeedsTheInFlightCap) {
  Rollout& rollout = add_rollout("2.0.0", Phase::open);
  rollout.spec.stages[0].max_in_flight = 3;
  rollout.state.stages[0].in_flight = rollout.state.stages[0].offered = 3;
  EXPECT_EQ(answer(), "nothing: capped");
}

TEST_F(Assign, KnowsThatTheDeviceWaitsForAPlaceWhateverOtherRolloutsSay) {
  past(add_rollout("1.0.0"), Standing::succeeded);
  installed("1.0.0");
  EXPECT_FALSE(one().waits_for_place);
  Rollout& rollout = add_rollout("2.0.0", Phase::open);
  rollout.spec.stages[0].max_in_flight = 3;
  rollout.state.stages[0].in_flight = rollout.state.stages[0].offered = 3;
  EXPECT_EQ(answer(), "keep 1.0.0: done");
  EXPECT_TRUE(one().waits_for_place) << "behind an older rollout that has something";
  past(add_rollout("3.0.0", Phase::halted), Standing::failed);
  EXPECT_TRUE(one().waits_for_place) << "behind a newer one that has nothing";
  rollout.state.stages[0].in_flight = 2;
  EXPECT_EQ(answer(), "offer 2.0.0: new_offer");
  EXPECT_FALSE(one().waits_for_place);
}

TEST_F(Assign, AnswersForEachModelOnItsOwn) {
  add_release("sound", "1.0.0");
  add_rollout("1.0.0", Phase::completed, "vision");
  add_rollout("1.0.0", Phase::paused, "sound");
  const auto all = ask();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].model + " " + told(all[0]), "sound nothing: paused");
  EXPECT_EQ(all[1].model + " " + told(all[1]), "vision offer 1.0.0: new_offer");
}

TEST_F(Assign, OffersNothingToAnybodyOnceHalted) {
  Rollout& rollout = add_rollout("2.0.0", Phase::halted);
  for (int i = 0; i < 1000; ++i) {
    device_.id = "d" + std::to_string(i);
    ASSERT_EQ(one().want, Want::nothing);
  }
  rollout.state.phase = Phase::open;
  EXPECT_EQ(one().want, Want::offer);
}

}  // namespace
}  // namespace drover::rollout
