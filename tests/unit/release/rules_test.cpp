#include "server/release/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drover::release {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Listed listed(std::string version, char digit = '1', std::int64_t counter = 0) {
  return {std::move(version), 700, std::string(64, digit), counter, {"kiosk-arm64", "kiosk-x64"}};
}

Code code_of(const std::vector<Listed>& before, const std::vector<Listed>& withdrawn,
             const std::vector<Listed>& after) {
  const auto plan = plan_publication(before, withdrawn, after);
  return plan ? Code::ok : plan.error().code();
}

TEST(Publication, TellsNewWithdrawnAndUnchangedApart) {
  const auto plan =
      plan_publication({listed("1.0.0"), listed("1.1.0", '2')}, {}, {listed("1.1.0", '2'), listed("2.0.0", '3')});
  ASSERT_TRUE(plan.has_value()) << plan.error().message();
  EXPECT_THAT(plan->added, ElementsAre(listed("2.0.0", '3')));
  EXPECT_THAT(plan->withdrawn, ElementsAre("1.0.0"));
  EXPECT_THAT(plan->reinstated, IsEmpty());
  EXPECT_THAT(plan->raised, IsEmpty());
}

TEST(Publication, IsEmptyWhenNothingChanges) {
  const auto plan = plan_publication({listed("1.0.0")}, {}, {listed("1.0.0")});
  ASSERT_TRUE(plan.has_value());
  EXPECT_TRUE(plan->empty());
  EXPECT_TRUE(plan_publication({}, {}, {})->empty());
}

TEST(Publication, MayWithdrawEverything) {
  const auto plan = plan_publication({listed("1.0.0"), listed("1.1.0", '2')}, {}, {});
  ASSERT_TRUE(plan.has_value());
  EXPECT_THAT(plan->withdrawn, ElementsAre("1.0.0", "1.1.0"));
}

TEST(Publication, RefusesOtherBytesUnderAnOldName) {
  EXPECT_EQ(code_of({listed("1.0.0")}, {}, {listed("1.0.0", '2')}), Code::already_exists);
  Listed longer = listed("1.0.0");
  ++longer.length;
  EXPECT_EQ(code_of({listed("1.0.0")}, {}, {longer}), Code::already_exists);
  Listed fewer = listed("1.0.0");
  fewer.kinds = {"kiosk-x64"};
  EXPECT_EQ(code_of({listed("1.0.0")}, {}, {fewer}), Code::already_exists);
  Listed reordered = listed("1.0.0");
  std::swap(reordered.kinds[0], reordered.kinds[1]);
  EXPECT_EQ(code_of({listed("1.0.0")}, {}, {reordered}), Code::ok);
}

TEST(Publication, RemembersWithdrawnReleases) {
  EXPECT_EQ(code_of({}, {listed("1.0.0")}, {listed("1.0.0", '2')}), Code::already_exists)
      << "withdrawing does not free the name";
  const auto plan = plan_publication({}, {listed("1.0.0")}, {listed("1.0.0")});
  ASSERT_TRUE(plan.has_value());
  EXPECT_THAT(plan->reinstated, ElementsAre(listed("1.0.0")));
  EXPECT_THAT(plan->added, IsEmpty());
}

TEST(Publication, NeverLowersTheReleaseCounter) {
  EXPECT_EQ(code_of({listed("1.0.0", '1', 3)}, {}, {listed("1.0.0", '1', 2)}), Code::counter_below_floor);
  EXPECT_EQ(code_of({listed("1.0.0", '1', 3)}, {}, {listed("1.0.0", '1', 3), listed("2.0.0", '2', 2)}),
            Code::counter_below_floor);
  EXPECT_EQ(code_of({}, {listed("1.0.0", '1', 3)}, {listed("2.0.0", '2', 2)}), Code::counter_below_floor)
      << "devices may have run the withdrawn one";
  EXPECT_EQ(code_of({listed("1.0.0", '1', 3)}, {}, {listed("1.0.0", '1', 3), listed("2.0.0", '2', 3)}), Code::ok);
}

TEST(Publication, LetsManagersSignOldBytesAnewAboveTheFloor) {
  const auto plan = plan_publication({listed("1.0.0", '1', 1), listed("2.0.0", '2', 2)}, {},
                                     {listed("1.0.0", '1', 2), listed("2.0.0", '2', 2)});
  ASSERT_TRUE(plan.has_value());
  EXPECT_THAT(plan->raised, ElementsAre(listed("1.0.0", '1', 2)));
  EXPECT_THAT(plan->added, IsEmpty());
}

TEST(Publication, RefusesWhatHasNotItsForm) {
  const auto broken = [](auto change) {
    Listed release = listed("1.0.0");
    change(release);
    return code_of({}, {}, {release});
  };
  EXPECT_EQ(broken([](Listed&) {}), Code::ok);
  EXPECT_EQ(broken([](Listed& r) { r.version = "../1"; }), Code::invalid_argument);
  EXPECT_EQ(broken([](Listed& r) { r.version = ""; }), Code::invalid_argument);
  EXPECT_EQ(broken([](Listed& r) { r.sha256 = "12"; }), Code::invalid_argument);
  EXPECT_EQ(broken([](Listed& r) { r.sha256[5] = 'A'; }), Code::invalid_argument);
  EXPECT_EQ(broken([](Listed& r) { r.length = 0; }), Code::invalid_argument);
  EXPECT_EQ(broken([](Listed& r) { r.length = INT64_MAX; }), Code::invalid_argument);
  EXPECT_EQ(broken([](Listed& r) { r.release_counter = -1; }), Code::invalid_argument);
  EXPECT_EQ(broken([](Listed& r) { r.release_counter = INT64_MAX; }), Code::invalid_argument);
  EXPECT_EQ(broken([](Listed& r) { r.kinds.clear(); }), Code::invalid_argument);
  EXPECT_EQ(broken([](Listed& r) { r.kinds = {"a", "a"}; }), Code::invalid_argument);
  EXPECT_EQ(broken([](Listed& r) { r.kinds = {"a b"}; }), Code::invalid_argument);
  EXPECT_EQ(code_of({}, {}, {listed("1.0.0"), listed("1.0.0")}), Code::invalid_argument);
}

TEST(Publication, HasABound) {
  std::vector<Listed> many;
  for (std::size_t i = 0; i <= kMaxReleases; ++i) many.push_back(listed("1.0." + std::to_string(i)));
  EXPECT_EQ(code_of({}, {}, many), Code::too_large);
  many.pop_back();
  EXPECT_EQ(code_of({}, {}, many), Code::ok);
}

TEST(Names, AreKeptFromBeingTufRolesOrPaths) {
  for (const char* name : {"vision", "a", "0-x_y.z"}) EXPECT_TRUE(is_model_name(name)) << name;
  for (const char* name :
       {"", "root", "targets", "snapshot", "timestamp", "director", "Vision", ".a", "a/b", "a b", "..", "ä"})
    EXPECT_FALSE(is_model_name(name)) << name;
  EXPECT_FALSE(is_model_name(std::string(65, 'a')));
  EXPECT_TRUE(is_release_version("1.0.0-rc.1+Build"));
  EXPECT_FALSE(is_release_version("1/2"));
  EXPECT_FALSE(is_release_version("-1"));
}

TEST(TargetPath, BelongsToItsOwnModel) {
  EXPECT_EQ(*version_of_path("vision", "vision/1.0.0"), "1.0.0");
  EXPECT_EQ(version_of_path("vision", "sound/1.0.0").error().code(), Code::target_mismatch);
  EXPECT_EQ(version_of_path("vision", "vision").error().code(), Code::malformed);
  EXPECT_EQ(version_of_path("vision", "vision/").error().code(), Code::malformed);
  EXPECT_EQ(version_of_path("vision", "vision/1/2").error().code(), Code::malformed);
  EXPECT_EQ(version_of_path("vision", "vision/../1").error().code(), Code::malformed);
}

}  // namespace
}  // namespace drover::release
