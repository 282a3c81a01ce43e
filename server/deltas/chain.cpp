#include "server/deltas/chain.h"

#include <algorithm>
#include <map>

namespace drover::deltas {
namespace {

using crypto::Digest;

template <class Range, class T>
bool has(const Range& range, const T& one) {
  return std::find(range.begin(), range.end(), one) != range.end();
}

// From a file to the target: what it costs, in the order of use.
struct Way {
  std::vector<Edge> edges;
  std::uint64_t bytes = 0;
};
using Ways = std::map<Digest, Way>;

class Search {
 public:
  Search(const Question& question, const EdgesTo& edges_to, const SizeOf& size_of)
      : question_(question), edges_to_(edges_to), size_of_(size_of), largest_(question.target_size) {
    for (const Digest& held : question.held) largest_ = std::max(largest_, size_of(held).value_or(0));
    largest_ *= wire::kMaxBetween;
  }

  // Backwards, one step at a time, from the target: each round knows the cheapest way of exactly so many steps.
  Way run() {
    Ways ends;
    ends.emplace(question_.target, Way());
    for (std::size_t step = 0; step < wire::kMaxDeltaSteps && !ends.empty(); ++step) ends = one_step_back(ends);
    return std::move(best_);
  }

 private:
  Ways one_step_back(const Ways& ends) {
    Ways found;
    for (const auto& [file, way] : ends) {
      if (++looked_at_ > kMaxLookedAt) break;
      for (const Edge& edge : edges_to_(file))
        if (has(question_.codecs, edge.codec)) extend(edge, way, found);
    }
    return found;
  }

  void extend(const Edge& edge, const Way& way, Ways& found) {
    if (room_of(edge) > question_.room) return;
    Way longer;
    longer.bytes = way.bytes + edge.bytes;
    if (longer.bytes >= limit()) return;
    longer.edges.push_back(edge);
    longer.edges.insert(longer.edges.end(), way.edges.begin(), way.edges.end());
    if (has(question_.held, edge.base)) {
      best_ = std::move(longer);
      return;  // whatever leads to what is held already costs more
    }
    const auto size = size_of_(edge.base);
    if (!size || *size > largest_) return;
    const auto known = found.find(edge.base);
    if (known == found.end() || longer.bytes < known->second.bytes) found[edge.base] = std::move(longer);
  }

  // At once on the device's disk beside what it held: the delta, its result, and its base where a step before made it.
  std::uint64_t room_of(const Edge& edge) const {
    const std::uint64_t target =
        edge.target == question_.target ? question_.target_size : size_of_(edge.target).value_or(0);
    const std::uint64_t base = has(question_.held, edge.base) ? 0 : size_of_(edge.base).value_or(0);
    return edge.bytes + target + base;
  }

  // A way must be cheaper than the file, and than the best of fewer steps.
  std::uint64_t limit() const { return best_.edges.empty() ? question_.target_size : best_.bytes; }

  const Question& question_;
  const EdgesTo& edges_to_;
  const SizeOf& size_of_;
  Way best_;
  std::uint64_t largest_;  // that a file between may be
  std::size_t looked_at_ = 0;
};

}  // namespace

const Digest& nothing() {
  static const Digest digest = crypto::sha256(std::string_view());
  return digest;
}

std::vector<Edge> plan_chain(const Question& question, const EdgesTo& edges_to, const SizeOf& size_of) {
  return Search(question, edges_to, size_of).run().edges;
}

}  // namespace drover::deltas
