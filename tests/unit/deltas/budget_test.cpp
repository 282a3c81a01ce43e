#include "server/deltas/budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/rng/rng.h"

namespace drover::deltas {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Kept kept(std::uint64_t bytes, std::int64_t release) {
  Kept one;
  one.bytes = bytes;
  one.release = release;
  one.current_codec = true;
  return one;
}

TEST(Budget, takes_nothing_away_while_there_is_room) {
  EXPECT_THAT(*to_remove(std::vector{kept(60, 1), kept(40, 2)}, 100), IsEmpty());
}

TEST(Budget, takes_the_oldest_releases_first_and_no_more_than_needed) {
  EXPECT_THAT(*to_remove(std::vector{kept(40, 3), kept(40, 1), kept(40, 2)}, 100), ElementsAre(1));
  EXPECT_THAT(*to_remove(std::vector{kept(40, 3), kept(40, 1), kept(40, 2)}, 79), ElementsAre(1, 2));
  EXPECT_THAT(*to_remove(std::vector{kept(40, 3), kept(40, 0)}, 40), ElementsAre(1)) << "of no release any more";
}

TEST(Budget, keeps_what_leads_to_a_newest_release_and_what_new_agents_decode_longest) {
  Kept newest = kept(40, 1), old_codec = kept(40, 9);
  newest.newest = true;
  old_codec.current_codec = false;
  EXPECT_THAT(*to_remove(std::vector{newest, kept(40, 8), old_codec}, 90), ElementsAre(2));
  EXPECT_THAT(*to_remove(std::vector{newest, kept(40, 8), old_codec}, 50), ElementsAre(2, 1));
}

TEST(Budget, of_one_release_takes_what_was_served_least_and_then_what_saves_least) {
  Kept served = kept(40, 1), saves = kept(40, 1);
  served.served = 1;
  saves.saves = 1000;
  EXPECT_THAT(*to_remove(std::vector{served, saves, kept(40, 1)}, 80), ElementsAre(2));
  EXPECT_THAT(*to_remove(std::vector{served, saves, kept(40, 1)}, 40), ElementsAre(2, 1));
}

TEST(Budget, never_takes_what_an_open_rollout_needs_and_says_when_that_is_too_much) {
  Kept needed = kept(90, 1);
  needed.open_rollout = true;
  EXPECT_THAT(*to_remove(std::vector{needed, kept(40, 2)}, 100), ElementsAre(1));
  EXPECT_FALSE(to_remove(std::vector{needed, kept(40, 2)}, 80));
  EXPECT_FALSE(to_remove(std::vector{needed}, 0));
  EXPECT_THAT(*to_remove({}, 0), IsEmpty());
}

TEST(Budget, takes_packed_files_before_deltas_even_of_an_open_rollout) {
  Kept packed = kept(40, 9), delta = kept(40, 8), old = kept(40, 1);
  packed.packed = packed.open_rollout = packed.newest = delta.newest = true;
  EXPECT_THAT(*to_remove(std::vector{packed, delta, old}, 80), ElementsAre(2));
  EXPECT_THAT(*to_remove(std::vector{packed, delta, old}, 40), ElementsAre(2, 0));
}

Kept any(SeededRng& rng) {
  Kept one;
  one.bytes = rng.next() % 100;
  one.open_rollout = rng.next() % 4 == 0;
  one.newest = rng.next() % 3 == 0;
  one.packed = rng.next() % 4 == 0;
  one.current_codec = rng.next() % 5 != 0;
  one.release = static_cast<std::int64_t>(rng.next() % 6);
  one.served = rng.next() % 3;
  one.saves = rng.next() % 50;
  return one;
}

TEST(Budget, holds_its_promises_whatever_is_kept) {
  SeededRng rng(11);
  for (int round = 0; round < 2000; ++round) {
    std::vector<Kept> all;
    for (std::uint64_t i = rng.next() % 20; i > 0; --i) all.push_back(any(rng));
    const std::uint64_t budget = rng.next() % 1000;
    const auto gone = to_remove(all, budget);
    std::uint64_t needed = 0, left = 0;
    for (const Kept& one : all) needed += one.open_rollout && !one.packed ? one.bytes : 0;
    ASSERT_EQ(gone.has_value(), needed <= budget) << round;
    if (!gone) continue;
    const std::set<std::size_t> without(gone->begin(), gone->end());
    ASSERT_EQ(without.size(), gone->size()) << "none twice";
    for (std::size_t i = 0; i < all.size(); ++i) left += without.contains(i) ? 0 : all[i].bytes;
    EXPECT_LE(left, budget);
    for (const std::size_t i : *gone) EXPECT_FALSE(all[i].open_rollout && !all[i].packed);
    if (!gone->empty()) {
      EXPECT_GT(left + all[gone->back()].bytes, budget) << "the last had to go";
    }
  }
}

}  // namespace
}  // namespace drover::deltas
