#include "common/delta/costs.h"

#include <cmath>
#include <cstdlib>

namespace drover::delta {
namespace {

constexpr double kEscapeBits = 14;  // beside the symbol: a length and a number a little beyond the direct ones
constexpr double kNever = 24;       // bits of a symbol that the defaults exclude: an escape

// Where residuals are of many ulps, costs are flat far from the best scale: their mean logarithm is a better start.
std::int32_t start_for(std::span<const OpenElement> elements, std::int32_t start) {
  std::int64_t lengths = 0, scales = 0;
  for (const OpenElement& element : elements) {
    const auto size = static_cast<std::uint32_t>(std::abs(std::int64_t{element.residual}));
    const int length = 4 * std::bit_width(size);
    lengths += length;
    scales += length + element.ulp_log;
  }
  const auto count = static_cast<std::int64_t>(elements.size());
  return lengths > 12 * count ? static_cast<std::int32_t>(scales / count) : start;
}

}  // namespace

CostTable::CostTable(std::size_t shape) : bits_(kDifferenceContexts * kSymbols) {
  for (std::size_t c = 0; c < kDifferenceContexts; ++c) {
    const Frequencies f = default_frequencies(shape, c);
    for (std::size_t s = 0; s < kSymbols; ++s) {
      double bits = f[s] == 0 ? kNever : kProbBits - std::log2(double(f[s]));
      if (s == kEscape) bits += kEscapeBits;
      bits_[c * kSymbols + s] = static_cast<std::uint16_t>(std::lround(bits * 256));
    }
  }
}

const CostTable& cost_table(std::size_t shape) {
  static const std::vector<CostTable> tables = [] {
    std::vector<CostTable> made;
    for (std::size_t s = 0; s < kShapes; ++s) made.emplace_back(s);
    return made;
  }();
  return tables[shape];
}

BestScale best_scale(const CostTable& costs, std::span<const OpenElement> elements, std::int32_t start,
                     std::int32_t home, std::uint64_t penalty) {
  const auto priced = [&](std::int32_t scale) {
    return costs.of(elements, scale) + penalty * static_cast<std::uint64_t>(std::abs(scale - home));
  };
  std::int32_t best = start_for(elements, start);
  std::uint64_t least = priced(best);
  for (std::int32_t step : {4, 1}) {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::int32_t next : {best - step, best + step}) {
        const std::uint64_t cost = priced(next);
        if (cost >= least) continue;
        least = cost;
        best = next;
        moved = true;
        break;
      }
    }
  }
  return {best, least - penalty * static_cast<std::uint64_t>(std::abs(best - home))};
}

}  // namespace drover::delta
