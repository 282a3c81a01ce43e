#include "tests/contract/store/suite.h"

namespace drover::store {
namespace {

RolloutRow rollout_row(std::string model = "mnist") {
  RolloutRow row;
  row.spec.name = "first";
  row.spec.model = std::move(model);
  row.spec.release = "1.0.0";
  row.spec.group = "all";
  wire::StageSpec stage;
  stage.percent = 100;
  row.spec.stages = {stage};
  row.salt = "salt";
  row.state = rollout::begin(row.spec, WallTime(std::chrono::seconds(2'000'000'000))).state;
  row.thresholds.by_kind = {{"kiosk-x64", rollout::kEveryone}};
  row.thresholds.otherwise = 5;
  return row;
}

TEST_P(StoreSuite, ARolloutComesBackWithStateAndThresholds) {
  RolloutRow row = rollout_row();
  ASSERT_OK(write([&](Writer& writer) { return writer.rollouts.insert(row); }));
  EXPECT_FALSE(row.id.empty());
  row.state.phase = rollout::Phase::paused;
  row.state.stages[0].offered = row.state.stages[0].succeeded = 3;
  ASSERT_OK(write([&](Writer& writer) { return writer.rollouts.update(row); }));
  const auto found = read<std::optional<RolloutRow>>([&](const Reader& in) { return in.rollouts.find(row.id); });
  ASSERT_OK(found);
  ASSERT_TRUE(*found);
  EXPECT_EQ((*found)->state.phase, rollout::Phase::paused);
  EXPECT_EQ((*found)->state.stages[0].succeeded, 3);
  EXPECT_EQ((*found)->thresholds.of("kiosk-x64"), rollout::kEveryone);
  EXPECT_EQ((*found)->thresholds.of("other"), 5U);
  EXPECT_EQ(read<rollout::RolloutState>([&](const Reader& in) { return in.rollouts.state(row.no); })->phase,
            rollout::Phase::paused);
}

TEST_P(StoreSuite, WhatARolloutSavedAddsUpAndStaysWhenItsStateMoves) {
  RolloutRow row = rollout_row();
  ASSERT_OK(write([&](Writer& writer) { return writer.rollouts.insert(row); }));
  for (int i = 0; i < 2; ++i)
    ASSERT_OK(write([&](Writer& writer) { return writer.rollouts.add_savings(row.no, {1, 1, 5'000'000'000, 7}); }));
  row.state.phase = rollout::Phase::paused;
  ASSERT_OK(write([&](Writer& writer) { return writer.rollouts.update(row); }));
  const auto found = read<std::optional<RolloutRow>>([&](const Reader& in) { return in.rollouts.find(row.id); });
  ASSERT_OK(found);
  EXPECT_EQ((*found)->savings.updates, 2);
  EXPECT_EQ((*found)->savings.by_delta, 2);
  EXPECT_EQ((*found)->savings.bytes_fetched, 10'000'000'000U);
  EXPECT_EQ((*found)->savings.bytes_saved, 14U);
}

TEST_P(StoreSuite, RolloutsThatAreOverLeaveTheLiveOnesAfterMany) {
  RolloutRow open = rollout_row();
  ASSERT_OK(write([&](Writer& writer) { return writer.rollouts.insert(open); }));
  for (std::int64_t i = 0; i < kLiveRollouts + 10; ++i)
    ASSERT_OK(write([&](Writer& writer) -> Status {
      RolloutRow row = rollout_row();
      row.state.phase = rollout::Phase::completed;
      return writer.rollouts.insert(row);
    }));
  const auto live = read<std::vector<RolloutRow>>([](const Reader& in) { return in.rollouts.live(); });
  ASSERT_OK(live);
  EXPECT_EQ(live->size(), static_cast<std::size_t>(kLiveRollouts) + 1);
  EXPECT_EQ(live->front().id, open.id) << "what is not over stays, however old";
}

TEST_P(StoreSuite, OneDeploymentADeviceAndRollout) {
  const Device one = enrol(device(1));
  RolloutRow row = rollout_row();
  ASSERT_OK(write([&](Writer& writer) { return writer.rollouts.insert(row); }));
  Deployment deployment;
  deployment.device_no = one.no;
  deployment.rollout_no = row.no;
  deployment.standing = rollout::Standing::in_flight;
  deployment.offered_watched = std::chrono::seconds(10);
  ASSERT_OK(write([&](Writer& writer) { return writer.deployments.insert(deployment); }));
  EXPECT_CODE(write([&](Writer& writer) { return writer.deployments.insert(deployment); }), Code::already_exists);
  const auto silent = [&](int watched) {
    return read<std::vector<Deployment>>([&](const Reader& in) {
             return in.deployments.silent(row.no, 0, std::chrono::seconds(watched), 10);
           })->size();
  };
  EXPECT_EQ(silent(9), 0U);
  EXPECT_EQ(silent(10), 1U);
  deployment.standing = rollout::Standing::succeeded;
  deployment.detail = "fine";
  deployment.bytes_saved = 123;
  ASSERT_OK(write([&](Writer& writer) { return writer.deployments.update(deployment); }));
  EXPECT_EQ(silent(10), 0U);
  const auto mine =
      read<std::vector<Deployment>>([&](const Reader& in) { return in.deployments.of_device(one.no, 10); });
  ASSERT_EQ(mine->size(), 1U);
  EXPECT_EQ(mine->front().detail, "fine");
  EXPECT_EQ(mine->front().bytes_saved, 123U);
  const auto all =
      read<std::vector<DeploymentOfDevice>>([&](const Reader& in) { return in.deployments.of_rollout(row.no, 0, 10); });
  ASSERT_EQ(all->size(), 1U);
  EXPECT_EQ(all->front().device_id, one.view.id);
}

TEST(DeploymentNames, AreReadBack) {
  EXPECT_EQ(parse_deployment_id(deployment_id(17))->no, 17);
  EXPECT_FALSE(parse_deployment_id(deployment_id(17))->back);
  EXPECT_TRUE(parse_deployment_id(deployment_id(17, true))->back);
  for (const char* bad : {"", "dep-", "dep-x", "dep--1", "dep-0", "dep-1-forth", "17", "dep-1-back-back"})
    EXPECT_FALSE(parse_deployment_id(bad)) << bad;
}

}  // namespace
}  // namespace drover::store
