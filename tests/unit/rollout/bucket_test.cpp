#include "server/rollout/bucket.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "common/rng/rng.h"

namespace drover::rollout {
namespace {

wire::StageSpec percent(double value) {
  wire::StageSpec stage;
  stage.percent = value;
  return stage;
}
wire::StageSpec count(std::int64_t value) {
  wire::StageSpec stage;
  stage.count = value;
  return stage;
}

std::vector<Stratum> strata(std::initializer_list<std::int64_t> members) {
  std::vector<Stratum> out;
  for (const std::int64_t n : members) out.push_back({"kind-" + std::to_string(out.size()), n, 0, 0});
  return out;
}

std::vector<std::int64_t> expected(const StagePlan& plan) {
  std::vector<std::int64_t> out;
  for (const StratumPlan& stratum : plan.strata) out.push_back(stratum.expected);
  return out;
}
using Counts = std::vector<std::int64_t>;

// A fleet in memory, doing what the store does when a stage opens.
struct Fleet {
  std::string salt = "salt";
  std::vector<std::vector<std::uint64_t>> buckets;  // by stratum, sorted
  std::vector<std::uint64_t> thresholds;
  std::uint64_t otherwise = 0;

  explicit Fleet(const std::vector<std::int64_t>& members) : buckets(members.size()), thresholds(members.size(), 0) {
    for (std::size_t i = 0; i < members.size(); ++i)
      for (std::int64_t n = 0; n < members[i]; ++n) join(i, std::to_string(i) + "/" + std::to_string(n));
  }
  void join(std::size_t stratum, const std::string& id) {
    auto& list = buckets[stratum];
    const std::uint64_t place = bucket(salt, id);
    list.insert(std::lower_bound(list.begin(), list.end(), place), place);
  }
  std::int64_t covered(std::size_t i) const {
    return std::lower_bound(buckets[i].begin(), buckets[i].end(), thresholds[i]) - buckets[i].begin();
  }
  std::int64_t covered() const {
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < buckets.size(); ++i) sum += covered(i);
    return sum;
  }
  StagePlan open(const wire::StageSpec& stage) {
    std::vector<Stratum> known;
    for (std::size_t i = 0; i < buckets.size(); ++i)
      known.push_back(
          {"kind-" + std::to_string(i), static_cast<std::int64_t>(buckets[i].size()), covered(i), thresholds[i]});
    StagePlan plan = plan_stage(stage, known, otherwise);
    for (std::size_t i = 0; i < buckets.size(); ++i) {
      const auto member = static_cast<std::size_t>(plan.strata[i].member);
      thresholds[i] = settle(plan.strata[i], member == 0 ? std::nullopt : std::optional(buckets[i].at(member - 1)));
    }
    otherwise = plan.otherwise;
    return plan;
  }
};

TEST(Bucket, IsTheStartOfAHashInSixtyThreeBits) {
  // From sha256sum: the place of every device in every rollout that runs depends on it.
  EXPECT_EQ(bucket("salt-1", "d0123"), 7574083308219419454u);
  EXPECT_EQ(bucket("s", "d"), bucket("s", "d"));
  EXPECT_NE(bucket("s", "d"), bucket("s", "e"));
  EXPECT_NE(bucket("s", "d"), bucket("t", "d"));
  EXPECT_NE(bucket("ab", "c"), bucket("a", "bc"));
  EXPECT_LT(bucket("s", "d"), kEveryone);
}

TEST(Bucket, SpreadsDevicesEvenly) {
  std::array<int, 10> tenths{};
  for (int i = 0; i < 20'000; ++i) ++tenths[bucket("salt", "d" + std::to_string(i)) / (kEveryone / 10 + 1)];
  for (const int n : tenths) EXPECT_NEAR(n, 2000, 200);
}

TEST(PlanStage, DividesAQuarterOfFourAndFourIntoTwo) {
  EXPECT_EQ(expected(plan_stage(percent(25), strata({4, 4}))), (Counts{1, 1}));
  Fleet fleet({4, 4});
  EXPECT_EQ(fleet.open(percent(25)).expected, 2);
  EXPECT_EQ(fleet.covered(), 2);
  fleet.open(percent(100));
  EXPECT_EQ(fleet.covered(), 8);
}

TEST(PlanStage, OfNobodyIsNobody) {
  EXPECT_EQ(plan_stage(percent(25), {}).expected, 0);
  EXPECT_EQ(plan_stage(percent(25), strata({0, 0})).expected, 0);
  EXPECT_EQ(plan_stage(count(5), strata({0})).expected, 0);
  EXPECT_EQ(plan_stage(percent(100), strata({})).otherwise, kEveryone);
}

TEST(PlanStage, TakesAtLeastOneDevice) {
  EXPECT_EQ(plan_stage(percent(0.1), strata({1})).expected, 1);
  EXPECT_EQ(plan_stage(percent(0.00001), strata({3, 3})).expected, 1);
  EXPECT_EQ(expected(plan_stage(percent(10), strata({1, 1, 1}))), (Counts{1, 0, 0}));
  EXPECT_EQ(plan_stage(percent(50), strata({1, 1, 1})).expected, 2);
  EXPECT_EQ(plan_stage(percent(34), strata({1, 1, 1})).expected, 1);
}

TEST(PlanStage, GivesLargestRemainders) {
  EXPECT_EQ(expected(plan_stage(percent(10), strata({47, 16, 15, 13, 9}))), (Counts{5, 2, 1, 1, 1}));
  EXPECT_EQ(expected(plan_stage(percent(50), strata({3, 3, 3}))), (Counts{2, 2, 1}));
}

TEST(PlanStage, TakesACountOrAllThereAre) {
  EXPECT_EQ(expected(plan_stage(count(3), strata({4, 4}))), (Counts{2, 1}));
  EXPECT_EQ(plan_stage(count(8), strata({4, 4})).expected, 8);
  EXPECT_EQ(plan_stage(count(1000), strata({4, 4})).expected, 8);
  EXPECT_NE(plan_stage(count(1000), strata({4, 4})).strata[0].threshold, kEveryone)
      << "a count is no open door for those who join";
  EXPECT_EQ(plan_stage(count(1), strata({1, 1, 1})).expected, 1);
}

TEST(PlanStage, TakesAHundredPercentAsEveryoneWhoeverJoins) {
  Fleet fleet({3, 2});
  fleet.open(percent(100));
  EXPECT_EQ(fleet.thresholds, (std::vector<std::uint64_t>{kEveryone, kEveryone}));
  EXPECT_EQ(fleet.otherwise, kEveryone);
  fleet.join(0, "late");
  EXPECT_EQ(fleet.covered(), 6);
}

TEST(PlanStage, TakesAShareOfLargeStrata) {
  const StagePlan plan = plan_stage(percent(0.1), strata({1'000'000}));
  EXPECT_EQ(plan.strata[0].member, 0) << "no query over a million devices";
  EXPECT_EQ(plan.expected, 1000);
  EXPECT_NEAR(static_cast<double>(plan.strata[0].threshold) / static_cast<double>(kEveryone), 0.001, 1e-12);
  EXPECT_EQ(plan.otherwise, plan.strata[0].threshold);
  const StagePlan half = plan_stage(percent(50), strata({1'000'000'000}));
  EXPECT_EQ(half.strata[0].threshold, (kEveryone + 1) / 2);
}

TEST(PlanStage, MixesLargeAndSmallStrata) {
  const StagePlan plan = plan_stage(percent(10), strata({100'000, 20}));
  EXPECT_EQ(expected(plan), (Counts{10'000, 2}));
  EXPECT_GT(plan.strata[1].member, 0);
  const StagePlan some = plan_stage(count(1000), strata({99'000, 1000}));
  EXPECT_EQ(expected(some), (Counts{990, 10}));
  EXPECT_EQ(some.otherwise, 0u) << "a kind that joins later is not part of a count";
}

TEST(PlanStage, DrawsTheLineBetweenSmallAndLargeAtItsBound) {
  EXPECT_GT(plan_stage(percent(25), strata({kSmallStratum})).strata[0].member, 0);
  EXPECT_EQ(plan_stage(percent(25), strata({kSmallStratum + 1})).strata[0].member, 0);
}

TEST(PlanStage, NeverTakesADeviceOutAgain) {
  // Largest remainders alone would take one from a stratum here (the Alabama paradox).
  SeededRng rng(11);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::int64_t> members;
    for (std::uint64_t i = 0; i < 1 + rng.below(6); ++i) members.push_back(static_cast<std::int64_t>(rng.below(14)));
    Fleet fleet(members);
    std::int64_t all = 0;
    for (const std::int64_t n : members) all += n;
    for (double share = 4; share < 100; share += 4) {
      const auto before = fleet.thresholds;
      fleet.open(percent(share));
      for (std::size_t i = 0; i < before.size(); ++i) ASSERT_GE(fleet.thresholds[i], before[i]);
      const auto exact = static_cast<std::int64_t>(static_cast<double>(all) * share / 100 + 0.5);
      ASSERT_EQ(fleet.covered(), all == 0 ? 0 : std::max<std::int64_t>(exact, 1)) << share << " % of " << all;
    }
  }
}

TEST(PlanStage, StaysMonotoneWhileDevicesComeAndGo) {
  SeededRng rng(12);
  for (int round = 0; round < 100; ++round) {
    Fleet fleet({8, 8, 8});
    for (const double share : {5.0, 10.0, 30.0, 60.0, 90.0, 100.0}) {
      const auto before = fleet.thresholds;
      const std::uint64_t otherwise = fleet.otherwise;
      fleet.open(percent(share));
      for (std::size_t i = 0; i < before.size(); ++i) ASSERT_GE(fleet.thresholds[i], before[i]);
      ASSERT_GE(fleet.otherwise, otherwise);
      for (auto& list : fleet.buckets) {
        if (rng.below(2) == 0 && !list.empty())
          list.erase(list.begin() + static_cast<std::ptrdiff_t>(rng.below(list.size())));
        if (rng.below(2) == 0) fleet.join(rng.below(3), "late" + std::to_string(rng.next()));
      }
    }
    EXPECT_EQ(fleet.covered(),
              static_cast<std::int64_t>(fleet.buckets[0].size() + fleet.buckets[1].size() + fleet.buckets[2].size()));
  }
}

TEST(PlanStage, KeepsAStageThatIsLargerThanTheNext) {
  Fleet fleet({10});
  fleet.open(count(5));
  fleet.open(percent(20));
  EXPECT_EQ(fleet.covered(), 5) << "a smaller stage behind a larger one changes nothing";
}

TEST(PlanStage, GoesOnFromAStratumThatHasGrownLarge) {
  std::vector<Stratum> grown = strata({5000});
  grown[0].threshold_before = kEveryone / 2;
  EXPECT_EQ(plan_stage(percent(10), grown).strata[0].threshold, kEveryone / 2);
  EXPECT_EQ(plan_stage(percent(10), grown).strata[0].expected, 2500);
}

TEST(Settle, StandsOneAboveTheMember) {
  EXPECT_EQ(settle({"k", 3, 10, 3}, 99), 100u);
  EXPECT_EQ(settle({"k", 3, 1000, 3}, 99), 1000u);
  EXPECT_EQ(settle({"k", 0, 10, 3}, 99), 10u);
  EXPECT_EQ(settle({"k", 3, 10, 3}, std::nullopt), 10u);
  EXPECT_EQ(settle({"k", 1, 0, 1}, kEveryone - 1), kEveryone);
}

TEST(Thresholds, FallBackForUnknownKinds) {
  const Thresholds thresholds{{{"a", 1}, {"c", 3}}, 7};
  EXPECT_EQ(thresholds.of("a"), 1u);
  EXPECT_EQ(thresholds.of("b"), 7u);
  EXPECT_EQ(thresholds.of("c"), 3u);
  EXPECT_EQ(thresholds.of(""), 7u);
}

}  // namespace
}  // namespace drover::rollout
