// What encoder and decoder share of the coding of one tensor against a base: from what both know before an element
// comes (the base's element, the prediction, the scale of its row and column) to the context and the split of its
// residual. Nothing depends on the elements decoded just before, so that a decoder knows all contexts of a row before
// its first symbol. Pure.
//
// The residual d (in ulps, against the nearest number to the prediction) is expected at a scale of 2^(t/4) ulps. Where
// that is large, its low bits are noise and go as they are; where it is small, the fraction that rounding the
// prediction lost tells which neighbour is likelier. Residuals are mirrored so that the fraction is never negative.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "common/delta/element.h"

namespace drover::delta {

// An element's slot: (t, fraction) for small scales, then one for each quarter of an octave of large ones, then the
// slot of those whose base is zero. Several slots share a context.
inline constexpr int kSmallestScale = -24, kLargeFrom = 16;  // of t: 1/64 ulp, 16 ulps
inline constexpr int kFractionSteps = 16;
inline constexpr std::size_t kSmallSlots = static_cast<std::size_t>(kLargeFrom - kSmallestScale) * kFractionSteps;
inline constexpr std::size_t kZeroSlot = kSmallSlots + 4;
inline constexpr std::size_t kSlots = kZeroSlot + 1;

// Contexts: below a quarter of an ulp every half octave with all fractions; up to 2 ulps every quarter with 9; then 3.
inline constexpr int kFineTo = -8, kMiddleTo = 4;
inline constexpr std::size_t kFineContexts = static_cast<std::size_t>(kFineTo - kSmallestScale) / 2 * kFractionSteps;
inline constexpr std::size_t kMiddleFractions = 9, kCoarseFractions = 3;
inline constexpr std::size_t kMiddleContexts = static_cast<std::size_t>(kMiddleTo - kFineTo) * kMiddleFractions;
inline constexpr std::size_t kCoarseContexts = static_cast<std::size_t>(kLargeFrom - kMiddleTo) * kCoarseFractions;
inline constexpr std::size_t kLargeContext = kFineContexts + kMiddleContexts + kCoarseContexts;
inline constexpr std::size_t kZeroContext = kLargeContext + 4;
inline constexpr std::size_t kDifferenceContexts = kZeroContext + 1;
inline constexpr std::int32_t kMaxLowBits = 24;

constexpr std::size_t context_of_small(int t, int fraction) {
  const auto f = static_cast<std::size_t>(fraction);
  if (t < kFineTo) return static_cast<std::size_t>(t - kSmallestScale) / 2 * kFractionSteps + f;
  const std::size_t wide = f < 8 ? 0 : f - 7;  // 0 to 8, in eighths of half an ulp
  if (t < kMiddleTo) return kFineContexts + static_cast<std::size_t>(t - kFineTo) * kMiddleFractions + wide;
  return kFineContexts + kMiddleContexts + static_cast<std::size_t>(t - kMiddleTo) * kCoarseFractions + (wide + 1) / 4;
}

constexpr std::array<std::uint16_t, kSlots> make_slot_contexts() {
  std::array<std::uint16_t, kSlots> out{};
  for (int t = kSmallestScale; t < kLargeFrom; ++t)
    for (int f = 0; f < kFractionSteps; ++f)
      out[static_cast<std::size_t>((t - kSmallestScale) * kFractionSteps + f)] =
          static_cast<std::uint16_t>(context_of_small(t, f));
  for (std::size_t i = 0; i < 5; ++i) out[kSmallSlots + i] = static_cast<std::uint16_t>(kLargeContext + i);
  return out;
}
inline constexpr std::array<std::uint16_t, kSlots> kSlotContexts = make_slot_contexts();

// Eight steps of 1/128 ulp, then eight of 1/16.
inline std::int32_t fraction_step(std::int32_t size) {
  return std::min(std::min(size >> 3, 7 + (size >> 6)), kFractionSteps - 1);
}

// How an element is coded, known before it is.
struct Expectation {
  std::int32_t ordinal = 0;
  std::int32_t mirror = 0;  // -1: the residual's sign is turned
  std::int32_t low_bits = 0;
  std::int32_t slot = 0;
};

// `predicted`: the value without `nearest`'s rounding; `scale`: of the row and column, 4 * log2. A zero of a float says
// nothing of its neighbours; one of int8 may be the smallest of its kind: `zeros_apart` tells.
template <class T>
inline Expectation expect(std::uint32_t base, float predicted, std::int32_t scale, bool zeros_apart) {
  const std::int32_t zero = T::zero_mask(base) & (T::kWidth != 8 ? -1 : -static_cast<std::int32_t>(zeros_apart));
  const std::int32_t plain = zero | T::special_mask(base) | special_float_mask(predicted);
  // +0 where no arithmetic is wanted: masks rather than branches, so that loops become vector instructions.
  const Nearest nearest = T::nearest(std::bit_cast<float>(float_bits(predicted) & static_cast<std::uint32_t>(~plain)));
  Expectation out;
  out.ordinal = (T::ordinal(base) & plain) | (nearest.ordinal & ~plain);
  const std::int32_t fraction = nearest.fraction & ~plain;
  const std::int32_t t =
      std::min(std::max(scale - 4 * T::ulp_log(out.ordinal), kSmallestScale), 4 * (kMaxLowBits + 2) + 3);
  const std::int32_t large = (kLargeFrom - 1 - t) >> 31, sign = fraction >> 31;
  out.mirror = sign & ~large;
  out.low_bits = ((t >> 2) - 2) & large & ~zero;
  const std::int32_t small = (t - kSmallestScale) * kFractionSteps + fraction_step((fraction ^ sign) - sign);
  const std::int32_t slot = ((static_cast<std::int32_t>(kSmallSlots) + (t & 3)) & large) | (small & ~large);
  out.slot = (static_cast<std::int32_t>(kZeroSlot) & zero) | (slot & ~zero);
  return out;
}

// Symbols for the high part of a residual: -127..127 as they are, one for all others, which go plain.
inline constexpr std::int32_t kDirect = 127;
inline constexpr std::uint8_t kEscape = 255;
inline std::uint8_t symbol_of(std::int32_t high) {
  return high >= -kDirect && high <= kDirect ? static_cast<std::uint8_t>(high + kDirect) : kEscape;
}

// Residuals modulo 2^32; of int8 modulo 2^8, which brings all but one back to a symbol.
template <class T>
inline std::int32_t residual_of(typename T::Stored target, const Expectation& here) {
  const auto difference = static_cast<std::int32_t>(static_cast<std::uint32_t>(T::ordinal(target)) -
                                                    static_cast<std::uint32_t>(here.ordinal));
  const std::int32_t wrapped = T::kWidth == 8 ? static_cast<std::int8_t>(difference) : difference;
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(wrapped ^ here.mirror) -
                                   static_cast<std::uint32_t>(here.mirror));
}
template <class T>
inline std::uint32_t from_residual(std::int32_t residual, std::int32_t ordinal, std::int32_t mirror) {
  const std::uint32_t turned = static_cast<std::uint32_t>(residual ^ mirror) - static_cast<std::uint32_t>(mirror);
  return T::from_ordinal(static_cast<std::int32_t>(turned + static_cast<std::uint32_t>(ordinal)));
}

}  // namespace drover::delta
