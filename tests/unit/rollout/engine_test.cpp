#include "server/rollout/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/rollout/bucket.h"

namespace drover::rollout {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using testing::HasSubstr;

wire::StageSpec stage(double percent, bool automatic = false, seconds soak = seconds(0)) {
  wire::StageSpec spec;
  spec.percent = percent;
  spec.automatic = automatic;
  spec.soak = soak;
  spec.deadline = seconds(600);
  return spec;
}

// A rollout with its state, told in words.
struct Story {
  wire::RolloutSpec spec;
  RolloutState state;
  std::vector<Action> actions;  // of the last input
  WallTime now{hours(24 * 365 * 50)};

  explicit Story(std::vector<wire::StageSpec> stages, std::int64_t first_members = 4) {
    spec.stages = std::move(stages);
    Decision first = begin(spec, now);
    EXPECT_TRUE(first.outcome.has_value());
    state = first.state;
    actions = first.actions;
    open(first_members);
  }

  Status feed(decltype(Input::event) event) {
    Decision decision = decide(spec, state, {now, std::move(event)});
    state = std::move(decision.state);
    actions = std::move(decision.actions);
    return std::move(decision.outcome);
  }
  void open(std::int64_t covered) { EXPECT_TRUE(feed(StageOpened{state.stage, covered})); }
  Status move(Standing from, Standing to) { return feed(DeploymentMoved{state.stage, from, to}); }
  void offer(int n = 1) {
    for (; n > 0; --n) EXPECT_TRUE(move(Standing::none, Standing::in_flight));
  }
  void end(Standing how, int n = 1) {
    for (; n > 0; --n) {
      offer();
      EXPECT_TRUE(move(Standing::in_flight, how));
    }
  }
  void pass(seconds time) {
    for (; time > seconds(0); time -= seconds(10)) {
      now += std::min(time, seconds(10));
      EXPECT_TRUE(feed(Tick{}));
    }
  }
  Status command(Verb verb, std::int32_t from_stage = -1) { return feed(Command{verb, "ann", from_stage}); }
  bool did(Action::Kind kind) const {
    return std::any_of(actions.begin(), actions.end(), [&](const Action& action) { return action.kind == kind; });
  }
  Phase phase() const { return state.phase; }
};

Code code_of(const Status& status) { return status ? Code::ok : status.error().code(); }

TEST(Rollout, OpensItsFirstStageAndOffersNothingBefore) {
  wire::RolloutSpec spec;
  spec.stages = {stage(25), stage(100)};
  const WallTime now{hours(1000)};
  const Decision first = begin(spec, now);
  ASSERT_EQ(first.actions.size(), 1u);
  EXPECT_EQ(first.actions[0].kind, Action::Kind::open_stage);
  EXPECT_EQ(offer_allowed(spec, first.state, 0, kEveryone), Offer::not_offering);
  const Decision early = decide(spec, first.state, {now, DeploymentMoved{0, Standing::none, Standing::in_flight}});
  EXPECT_EQ(code_of(early.outcome), Code::conflict);
  const Decision again = decide(spec, first.state, {now + seconds(1), Tick{}});
  ASSERT_EQ(again.actions.size(), 1u) << "until it took effect";
  EXPECT_EQ(again.actions[0].kind, Action::Kind::open_stage);
}

TEST(Rollout, WithoutStagesIsRefused) {
  EXPECT_EQ(code_of(begin({}, WallTime{}).outcome), Code::invalid_argument);
  EXPECT_EQ(code_of(decide({}, {}, {WallTime{}, Tick{}}).outcome), Code::internal);
}

TEST(Rollout, GoesFromCanaryToAllByTwoPromotions) {
  Story story({stage(25), stage(50), stage(100)}, 2);
  story.end(Standing::succeeded);
  EXPECT_EQ(story.phase(), Phase::open) << "one of two";
  story.end(Standing::succeeded);
  EXPECT_EQ(story.phase(), Phase::awaiting_promotion);
  EXPECT_EQ(public_state(story.phase()), wire::RolloutState::awaiting_promotion);
  EXPECT_TRUE(story.command(Verb::promote, 0));
  EXPECT_TRUE(story.did(Action::Kind::open_stage));
  EXPECT_EQ(story.state.stage, 1);
  EXPECT_THAT(story.state.reason, HasSubstr("promoted by ann"));
  story.open(4);
  EXPECT_EQ(story.state.stages[1].members, 2) << "its own, not those of the canary";
  story.end(Standing::succeeded, 2);
  EXPECT_TRUE(story.command(Verb::promote, 1));
  story.open(8);
  story.end(Standing::succeeded, 4);
  EXPECT_EQ(story.phase(), Phase::completed) << "nobody has to promote the last stage";
  EXPECT_TRUE(story.did(Action::Kind::complete));
}

TEST(Rollout, PromotesItselfAfterTheSoak) {
  Story story({stage(25, true, seconds(60)), stage(100)}, 1);
  story.end(Standing::succeeded);
  EXPECT_EQ(story.phase(), Phase::soaking);
  story.pass(seconds(50));
  EXPECT_EQ(story.state.stage, 0);
  story.pass(seconds(10));
  EXPECT_EQ(story.state.stage, 1);
  EXPECT_TRUE(story.did(Action::Kind::open_stage));
}

TEST(Rollout, TakesAnEmptyLaterStageAsPassed) {
  Story story({stage(25, true), stage(100)}, 1);
  story.end(Standing::succeeded);
  story.open(1);
  EXPECT_EQ(story.phase(), Phase::completed);
}

TEST(Rollout, HoldsAnEmptyFirstStage) {
  Story story({stage(25, true), stage(100)}, 0);
  story.pass(seconds(1000));
  EXPECT_EQ(story.phase(), Phase::open);
  EXPECT_EQ(code_of(story.command(Verb::promote, 0)), Code::conflict);
}

TEST(Rollout, HaltsOnTheFirstFailureOfASmallCanaryAndOffersNothingMore) {
  Story story({stage(25), stage(100)}, 2);
  story.offer();
  story.end(Standing::failed);
  EXPECT_EQ(story.phase(), Phase::halted);
  EXPECT_TRUE(story.did(Action::Kind::halt));
  EXPECT_THAT(story.state.reason, HasSubstr("stage 1: 1 of 1 executed device failed, more than 10 %"));
  EXPECT_EQ(offer_allowed(story.spec, story.state, 0, kEveryone), Offer::not_offering);
  EXPECT_EQ(code_of(story.move(Standing::none, Standing::in_flight)), Code::conflict);
  EXPECT_TRUE(story.move(Standing::in_flight, Standing::aborted)) << "taken back";
}

TEST(Rollout, HaltsWhenAFailureComesInTheSoakOrWhileAPersonThinks) {
  Story story({stage(25, false, seconds(60)), stage(100)}, 4);
  story.spec.stages[0].success_percent = 50;
  story.end(Standing::succeeded, 2);
  EXPECT_EQ(story.phase(), Phase::soaking);
  story.end(Standing::rolled_back);
  EXPECT_EQ(story.phase(), Phase::halted);

  Story waiting({stage(25), stage(100)}, 4);
  waiting.spec.stages[0].success_percent = 50;
  waiting.end(Standing::succeeded, 2);
  EXPECT_EQ(waiting.phase(), Phase::awaiting_promotion);
  waiting.end(Standing::failed);
  EXPECT_EQ(waiting.phase(), Phase::halted);
}

TEST(Rollout, HaltsWhenADeviceOfTheCanaryFailsAfterThePromotion) {
  Story story({stage(25), stage(100)}, 4);
  story.spec.stages[0].success_percent = 50;
  story.offer(1);
  story.end(Standing::succeeded, 2);
  EXPECT_TRUE(story.command(Verb::promote, 0));
  EXPECT_TRUE(story.feed(DeploymentMoved{0, Standing::in_flight, Standing::rolled_back}));
  EXPECT_EQ(story.phase(), Phase::halted) << "even before the next stage's thresholds stand";
}

TEST(Rollout, IsHeldAgainWhenTheVerdictChanges) {
  Story story({stage(25, true, seconds(60)), stage(100)}, 10);
  story.spec.stages[0].failure_threshold_percent = 50;
  story.spec.stages[0].success_percent = 20;
  story.end(Standing::succeeded, 2);
  EXPECT_EQ(story.phase(), Phase::soaking);
  story.pass(seconds(50));
  story.spec.stages[0].success_percent = 30;  // as when more members are found
  story.pass(seconds(10));
  EXPECT_EQ(story.phase(), Phase::open);
  story.end(Standing::succeeded);
  EXPECT_EQ(story.phase(), Phase::soaking);
  EXPECT_EQ(story.state.soaked, seconds(0)) << "the soak begins anew";
}

TEST(Rollout, RefusesTheSecondOfTwoPromotionsAtOnce) {
  Story story({stage(10), stage(50), stage(100)}, 1);
  story.end(Standing::succeeded);
  EXPECT_TRUE(story.command(Verb::promote, 0));
  story.open(1);  // the next stage adds nobody: its gate says promote at once
  EXPECT_EQ(story.phase(), Phase::awaiting_promotion);
  const Status second = story.command(Verb::promote, 0);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::conflict);
  EXPECT_THAT(second.error().message(), HasSubstr("stage 2 is open"));
  EXPECT_EQ(story.state.stage, 1);
}

TEST(Rollout, PromotesNobodyAgainstTheGate) {
  Story story({stage(25), stage(100)}, 4);
  story.end(Standing::succeeded);
  const Status early = story.command(Verb::promote, 0);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code(), Code::conflict);
  EXPECT_THAT(early.error().message(), HasSubstr("1 of 4 devices succeeded, 4 needed"));
}

TEST(Rollout, GoesBackToWhereItWasOnResumeAndNeverFurther) {
  Story story({stage(25, true, seconds(60)), stage(50), stage(100)}, 1);
  story.end(Standing::succeeded);
  story.pass(seconds(50));
  EXPECT_TRUE(story.command(Verb::pause));
  EXPECT_EQ(offer_allowed(story.spec, story.state, 0, kEveryone), Offer::not_offering);
  story.pass(seconds(600));
  EXPECT_EQ(story.phase(), Phase::paused);
  EXPECT_TRUE(story.command(Verb::resume));
  EXPECT_EQ(story.phase(), Phase::soaking);
  story.pass(seconds(50));
  EXPECT_EQ(story.state.stage, 0) << "the soak begins anew";
  story.pass(seconds(10));
  EXPECT_EQ(story.state.stage, 1);

  Story waiting({stage(25), stage(100)}, 1);
  waiting.end(Standing::succeeded);
  EXPECT_TRUE(waiting.command(Verb::pause));
  EXPECT_TRUE(waiting.command(Verb::resume));
  EXPECT_EQ(waiting.phase(), Phase::awaiting_promotion);
  EXPECT_EQ(waiting.state.stage, 0);
}

TEST(Rollout, LetsWhatIsInFlightGoOnWhilePausedAndHaltsAllTheSame) {
  Story story({stage(25), stage(100)}, 2);
  story.offer(2);
  EXPECT_TRUE(story.command(Verb::pause));
  EXPECT_FALSE(story.move(Standing::none, Standing::in_flight));
  EXPECT_TRUE(story.move(Standing::in_flight, Standing::succeeded));
  EXPECT_EQ(story.phase(), Phase::paused);
  EXPECT_TRUE(story.move(Standing::in_flight, Standing::rolled_back));
  EXPECT_EQ(story.phase(), Phase::halted);
}

TEST(Rollout, OpensAStageThatWasPausedBeforeItsThresholdsStood) {
  Story story({stage(25, true), stage(100)}, 1);
  story.end(Standing::succeeded);
  ASSERT_FALSE(story.state.stage_opened);
  EXPECT_TRUE(story.command(Verb::pause));
  story.pass(seconds(1));
  EXPECT_TRUE(story.did(Action::Kind::open_stage));
  story.open(4);
  EXPECT_TRUE(story.command(Verb::resume));
  story.end(Standing::succeeded, 3);
  EXPECT_EQ(story.phase(), Phase::completed);
}

TEST(Rollout, AsksForSilentDevicesAfterTheDeadlineAndCountsThem) {
  Story story({stage(25), stage(100)}, 2);
  story.offer();
  story.pass(seconds(590));
  EXPECT_FALSE(story.did(Action::Kind::sweep_silent));
  story.pass(seconds(10));
  ASSERT_TRUE(story.did(Action::Kind::sweep_silent));
  EXPECT_EQ(story.actions[0].watched, story.state.watched - seconds(600));
  EXPECT_TRUE(story.move(Standing::in_flight, Standing::silent));
  EXPECT_EQ(story.phase(), Phase::halted);
  EXPECT_TRUE(story.move(Standing::silent, Standing::succeeded)) << "it spoke late";
  EXPECT_EQ(story.state.stages[0].silent, 0);
  EXPECT_EQ(story.phase(), Phase::halted) << "a halt is final";
}

TEST(Rollout, IsNotFooledByAClockThatJumpsAhead) {
  Story story({stage(25, true, hours(1)), stage(100)}, 2);
  story.spec.stages[0].success_percent = 50;
  story.offer();
  story.end(Standing::succeeded);
  EXPECT_EQ(story.phase(), Phase::soaking);
  story.now += hours(24 * 365);
  EXPECT_TRUE(story.feed(Tick{}));
  EXPECT_EQ(story.phase(), Phase::soaking) << "nobody watched that year";
  EXPECT_FALSE(story.did(Action::Kind::sweep_silent)) << "and nobody was silent in it";
  EXPECT_LE(story.state.soaked, kMaxStep);
}

TEST(Rollout, GoesOnWhenTheClockStepsBack) {
  Story story({stage(25, true, seconds(30)), stage(100)}, 1);
  story.end(Standing::succeeded);
  story.pass(seconds(20));
  story.now -= hours(24 * 400);
  EXPECT_TRUE(story.feed(Tick{}));
  EXPECT_EQ(story.state.soaked, seconds(20));
  story.pass(seconds(10));
  EXPECT_EQ(story.state.stage, 1);
}

TEST(Rollout, NeverExceedsItsInFlightCap) {
  Story story({stage(100)}, 10);
  story.spec.stages[0].max_in_flight = 2;
  story.offer(2);
  EXPECT_EQ(offer_allowed(story.spec, story.state, 0, kEveryone), Offer::in_flight_cap);
  EXPECT_EQ(code_of(story.move(Standing::none, Standing::in_flight)), Code::rate_limited);
  EXPECT_TRUE(story.move(Standing::in_flight, Standing::succeeded));
  story.offer();
}

TEST(Rollout, CountsDevicesOfEarlierStagesAgainstTheCap) {
  Story story({stage(25), stage(100)}, 3);
  for (wire::StageSpec& spec : story.spec.stages) spec.max_in_flight = 2, spec.success_percent = 30;
  story.end(Standing::succeeded);
  story.offer(1);
  EXPECT_TRUE(story.command(Verb::promote, 0));
  story.open(10);
  story.offer(1);
  EXPECT_EQ(code_of(story.move(Standing::none, Standing::in_flight)), Code::rate_limited);
}

TEST(Rollout, NeverExceedsACount) {
  wire::StageSpec three = stage(0);
  three.count = 3;
  Story story({three, stage(100)}, 3);
  story.offer(2);
  EXPECT_TRUE(story.move(Standing::none, Standing::succeeded)) << "ran it already, and takes a place";
  EXPECT_EQ(offer_allowed(story.spec, story.state, 0, kEveryone), Offer::count_cap);
  EXPECT_EQ(code_of(story.move(Standing::none, Standing::in_flight)), Code::conflict);
  EXPECT_TRUE(story.move(Standing::in_flight, Standing::aborted));
  EXPECT_EQ(offer_allowed(story.spec, story.state, 0, kEveryone), Offer::allowed) << "an aborted one frees its place";
}

TEST(Rollout, OffersOnlyBelowTheThreshold) {
  Story story({stage(25)}, 2);
  EXPECT_EQ(offer_allowed(story.spec, story.state, 99, 100), Offer::allowed);
  EXPECT_EQ(offer_allowed(story.spec, story.state, 100, 100), Offer::not_covered);
  EXPECT_EQ(offer_allowed(story.spec, story.state, 0, 0), Offer::not_covered);
  EXPECT_EQ(offer_allowed(story.spec, story.state, kEveryone - 1, kEveryone), Offer::allowed);
}

TEST(Rollout, ServesLateJoinersWhenCompletedAndHaltsWhenTooManyFail) {
  Story story({stage(100)}, 2);
  story.end(Standing::succeeded, 2);
  ASSERT_EQ(story.phase(), Phase::completed);
  EXPECT_EQ(offer_allowed(story.spec, story.state, 5, kEveryone), Offer::allowed);
  story.end(Standing::succeeded);
  story.end(Standing::failed);
  EXPECT_EQ(story.phase(), Phase::halted) << "1 of 4";
}

TEST(Rollout, HaltsWhenItsReleaseIsWithdrawn) {
  Story story({stage(25), stage(100)}, 2);
  story.offer();
  EXPECT_TRUE(story.feed(ReleaseWithdrawn{}));
  EXPECT_EQ(story.phase(), Phase::halted);
  EXPECT_TRUE(story.did(Action::Kind::halt));
  EXPECT_TRUE(story.feed(ReleaseWithdrawn{}));
  EXPECT_TRUE(story.actions.empty()) << "said twice";
}

TEST(Rollout, RefusesMovesThatDoNotExist) {
  Story story({stage(100)}, 10);
  const Standing all[] = {Standing::none,        Standing::in_flight, Standing::succeeded, Standing::failed,
                          Standing::rolled_back, Standing::aborted,   Standing::silent};
  int exist = 0;
  for (const Standing from : all)
    for (const Standing to : all) {
      Story fresh({stage(100)}, 10);
      fresh.state.stages[0].in_flight = fresh.state.stages[0].silent = 1;
      fresh.state.stages[0].offered = 2;
      const Status status = fresh.move(from, to);
      if (status)
        ++exist;
      else
        EXPECT_EQ(status.error().code(), Code::invalid_argument);
    }
  EXPECT_EQ(exist, 2 + 5 + 4);
  EXPECT_EQ(code_of(story.move(Standing::in_flight, Standing::succeeded)), Code::internal) << "nobody is in flight";
  EXPECT_EQ(code_of(story.feed(DeploymentMoved{7, Standing::none, Standing::in_flight})), Code::invalid_argument);
  EXPECT_EQ(code_of(story.feed(DeploymentMoved{-1, Standing::none, Standing::in_flight})), Code::invalid_argument);
}

TEST(Rollback, EndsWhenEveryAffectedDeviceHasAnswered) {
  Story story({stage(100)}, 6);
  story.spec.stages[0].failure_threshold_percent = 100;
  story.end(Standing::succeeded, 2);
  story.end(Standing::failed);
  story.offer(2);
  EXPECT_TRUE(story.command(Verb::rollback));
  EXPECT_EQ(story.phase(), Phase::rolling_back);
  EXPECT_TRUE(story.did(Action::Kind::start_rollback));
  EXPECT_EQ(outstanding_returns(story.state), 4);
  EXPECT_TRUE(story.move(Standing::in_flight, Standing::aborted)) << "taken back in time";
  EXPECT_TRUE(story.feed(ReturnEnded{Return::returned}));
  EXPECT_TRUE(story.feed(ReturnEnded{Return::nothing_before}));
  EXPECT_EQ(story.phase(), Phase::rolling_back);
  EXPECT_TRUE(story.move(Standing::in_flight, Standing::succeeded)) << "too late to take back";
  EXPECT_EQ(story.phase(), Phase::rolling_back);
  EXPECT_TRUE(story.feed(ReturnEnded{Return::failed}));
  EXPECT_EQ(story.phase(), Phase::rolled_back);
  EXPECT_TRUE(story.did(Action::Kind::finish_rollback));
  EXPECT_EQ(story.state.reason, "rolled back: 1 returned, 1 failed, 1 had nothing to return to");
}

TEST(Rollback, DoesNotWaitForSilentDevicesForEver) {
  Story story({stage(100)}, 3);
  story.end(Standing::succeeded, 3);
  EXPECT_TRUE(story.command(Verb::rollback));
  story.pass(seconds(590));
  EXPECT_EQ(story.phase(), Phase::rolling_back);
  story.pass(seconds(10));
  EXPECT_EQ(story.phase(), Phase::rolled_back);
  EXPECT_THAT(story.state.reason, HasSubstr("3 silent"));
  EXPECT_TRUE(story.feed(ReturnEnded{Return::returned})) << "who comes later is still taken back";
  EXPECT_EQ(story.state.returned, 1);
}

TEST(Rollback, OfNothingIsDoneAtOnce) {
  Story story({stage(100)}, 3);
  EXPECT_TRUE(story.command(Verb::rollback));
  EXPECT_EQ(story.phase(), Phase::rolled_back);
}

TEST(LifeCycle, TakesCommandsInTheseStatesOnly) {
  const auto reach = [](Phase phase) {
    Story story({stage(25, false, seconds(60)), stage(100)}, 1);
    story.end(Standing::succeeded);
    story.state.phase = phase;
    return story;
  };
  struct Row {
    Phase phase;
    std::string may;
  };
  const Row rows[] = {{Phase::soaking, "promote pause halt abort rollback "},
                      {Phase::awaiting_promotion, "promote pause halt abort rollback "},
                      {Phase::open, "promote pause halt abort rollback "},
                      {Phase::paused, "resume halt abort rollback "},
                      {Phase::halted, "rollback "},
                      {Phase::aborted, "rollback "},
                      {Phase::completed, "halt rollback "},
                      {Phase::rolling_back, ""},
                      {Phase::rolled_back, ""}};
  for (const Row& row : rows) {
    std::string may;
    for (const Verb verb : {Verb::promote, Verb::pause, Verb::resume, Verb::halt, Verb::abort, Verb::rollback}) {
      Story story = reach(row.phase);
      const RolloutState before = story.state;
      const Status status = story.command(verb, 0);
      if (status) {
        may += std::string(to_text(verb)) + " ";
      } else {
        EXPECT_EQ(status.error().code(), Code::conflict);
        EXPECT_TRUE(story.actions.empty());
        EXPECT_EQ(story.state.phase, before.phase);
        EXPECT_EQ(story.state.version, before.version);
      }
    }
    EXPECT_EQ(may, row.may) << static_cast<int>(row.phase);
  }
}

TEST(LifeCycle, ChangesItsVersionOnlyWhenPeopleWouldSeeADifference) {
  Story story({stage(25), stage(100)}, 4);
  story.offer();
  const std::int64_t version = story.state.version;
  story.pass(seconds(100));
  EXPECT_EQ(story.state.version, version);
  story.offer();
  EXPECT_EQ(story.state.version, version + 1);
}

TEST(LifeCycle, NeedsNoTicksWhenNothingCanHappen) {
  Story story({stage(100)}, 1);
  EXPECT_TRUE(needs_ticks(story.state));
  story.offer();
  EXPECT_TRUE(story.move(Standing::in_flight, Standing::succeeded));
  ASSERT_EQ(story.phase(), Phase::completed);
  EXPECT_FALSE(needs_ticks(story.state));
  story.offer();
  EXPECT_TRUE(needs_ticks(story.state)) << "the late joiner may fall silent";
}

}  // namespace
}  // namespace drover::rollout
