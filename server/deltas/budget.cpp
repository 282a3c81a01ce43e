#include "server/deltas/budget.h"

#include <algorithm>
#include <tuple>

namespace drover::deltas {

std::optional<std::vector<std::size_t>> to_remove(std::span<const Kept> kept, std::uint64_t budget) {
  std::uint64_t taken = 0;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    taken += kept[i].bytes;
    if (!kept[i].open_rollout || kept[i].packed) order.push_back(i);
  }
  const auto use = [&kept](std::size_t i) {
    const Kept& one = kept[i];
    return std::tuple(one.newest, !one.packed, one.current_codec, one.release, one.served, one.saves);
  };
  std::stable_sort(order.begin(), order.end(), [&use](std::size_t a, std::size_t b) { return use(a) < use(b); });
  std::vector<std::size_t> gone;
  for (const std::size_t i : order) {
    if (taken <= budget) break;
    taken -= kept[i].bytes;
    gone.push_back(i);
  }
  if (taken > budget) return std::nullopt;
  return gone;
}

}  // namespace drover::deltas
