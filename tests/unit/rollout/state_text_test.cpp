#include "server/rollout/state_text.h"

#include <gtest/gtest.h>

namespace drover::rollout {
namespace {

RolloutState rich() {
  RolloutState state;
  state.phase = Phase::paused;
  state.resume_to = Phase::soaking;
  state.stage = 1;
  state.stage_opened = true;
  state.stages = {{4, 5, 0, 3, 1, 0, 1, 0, WallTime(std::chrono::seconds(100))}, {6, 1, 1, 0, 0, 0, 0, 0, {}}};
  state.watched = std::chrono::seconds(1234);
  state.soaked = std::chrono::seconds(12);
  state.last_input = WallTime(std::chrono::seconds(999));
  state.rollback_began = std::chrono::seconds(7);
  state.returned = 1;
  state.return_failed = 2;
  state.nothing_before = 3;
  state.reason = "paused by \"ann\"";
  state.version = 42;
  return state;
}

TEST(StateText, GoesThroughTextUnchanged) {
  const auto back = decode_state(encode(rich()));
  ASSERT_TRUE(back.has_value()) << back.error().message();
  EXPECT_EQ(encode(*back), encode(rich()));
  EXPECT_EQ(back->phase, Phase::paused);
  EXPECT_EQ(back->resume_to, Phase::soaking);
  EXPECT_EQ(back->stages[0].succeeded, 3);
  EXPECT_EQ(back->stages[0].opened_at, WallTime(std::chrono::seconds(100)));
  EXPECT_EQ(back->version, 42);
}

// A database of version 1 holds this.
TEST(StateText, ReadsWhatVersionOneWrote) {
  const auto state = decode_state(
      R"({"last_input":999,"nothing_before":0,"phase":2,"reason":"r","resume_to":0,"return_failed":0,"returned":0,)"
      R"("rollback_began":0,"soaked":12,"stage":0,"stage_opened":true,"stages":[{"aborted":0,"failed":0,"in_flight":0,"members":1,)"
      R"("offered":1,"opened_at":100,"rolled_back":0,"silent":0,"succeeded":1}],"v":1,"version":5,"watched":60})");
  ASSERT_TRUE(state.has_value()) << state.error().message();
  EXPECT_EQ(state->phase, Phase::awaiting_promotion);
}

TEST(StateText, RefusesWhatItDidNotWrite) {
  EXPECT_FALSE(decode_state(""));
  EXPECT_FALSE(decode_state("{}"));
  std::string text = encode(rich());
  text.replace(text.find("\"v\":1"), 5, "\"v\":2");
  EXPECT_EQ(decode_state(text).error().code(), Code::unsupported);
  RolloutState wrong = rich();
  wrong.stages[0].offered = 9;
  EXPECT_FALSE(decode_state(encode(wrong))) << "counters that do not add up";
  wrong = rich();
  wrong.stage = 2;
  EXPECT_FALSE(decode_state(encode(wrong)));
  wrong = rich();
  wrong.resume_to = Phase::halted;
  EXPECT_FALSE(decode_state(encode(wrong)));
}

TEST(StateText, DescribesItselfForPeople) {
  wire::RolloutSpec spec;
  spec.stages.resize(2);
  wire::RolloutStatus status;
  describe(spec, rich(), status);
  EXPECT_EQ(status.state, wire::RolloutState::paused);
  EXPECT_EQ(status.stages[0].state, "passed");
  EXPECT_EQ(status.stages[1].state, "soaking");
  EXPECT_EQ(status.stages[0].failed, 1);
  RolloutState halted = rich();
  halted.phase = Phase::halted;
  halted.stage = 0;
  describe(spec, halted, status);
  EXPECT_EQ(status.stages[0].state, "failed");
  EXPECT_EQ(status.stages[1].state, "waiting");
}

}  // namespace
}  // namespace drover::rollout
