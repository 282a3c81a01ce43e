#include "server/deltas/chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <numeric>

#include "common/rng/rng.h"

namespace drover::deltas {
namespace {

using crypto::Digest;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kNone = -1;  // no file: what a packed one starts from

Digest file(int number) {
  if (number == kNone) return nothing();
  return crypto::sha256(std::to_string(number));
}

// Files by number; every file has 1000 bytes unless it is told otherwise.
class Graph {
 public:
  Graph& edge(int from, int to, std::uint64_t bytes, std::int64_t codec = 1) {
    edges_[file(to)].push_back({file(from), file(to), codec, bytes});
    return *this;
  }
  Graph& size(int number, std::uint64_t bytes) {
    sizes_[file(number)] = bytes;
    return *this;
  }

  std::vector<Edge> plan(int target, const std::vector<int>& held, const std::vector<std::int64_t>& codecs = {1},
                         std::uint64_t room = UINT64_MAX) const {
    std::vector<Digest> files;
    for (const int one : held) files.push_back(file(one));
    const auto size_of = [this](const Digest& of) { return std::optional(size_at(of)); };
    const auto edges_to = [this](const Digest& of) { return edges_at(of); };
    return plan_chain({file(target), size_at(file(target)), files, codecs, room}, edges_to, size_of);
  }
  std::vector<Edge> edges_at(const Digest& of) const {
    const auto found = edges_.find(of);
    return found == edges_.end() ? std::vector<Edge>() : found->second;
  }
  std::uint64_t size_at(const Digest& of) const {
    const auto found = sizes_.find(of);
    return found == sizes_.end() ? 1000 : found->second;
  }

 private:
  std::map<Digest, std::vector<Edge>> edges_;
  std::map<Digest, std::uint64_t> sizes_;
};

Edge edge(int from, int to, std::uint64_t bytes, std::int64_t codec = 1) {
  return {file(from), file(to), codec, bytes};
}

std::uint64_t bytes_of(const std::vector<Edge>& chain) {
  return std::accumulate(chain.begin(), chain.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Edge& one) { return sum + one.bytes; });
}

TEST(PlanChain, is_one_delta_or_several_whichever_is_smaller) {
  EXPECT_THAT(Graph().edge(1, 2, 100).edge(2, 3, 100).edge(1, 3, 150).plan(3, {1}), ElementsAre(edge(1, 3, 150)));
  EXPECT_THAT(Graph().edge(1, 2, 100).edge(2, 3, 100).edge(1, 3, 250).plan(3, {1}),
              ElementsAre(edge(1, 2, 100), edge(2, 3, 100)));
}

TEST(PlanChain, of_two_that_cost_the_same_is_the_one_with_fewer_steps) {
  EXPECT_THAT(Graph().edge(1, 2, 100).edge(2, 3, 100).edge(1, 3, 200).plan(3, {1}), ElementsAre(edge(1, 3, 200)));
}

TEST(PlanChain, starts_from_whatever_is_cheapest_of_what_is_held) {
  const Graph graph = Graph().edge(1, 2, 100).edge(2, 3, 100).edge(9, 3, 300);
  EXPECT_THAT(graph.plan(3, {9}), ElementsAre(edge(9, 3, 300)));
  EXPECT_THAT(graph.plan(3, {9, 1}), ElementsAre(edge(1, 2, 100), edge(2, 3, 100)));
  EXPECT_THAT(graph.plan(3, {9, 1, 2}), ElementsAre(edge(2, 3, 100))) << "the middle of a chain that was cut short";
}

TEST(PlanChain, is_nothing_without_a_way_or_when_the_file_itself_is_smaller) {
  EXPECT_THAT(Graph().edge(1, 2, 100).plan(3, {1}), IsEmpty());
  EXPECT_THAT(Graph().edge(1, 3, 100).plan(3, {}), IsEmpty());
  EXPECT_THAT(Graph().edge(1, 3, 1000).plan(3, {1}), IsEmpty());
  EXPECT_THAT(Graph().edge(1, 2, 600).edge(2, 3, 600).plan(3, {1}), IsEmpty());
}

TEST(PlanChain, uses_only_what_the_device_can_decode) {
  const Graph graph = Graph().edge(1, 3, 10, 2).edge(1, 3, 50, 1);
  EXPECT_THAT(graph.plan(3, {1}, {1, 2}), ElementsAre(edge(1, 3, 10, 2)));
  EXPECT_THAT(graph.plan(3, {1}, {1}), ElementsAre(edge(1, 3, 50, 1)));
  EXPECT_THAT(Graph().edge(1, 3, 10, 2).plan(3, {1}, {1}), IsEmpty());
}

TEST(PlanChain, is_no_longer_than_it_may_be) {
  Graph graph;
  for (int i = 0; i < 9; ++i) graph.edge(i, i + 1, 10);
  EXPECT_EQ(graph.plan(9, {9 - static_cast<int>(wire::kMaxDeltaSteps)}).size(), wire::kMaxDeltaSteps);
  EXPECT_THAT(graph.plan(9, {8 - static_cast<int>(wire::kMaxDeltaSteps)}), IsEmpty());
}

TEST(PlanChain, makes_no_file_on_the_way_that_is_much_larger_than_both_ends) {
  const auto with = [](std::uint64_t between) {
    return Graph().edge(1, 2, 10).edge(2, 3, 10).size(2, between).plan(3, {1});
  };
  EXPECT_EQ(with(1000 * wire::kMaxBetween).size(), 2u);
  EXPECT_THAT(with(1000 * wire::kMaxBetween + 1), IsEmpty());
}

TEST(PlanChain, makes_no_file_on_the_way_whose_size_nobody_knows) {
  const Graph graph = Graph().edge(1, 2, 10).edge(2, 3, 10);
  const std::vector<Digest> held = {file(1)};
  const std::vector<std::int64_t> codecs = {1};
  const auto edges_to = [&](const Digest& of) { return graph.edges_at(of); };
  const auto size_of = [](const Digest& of) {
    return of == file(2) ? std::nullopt : std::optional<std::uint64_t>(1000);
  };
  EXPECT_THAT(plan_chain({file(3), 1000, held, codecs}, edges_to, size_of), IsEmpty());
}

TEST(PlanChain, does_not_turn_in_circles) {
  EXPECT_THAT(Graph().edge(1, 2, 1).edge(2, 1, 1).edge(2, 3, 1).edge(3, 2, 1).plan(3, {1}),
              ElementsAre(edge(1, 2, 1), edge(2, 3, 1)));
}

TEST(PlanChain, a_packed_file_is_an_edge_as_any_other) {
  EXPECT_EQ(nothing().text(), wire::kNothing);
  EXPECT_THAT(Graph().edge(kNone, 3, 800).plan(3, {kNone}), ElementsAre(edge(kNone, 3, 800)));
  EXPECT_THAT(Graph().edge(kNone, 3, 800).plan(3, {}), IsEmpty()) << "to a device that does not ask for one";
  const Graph graph = Graph().edge(kNone, 3, 800).edge(1, 3, 300);
  EXPECT_THAT(graph.plan(3, {1, kNone}), ElementsAre(edge(1, 3, 300)));
  EXPECT_THAT(graph.plan(3, {9, kNone}), ElementsAre(edge(kNone, 3, 800)));
  EXPECT_THAT(Graph().edge(kNone, 2, 700).edge(2, 3, 50).edge(kNone, 3, 800).plan(3, {kNone}),
              ElementsAre(edge(kNone, 2, 700), edge(2, 3, 50)));
}

TEST(PlanChain, takes_the_direct_way_where_there_is_no_room_for_a_file_between) {
  const Graph graph = Graph().edge(1, 2, 100).edge(2, 3, 100).edge(1, 3, 250);  // files of 1000
  EXPECT_EQ(graph.plan(3, {1}, {1}, 2100).size(), 2u);
  EXPECT_THAT(graph.plan(3, {1}, {1}, 2099), ElementsAre(edge(1, 3, 250)));
  EXPECT_THAT(graph.plan(3, {1}, {1}, 1249), IsEmpty());
  EXPECT_THAT(graph.plan(3, {2}, {1}, 1100), ElementsAre(edge(2, 3, 100))) << "what is held takes no more room";
}

// Every way of at most so many steps, the slow way.
std::uint64_t cheapest(const Graph& graph, const Digest& to, const std::vector<Digest>& held, std::size_t steps,
                       std::uint64_t room) {
  if (std::find(held.begin(), held.end(), to) != held.end()) return 0;
  std::uint64_t best = UINT64_MAX;
  if (steps == 0) return best;
  for (const Edge& one : graph.edges_at(to)) {
    const bool is_held = std::find(held.begin(), held.end(), one.base) != held.end();
    if (one.bytes + graph.size_at(to) + (is_held ? 0 : graph.size_at(one.base)) > room) continue;
    const std::uint64_t rest = cheapest(graph, one.base, held, steps - 1, room);
    if (rest != UINT64_MAX) best = std::min(best, rest + one.bytes);
  }
  return best;
}

TEST(PlanChain, finds_the_smallest_sum_in_every_graph) {
  SeededRng rng(7);
  const auto below = [&rng](std::uint64_t n) { return static_cast<int>(rng.next() % n); };
  for (int round = 0; round < 1000; ++round) {
    Graph graph;
    for (int i = 0; i < 14; ++i) graph.edge(below(7), below(7), static_cast<std::uint64_t>(1 + below(500)));
    for (int i = 0; i < 4; ++i) graph.edge(kNone, below(7), static_cast<std::uint64_t>(1 + below(900)));
    const int held = 1 + below(6);
    std::vector<int> all = {held};
    std::vector<Digest> files = {file(held)};
    if (below(2) == 0) all.push_back(kNone), files.push_back(nothing());
    const std::uint64_t room = below(2) == 0 ? UINT64_MAX : static_cast<std::uint64_t>(1000 + below(1500));
    const std::uint64_t expected = cheapest(graph, file(0), files, wire::kMaxDeltaSteps, room);
    const auto chain = graph.plan(0, all, {1}, room);
    if (expected >= 1000) {
      EXPECT_THAT(chain, IsEmpty()) << round;
      continue;
    }
    EXPECT_EQ(bytes_of(chain), expected) << round;
    ASSERT_FALSE(chain.empty());
    EXPECT_NE(std::find(files.begin(), files.end(), chain.front().base), files.end());
    EXPECT_EQ(chain.back().target, file(0));
    for (std::size_t i = 1; i < chain.size(); ++i) EXPECT_EQ(chain[i].base, chain[i - 1].target);
  }
}

TEST(PlanChain, looks_at_no_more_than_it_may) {
  std::size_t looked = 0;
  const auto edges_to = [&looked](const Digest& to) {
    std::vector<Edge> edges;
    if (++looked > 2 * kMaxLookedAt) return edges;  // enough to see it, and an end
    for (int i = 0; i < 50; ++i) edges.push_back({crypto::sha256(to.hex() + std::to_string(i)), to, 1, 1});
    return edges;
  };
  const std::vector<Digest> held = {file(1)};
  const std::vector<std::int64_t> codecs = {1};
  const auto size_of = [](const Digest&) { return std::optional<std::uint64_t>(1000); };
  EXPECT_THAT(plan_chain({file(0), 1000, held, codecs}, edges_to, size_of), IsEmpty());
  EXPECT_LE(looked, kMaxLookedAt);
}

}  // namespace
}  // namespace drover::deltas
