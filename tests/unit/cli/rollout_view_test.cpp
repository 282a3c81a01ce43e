#include "server/cli/rollout_view.h"

#include <gtest/gtest.h>

#include "server/cli/human.h"

namespace drover::cli {
namespace {

const WallTime kNow{std::chrono::seconds{1'800'000'000}};

wire::RolloutStatus example() {
  wire::RolloutStatus status;
  status.id = "r7";
  status.spec = {.name = "spring", .model = "mnist", .release = "1.2.0", .group = "shops", .stages = {}};
  status.created_by = "ada";
  status.created_at = kNow - std::chrono::minutes{3};
  wire::StageStatus first, second;
  first.spec.percent = 25;
  first.state = "passed";
  first.members = first.offered = first.succeeded = 2;
  second.spec.percent = 100;
  second.state = "open";
  second.members = 8;
  second.offered = 6;
  second.succeeded = 3;
  second.in_flight = 2;
  second.failed = 1;
  status.stages = {first, second};
  status.stage = 1;
  return status;
}

TEST(StageBar, ShowsDoneUnderWayAndFailed) { EXPECT_EQ(stage_bar(example().stages[1], 10, Style{}), "[###==x--]"); }

TEST(StageBar, WhatExistsIsSeenHoweverSmallItsShare) {
  wire::StageStatus stage;
  stage.members = 10'000;
  stage.failed = 1;
  EXPECT_EQ(stage_bar(stage, 12, Style{}), "[x---------]");
}

TEST(StageBar, NeverGrowsBeyondItsWidth) {
  wire::StageStatus stage;
  stage.members = 3;
  stage.succeeded = stage.in_flight = stage.failed = stage.silent = 50;
  EXPECT_EQ(stage_bar(stage, 12, Style{}).size(), 12u);
  EXPECT_EQ(stage_bar(wire::StageStatus{}, 12, Style{}), "[----------]");
}

TEST(RolloutView, ShowsEachStageOnALine) {
  const auto lines = rollout_lines(example(), kNow, 0, Style{});
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0], "spring  mnist 1.2.0 -> shops  running");
  EXPECT_EQ(lines[1], "  1  25%      passed   [########################]  2 of 2 done");
  EXPECT_EQ(lines[2], "  2  100%     open     [#########======xxx------]  3 of 8 done, 2 in flight, 1 failed");
  EXPECT_EQ(lines[3], "  r7 by ada, 3 min ago");
}

TEST(RolloutView, FitsTheTerminalAndKeepsCursorCodesOut) {
  auto status = example();
  status.reason = "device \x1b[2J said no";
  for (const std::string& line : rollout_lines(status, kNow, 40, Style{})) {
    EXPECT_LE(display_width(line), 40u) << line;
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
  }
}

TEST(RolloutView, OneLineForLogsSaysStateStageAndReason) {
  auto status = example();
  EXPECT_EQ(rollout_line(status), "running, stage 2 of 2 (100%): 3 of 8 done, 2 in flight, 1 failed");
  status.state = wire::RolloutState::halted;
  status.reason = "too many failures";
  EXPECT_EQ(rollout_line(status),
            "halted, stage 2 of 2 (100%): 3 of 8 done, 2 in flight, 1 failed - too many failures");
}

TEST(DeltaLine, SaysWhatIsReadyAndWhatIsBeingMade) {
  wire::DeltaProgress progress;
  progress.state = "waiting";
  EXPECT_EQ(delta_line(progress), "wait to be made");
  progress.state = "ready";
  EXPECT_EQ(delta_line(progress), "none: no device holds an earlier version of a file");
  progress.state = "making";
  progress.wanted = 4;
  progress.ready = 2;
  progress.useless = progress.failed = 1;
  progress.delta_bytes = 1 << 20;
  progress.whole_bytes = 20 << 20;
  progress.bytes_done = 5 << 20;
  progress.bytes_total = 10 << 20;
  EXPECT_EQ(delta_line(progress),
            "2 of 4 ready (1 MiB instead of 20 MiB), 1 hardly smaller than their file, 1 failed (see the server's "
            "log), being made: 5 MiB of 10 MiB");
  progress = {};
  progress.state = "ready";
  progress.packed.ready = 2;
  progress.packed.delta_bytes = 8 << 20;
  progress.packed.whole_bytes = 10 << 20;
  EXPECT_EQ(
      delta_line(progress),
      "none: no device holds an earlier version of a file, 2 files packed for new devices (8 MiB instead of 10 MiB)");
}

TEST(SavingsLine, SaysWhatWasNotSent) {
  EXPECT_EQ(savings_line({}), "");
  EXPECT_EQ(savings_line({2, 1, 3 << 20, 40 << 20}), "1 of 2 updates by delta, 3 MiB fetched, 40 MiB saved");
}

TEST(RolloutView, SaysWhatMayBeDoneNext) {
  auto status = example();
  EXPECT_EQ(next_step(status), "");
  status.state = wire::RolloutState::awaiting_promotion;
  EXPECT_EQ(next_step(status), "drover rollout promote r7");
  status.state = wire::RolloutState::halted;
  EXPECT_NE(next_step(status).find("rollback r7"), std::string::npos);
}

}  // namespace
}  // namespace drover::cli
