// Promises 1 to 5 and 8, in some hundred worlds: nothing that goes wrong breaks them, and when nothing goes wrong any
// more everything comes to rest. `./run sim --seed n -v` tells the story of one world.
#include <gtest/gtest.h>

#include <set>

#include "tests/sim/options.h"

namespace drover::sim {
namespace {

std::string told(std::uint64_t seed, const Outcome& outcome) {
  std::string text = "seed " + std::to_string(seed) + ": " + outcome.violation + "\n";
  for (const std::string& line : outcome.last) text += line + "\n";
  return text;
}

Outcome run(std::uint64_t seed, Plant plant = Plant::none) {
  Options options;
  options.seed = seed;
  options.plant = plant;
  return simulate(options);
}

// --- no world breaks a promise ---------------------------------------------------------------------------------------

constexpr std::uint64_t kSeedsInPart = 50;

class Worlds : public testing::TestWithParam<std::uint64_t> {};

TEST_P(Worlds, KeepEveryPromiseAndComeToRest) {
  Tally tally;
  for (std::uint64_t seed = GetParam(); seed < GetParam() + kSeedsInPart; ++seed) {
    const Outcome outcome = run(seed);
    ASSERT_EQ(outcome.violation, "") << told(seed, outcome);
    tally.add(outcome.tally);
  }
  // They have been somewhere.
  for (const std::uint64_t many :
       {tally.lost, tally.twice, tally.power_cuts, tally.crashes, tally.offers, tally.committed})
    EXPECT_GT(many, 100u);
  for (const std::uint64_t some : {tally.server_restarts, tally.refused, tally.went_back, tally.taken_back,
                                   tally.completed, tally.halted, tally.rolled_back})
    EXPECT_GT(some, 4u);
  for (const std::uint64_t any : {tally.returned, tally.promotions, tally.withdrawn, tally.silent}) EXPECT_GT(any, 0u);
}

INSTANTIATE_TEST_SUITE_P(From, Worlds, testing::Values(1, 51, 101, 151, 201, 251));

TEST(Worlds, OfSixtyDevicesKeepThemToo) {
  Options options;
  options.devices = 60;
  for (options.seed = 9001; options.seed < 9011; ++options.seed) {
    const Outcome outcome = simulate(options);
    ASSERT_EQ(outcome.violation, "") << told(options.seed, outcome);
  }
}

TEST(Worlds, OfTheSameSeedEndTheSameAndOfOthersDiffer) {
  std::set<std::uint64_t> digests;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Outcome outcome = run(seed);
    EXPECT_EQ(outcome.digest, run(seed).digest) << "seed " << seed;
    digests.insert(outcome.digest);
  }
  EXPECT_EQ(digests.size(), 20u);
}

// The same over SQLite and the journeys of server/api: fewer, since each commit waits for the disk.
TEST(Worlds, OverTheRealStoreKeepThemToo) {
  Options options;
  options.store = true;
  for (options.seed = 1; options.seed <= 6; ++options.seed) {
    const Outcome outcome = simulate(options);
    ASSERT_EQ(outcome.violation, "") << told(options.seed, outcome);
  }
}

// --- every promise is seen to break ----------------------------------------------------------------------------------

struct Sabotage {
  Plant plant;
  std::string_view name;
  std::string_view promise;  // what the violation must begin with
};
void PrintTo(const Sabotage& sabotage, std::ostream* out) { *out << sabotage.name; }

constexpr std::uint64_t kTries = 400;  // worlds in which a planted fault must have shown itself

class Sabotaged : public testing::TestWithParam<Sabotage> {};

TEST_P(Sabotaged, WorldsAreFound) {
  std::string first;
  for (std::uint64_t seed = 1; seed <= kTries; ++seed) {
    const Outcome outcome = run(seed, GetParam().plant);
    if (outcome.violation.starts_with(GetParam().promise)) return;
    if (first.empty()) first = outcome.violation;
  }
  FAIL() << GetParam().name << " went unnoticed; the first that broke was: " << first;
}

INSTANTIATE_TEST_SUITE_P(
    All, Sabotaged,
    testing::Values(Sabotage{Plant::flips_before_verify, "flips_before_verify", "2 complete and verified"},
                    Sabotage{Plant::believes_unlisted, "believes_unlisted", "1 what was signed"},
                    Sabotage{Plant::takes_anybodys_assignment, "takes_anybodys_assignment", "1 "},
                    Sabotage{Plant::confirms_unseen, "confirms_unseen", "3 goes back by itself"},
                    Sabotage{Plant::asks_before_rollback, "asks_before_rollback", "3 goes back by itself"},
                    Sabotage{Plant::forgets_deployment, "forgets_deployment", "8 every end is told"},
                    Sabotage{Plant::goes_back_elsewhere, "goes_back_elsewhere", "its own previous release"},
                    Sabotage{Plant::forgets_cap, "forgets_cap", "4 the in-flight cap"},
                    Sabotage{Plant::forgets_stage, "forgets_stage", "4 stages"},
                    Sabotage{Plant::offers_when_halted, "offers_when_halted", "4 nothing is offered when stopped"},
                    Sabotage{Plant::forgets_revision, "forgets_revision", "4 halted at the next check-in"},
                    Sabotage{Plant::counts_twice, "counts_twice", "5 counted"},
                    Sabotage{Plant::acks_before_commit, "acks_before_commit", "5 acknowledged is kept"},
                    Sabotage{Plant::reuses_versions, "reuses_versions", "1 versions grow"},
                    Sabotage{Plant::never_sweeps, "never_sweeps", "8 nothing wedges"},
                    Sabotage{Plant::insists_on_every_event, "insists_on_every_event", "8 nothing wedges"}),
    [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace drover::sim
