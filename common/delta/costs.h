// What residuals cost under the default distributions, for the encoder's choices. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/delta/distribution.h"
#include "common/delta/tensor_model.h"

namespace drover::delta {

// An element whose scale is still open.
struct OpenElement {
  std::int32_t residual = 0;
  std::int16_t ulp_log = 0;   // 4 * log2 of the ulp
  std::uint8_t fraction = 0;  // step
  std::int8_t mirror = 0;     // -1 where a small scale turns the sign
};

template <class T>
OpenElement open_element(typename T::Stored base, float predicted, typename T::Stored target) {
  const bool plain = T::is_special(base) || is_special_float(predicted);
  const Nearest nearest = T::nearest(plain ? 0.0F : predicted);
  Expectation here;
  here.ordinal = plain ? T::ordinal(base) : nearest.ordinal;
  const std::int32_t fraction = plain ? 0 : nearest.fraction;
  return {.residual = residual_of<T>(target, here),
          .ulp_log = static_cast<std::int16_t>(4 * T::ulp_log(here.ordinal)),
          .fraction = static_cast<std::uint8_t>(fraction_step(fraction < 0 ? -fraction : fraction)),
          .mirror = static_cast<std::int8_t>(fraction >> 31)};
}

class CostTable {
 public:
  // In 1/256 bits.
  std::uint32_t of(const OpenElement& element, std::int32_t scale) const {
    const std::int32_t t = std::clamp(scale - element.ulp_log, kSmallestScale, 4 * (kMaxLowBits + 2) + 3);
    if (t < kLargeFrom) {
      const auto slot = static_cast<std::size_t>((t - kSmallestScale) * kFractionSteps + element.fraction);
      return bits_[kSlotContexts[slot] * kSymbols + symbol_of(turned(element))];
    }
    const std::int32_t low = (t >> 2) - 2;
    const std::size_t context = kLargeContext + static_cast<std::size_t>(t & 3);
    return static_cast<std::uint32_t>(low) * 256 + bits_[context * kSymbols + symbol_of(element.residual >> low)];
  }
  std::uint64_t of(std::span<const OpenElement> elements, std::int32_t scale) const {
    std::uint64_t sum = 0;
    for (const OpenElement& element : elements) sum += of(element, scale);
    return sum;
  }
  explicit CostTable(std::size_t shape);

 private:
  static std::int32_t turned(const OpenElement& element) {
    const auto mirror = static_cast<std::uint32_t>(std::int32_t{element.mirror});
    return static_cast<std::int32_t>((static_cast<std::uint32_t>(element.residual) ^ mirror) - mirror);
  }
  std::vector<std::uint16_t> bits_;
};

const CostTable& cost_table(std::size_t shape);

struct BestScale {
  std::int32_t scale = 0;
  std::uint64_t cost = 0;  // in 1/256 bits, without the penalty
};
// The scale near `start` at which elements cost least; being far from `home` costs `penalty` for each quarter octave.
BestScale best_scale(const CostTable& costs, std::span<const OpenElement> elements, std::int32_t start,
                     std::int32_t home = 0, std::uint64_t penalty = 0);

}  // namespace drover::delta
