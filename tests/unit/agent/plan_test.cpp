#include "agent/update/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drover::update {
namespace {

using testing::ElementsAre;
using testing::Pair;

Target target(std::string model, std::string deployment, std::string package = "sha256:b", std::int64_t counter = 2) {
  Target made;
  made.model = std::move(model);
  made.deployment = std::move(deployment);
  made.package = std::move(package);
  made.release = "2";
  made.release_counter = counter;
  return made;
}

Slot slot(std::string model, std::string package, std::string last_deployment) {
  Slot made;
  made.model = std::move(model);
  made.current.package = std::move(package);
  made.last_deployment = std::move(last_deployment);
  return made;
}

State under_way(Step step) {
  State state;
  state.step = step;
  state.target = target("m", "dep-2");
  state.previous = "sha256:a";
  return state;
}

TEST(NextTarget, takes_models_in_their_order_and_one_at_a_time) {
  const std::vector<Target> assigned{target("z", "dep-1"), target("a", "dep-2")};
  EXPECT_EQ(next_target(assigned, {})->model, "a");
  const std::vector<Slot> slots{slot("a", "", "dep-2")};
  EXPECT_EQ(next_target(assigned, slots)->model, "z");
}

TEST(NextTarget, does_not_begin_what_has_ended_here) {
  const std::vector<Target> assigned{target("m", "dep-1")};
  const std::vector<Slot> slots{slot("m", "sha256:a", "dep-1")};
  EXPECT_FALSE(next_target(assigned, slots));
}

TEST(NextTarget, begins_the_same_release_again_under_a_new_deployment) {
  const std::vector<Target> assigned{target("m", "dep-2")};
  const std::vector<Slot> slots{slot("m", "sha256:a", "dep-1")};
  EXPECT_EQ(next_target(assigned, slots)->deployment, "dep-2");
}

TEST(Withdrawn, is_not_said_of_what_is_still_assigned) {
  EXPECT_FALSE(withdrawn(under_way(Step::fetch), std::vector<Target>{target("m", "dep-2")}));
  EXPECT_FALSE(withdrawn(State{}, {}));
}

TEST(Withdrawn, tells_a_halt_from_a_newer_assignment) {
  EXPECT_EQ(withdrawn(under_way(Step::fetch), {}), Code::halted);
  EXPECT_EQ(withdrawn(under_way(Step::fetch), std::vector<Target>{target("other", "dep-2")}), Code::halted);
  EXPECT_EQ(withdrawn(under_way(Step::fetch), std::vector<Target>{target("m", "dep-3")}), Code::superseded);
  EXPECT_EQ(withdrawn(under_way(Step::fetch), std::vector<Target>{target("m", "dep-2", "sha256:c")}), Code::superseded);
}

TEST(WantedLinks, show_the_new_release_from_activation_to_commit_only) {
  const std::vector<Slot> slots{slot("m", "sha256:a", ""), slot("n", "sha256:n", ""), slot("empty", "", "")};
  for (const Step step : {Step::idle, Step::sync, Step::fetch, Step::validate, Step::roll_back})
    EXPECT_THAT(wanted_links(under_way(step), slots), ElementsAre(Pair("m", "sha256:a"), Pair("n", "sha256:n")));
  for (const Step step : {Step::activate, Step::confirm, Step::commit})
    EXPECT_THAT(wanted_links(under_way(step), slots), ElementsAre(Pair("m", "sha256:b"), Pair("n", "sha256:n")));
}

TEST(WantedLinks, of_a_first_release_that_failed_are_none) {
  EXPECT_TRUE(wanted_links(under_way(Step::roll_back), {}).empty());
}

TEST(KeptPackages, are_current_previous_and_on_trial) {
  Slot held = slot("m", "sha256:a", "");
  held.previous.package = "sha256:0";
  const std::vector<Slot> slots{held};
  EXPECT_THAT(kept_packages(under_way(Step::confirm), slots), ElementsAre("sha256:0", "sha256:a", "sha256:b"));
  EXPECT_THAT(kept_packages(State{}, slots), ElementsAre("sha256:0", "sha256:a"));
}

TEST(Recorded, moves_current_to_previous_and_raises_the_floor) {
  Slot held = slot("m", "sha256:a", "dep-1");
  held.floor = 1;
  const Slot next = recorded(held, target("m", "dep-2"), WallTime(std::chrono::seconds(50)));
  EXPECT_EQ(next.current.package, "sha256:b");
  EXPECT_EQ(next.previous.package, "sha256:a");
  EXPECT_EQ(next.floor, 2);
  EXPECT_EQ(next.current.since, WallTime(std::chrono::seconds(50)));
}

// Agreement lets nothing below the floor begin, so that a trial that fails can always go back to what was there before.
TEST(Recorded, what_is_current_is_never_below_the_floor) {
  Slot held = slot("m", "sha256:a", "dep-0");
  for (const std::int64_t counter : {1, 1, 3, 3, 7}) {
    update::Target next = target("m", "dep-" + std::to_string(counter));
    next.release_counter = counter;
    held = recorded(held, next, WallTime(std::chrono::seconds(50)));
    EXPECT_EQ(held.current.release_counter, held.floor);
  }
}

TEST(Recorded, keeps_previous_and_time_when_the_package_is_the_same) {
  Slot held = slot("m", "sha256:b", "dep-1");
  held.previous.package = "sha256:a";
  held.floor = 9;
  const Slot next = recorded(held, target("m", "dep-2"), WallTime(std::chrono::seconds(50)));
  EXPECT_EQ(next.previous.package, "sha256:a");
  EXPECT_EQ(next.current.since, WallTime{});
  EXPECT_EQ(next.current.release, "2");
  EXPECT_EQ(next.floor, 9) << "a floor never sinks";
}

}  // namespace
}  // namespace drover::update
