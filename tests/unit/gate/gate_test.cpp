#include "server/gate/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drover::gate {
namespace {

using testing::HasSubstr;

GateSpec spec(double threshold_percent, std::int64_t min_sample, double success_percent = 100) {
  return {.failure_threshold_ppm = to_ppm(threshold_percent),
          .success_ppm = to_ppm(success_percent),
          .min_sample = min_sample};
}

StageEvidence evidence(std::int64_t members, std::int64_t succeeded, std::int64_t failed, std::int64_t silent = 0) {
  StageEvidence out;
  out.members = members;
  out.succeeded = succeeded;
  out.failed = failed;
  out.silent = silent;
  out.offered = succeeded + failed + silent;
  return out;
}

Call call(const GateSpec& gate, const StageEvidence& seen) { return judge(gate, seen).call; }

TEST(Gate, HoldsUntilEnoughDevicesHaveExecuted) {
  EXPECT_EQ(call(spec(10, 5), evidence(100, 0, 0)), Call::hold);
  EXPECT_EQ(call(spec(10, 5, 1), evidence(100, 4, 0)), Call::hold);
  EXPECT_EQ(call(spec(10, 5, 1), evidence(100, 5, 0)), Call::promote);
}

TEST(Gate, CountsTheShareOverExecutedDevicesNotOverTheWholeStage) {
  EXPECT_EQ(call(spec(10, 20), evidence(1000, 17, 3)), Call::halt) << "15 % of 20, though only 0.3 % of the stage";
  EXPECT_EQ(call(spec(10, 20), evidence(1000, 18, 2)), Call::hold) << "exactly the threshold is not above it";
}

TEST(Gate, HaltsBeforeTheSampleWhenTheWholeStageCanNoLongerPass) {
  EXPECT_EQ(call(spec(10, 50), evidence(100, 0, 10)), Call::hold);
  EXPECT_EQ(call(spec(10, 50), evidence(100, 0, 11)), Call::halt);
  EXPECT_THAT(judge(spec(10, 50), evidence(100, 0, 11)).why,
              HasSubstr("more than 10 % of the whole stage of 100 devices"));
  EXPECT_EQ(call(spec(10, 2), evidence(2, 0, 1)), Call::halt) << "one failure of a canary of two";
}

TEST(Gate, NeedsNoMoreThanAllMembersAsASample) {
  EXPECT_EQ(call(spec(10, 20), evidence(2, 2, 0)), Call::promote);
  EXPECT_EQ(call(spec(10, 20), evidence(2, 1, 0)), Call::hold);
}

TEST(Gate, TakesSilenceForAFailureUnlessToldOtherwise) {
  GateSpec strict = spec(10, 1);
  EXPECT_EQ(call(strict, evidence(4, 2, 0, 2)), Call::halt);
  EXPECT_THAT(judge(strict, evidence(4, 2, 0, 2)).why, HasSubstr("2 of 4 executed devices failed (2 by silence)"));
  strict.silence_counts_as_failure = false;
  EXPECT_EQ(call(strict, evidence(4, 2, 0, 2)), Call::promote) << "counts neither way";
  EXPECT_EQ(call(strict, evidence(4, 0, 0, 4)), Call::hold) << "silence alone is no sample";
}

TEST(Gate, CountsDevicesThatWentBackAsFailures) {
  StageEvidence seen = evidence(4, 1, 0);
  seen.rolled_back = 1;
  seen.offered = 2;
  EXPECT_EQ(call(spec(25, 1), seen), Call::halt);
}

TEST(Gate, IsNotHeldForEverByAFailureThatItTolerates) {
  EXPECT_EQ(call(spec(10, 1), evidence(100, 98, 1)), Call::hold);
  EXPECT_EQ(call(spec(10, 1), evidence(100, 99, 1)), Call::promote);
  StageEvidence superseded = evidence(10, 9, 0);
  superseded.aborted = 1;
  superseded.offered = 10;
  EXPECT_EQ(call(spec(10, 1), superseded), Call::promote);
}

TEST(Gate, WaitsForTheShareThatMustSucceed) {
  EXPECT_EQ(call(spec(10, 1, 90), evidence(10, 8, 0)), Call::hold);
  EXPECT_EQ(call(spec(10, 1, 90), evidence(10, 9, 0)), Call::promote);
  EXPECT_EQ(call(spec(10, 1, 85), evidence(10, 8, 0)), Call::hold) << "8.5 devices are 9";
  EXPECT_EQ(call(spec(10, 1, 0), evidence(10, 1, 0)), Call::promote);
}

TEST(Gate, NeverPromotesAnEmptyFirstStageButPassesAnEmptyLaterOne) {
  StageEvidence nobody;
  EXPECT_EQ(call(spec(10, 1), nobody), Call::hold);
  nobody.first = false;
  EXPECT_EQ(call(spec(10, 1), nobody), Call::promote);
}

TEST(Gate, CountsLateJoinersAsMembers) {
  EXPECT_EQ(call(spec(10, 1), evidence(0, 0, 1)), Call::halt);
  EXPECT_EQ(call(spec(50, 5), evidence(1, 3, 2)), Call::promote);
}

TEST(Gate, ToleratesNothingAtZeroAndEverythingAtAHundred) {
  EXPECT_EQ(call(spec(0, 1), evidence(1'000'000, 999'998, 1)), Call::halt);
  EXPECT_EQ(call(spec(100, 1), evidence(3, 0, 3)), Call::promote);
}

TEST(Gate, IsExactForSmallSharesOfLargeFleets) {
  EXPECT_EQ(to_ppm(0.1), 1000);
  EXPECT_EQ(call(spec(0.1, 1000), evidence(1'000'000, 999'000, 1000)), Call::promote)
      << "1000 of a million is 0.1 %, not above";
  EXPECT_EQ(call(spec(0.1, 1000), evidence(1'000'000, 998'999, 1001)), Call::halt);
  EXPECT_EQ(call(spec(0.7, 1), evidence(1000, 993, 7)), Call::promote);
}

TEST(Gate, LetsTheWorstVerdictStand) {
  EXPECT_EQ(worst_of({Call::promote, "a"}, {Call::halt, "b"}).why, "b");
  EXPECT_EQ(worst_of({Call::hold, "a"}, {Call::promote, "b"}).why, "a");
}

TEST(Gate, TakesItsNumbersFromTheStage) {
  wire::StageSpec stage;
  stage.failure_threshold_percent = 2.5;
  stage.min_sample = 7;
  stage.success_percent = 80;
  const GateSpec gate = gate_of(stage);
  EXPECT_EQ(gate.failure_threshold_ppm, 25'000);
  EXPECT_EQ(gate.success_ppm, 800'000);
  EXPECT_EQ(gate.min_sample, 7);
  EXPECT_TRUE(gate.silence_counts_as_failure);
}

}  // namespace
}  // namespace drover::gate
