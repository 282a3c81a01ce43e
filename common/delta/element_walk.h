// The state that encoder and decoder carry from element to element, one step each way. Internal to the codec.
#pragma once

#include <cmath>
#include <vector>

#include "common/delta/low_rank.h"
#include "common/delta/tensor_codec.h"
#include "common/delta/tensor_model.h"

namespace drover::delta {

// The low-rank prediction for the elements in order, a row's worth at a time.
class Prediction {
 public:
  Prediction(const Factors& factors, const TensorShape& shape)
      : factors_(factors),
        scale_(std::ldexp(1.0, factors.scale_log2)),
        columns_(static_cast<std::size_t>(shape.columns)) {
    if (factors.rank > 0) sums_.resize(columns_);
  }
  void begin_row(std::uint64_t row) {
    if (factors_.rank > 0) factors_.product(static_cast<std::size_t>(row), 0, sums_);
  }
  double at(std::size_t column) const { return sums_[column] * scale_; }
  bool any() const { return !sums_.empty(); }

 private:
  const Factors& factors_;
  double scale_;
  std::size_t columns_;
  std::vector<std::int32_t> sums_;
};

// Row and column of the element that comes next.
class Place {
 public:
  explicit Place(std::uint64_t columns) : columns_(columns) {}
  std::size_t column() const { return column_; }
  std::uint64_t row() const { return row_; }
  // True when a row begins.
  bool at_row_start() const { return column_ == 0; }
  void next() {
    if (++column_ == columns_) {
      column_ = 0;
      ++row_;
    }
  }

 private:
  std::uint64_t columns_;
  std::uint64_t row_ = 0;
  std::size_t column_ = 0;
};

// Before a residual is known: what it is relative to and how it is coded.
struct Expectation {
  std::int64_t ordinal = 0;
  int ulp_log = 0;
  Split split;
  bool tracked = true;  // zeros of a pruned tensor say nothing about the scale
};

template <class T>
Expectation expect(typename T::Stored base, const Prediction& prediction, const ScaleTracker& tracker,
                   std::size_t column) {
  if (T::is_zero(base))
    return {T::ordinal(base), T::ulp_log(base), {static_cast<std::uint8_t>(kZeroContext), 0}, false};
  Nearest nearest{T::ordinal(base), 0};
  typename T::Stored middle = base;
  if (prediction.any() && !T::is_special(base)) {
    nearest = T::nearest(T::value(base) + prediction.at(column));
    middle = T::from_ordinal(nearest.ordinal);
  }
  const int ulp_log = T::ulp_log(middle);
  return {nearest.ordinal, ulp_log, split_for(tracker.expected(column) - ulp_log, nearest.fraction), true};
}

// --- without a base ------------------------------------------------------------------------------------------------
inline constexpr std::size_t kAloneContexts = 32;
inline constexpr std::uint8_t kAloneZero = 0, kAloneEscape = 1, kAloneFirst = 2;
inline constexpr int kAloneExponents = 63;  // below the largest; smaller ones are escapes

inline std::uint8_t alone_context(const ScaleTracker& tracker, std::size_t column, int largest) {
  return static_cast<std::uint8_t>(
      std::clamp((largest * 16 - tracker.expected(column)) / 4, 0, static_cast<int>(kAloneContexts) - 1));
}

// For floats the symbol is the exponent below the tensor's largest with two bits of the mantissa.
template <class T>
Coded code_alone(typename T::Stored bits, int largest) {
  if constexpr (T::kWidth == 8) {
    return {bits, 0, 0};
  } else {
    if (bits == 0) return {kAloneZero, 0, 0};
    const int below = largest - T::exponent(bits);
    if (below < 0 || below >= kAloneExponents || T::is_zero(bits)) return {kAloneEscape, T::kWidth, bits};
    const unsigned rest = T::kMantissa - 2;
    const auto top = static_cast<std::uint32_t>(bits >> rest & 3);
    const std::uint32_t low = bits & ((1U << rest) - 1), sign = (bits & T::kSign) != 0 ? 1 : 0;
    return {static_cast<std::uint8_t>(kAloneFirst + below * 4 + static_cast<int>(top)), rest + 1, low | sign << rest};
  }
}

template <class T>
unsigned alone_extra_bits(std::uint8_t symbol) {
  if constexpr (T::kWidth == 8)
    return 0;
  else
    return symbol == kAloneZero ? 0 : symbol == kAloneEscape ? T::kWidth : T::kMantissa - 1;
}

template <class T>
typename T::Stored decode_alone(std::uint8_t symbol, std::uint32_t extra, int largest) {
  using Stored = typename T::Stored;
  if constexpr (T::kWidth == 8) {
    return symbol;
  } else {
    if (symbol == kAloneZero) return 0;
    if (symbol == kAloneEscape) return static_cast<Stored>(extra);
    const unsigned rest = T::kMantissa - 2;
    const int index = symbol - kAloneFirst;
    const auto exponent = static_cast<std::uint32_t>(largest - index / 4);
    const std::uint32_t magnitude =
        exponent << T::kMantissa | static_cast<std::uint32_t>(index % 4) << rest | (extra & ((1U << rest) - 1));
    return static_cast<Stored>(magnitude | ((extra >> rest & 1) != 0 ? T::kSign : 0));
  }
}

// The size of an element for the tracker, in 1/16 of its logarithm.
template <class T>
int size_log_of(typename T::Stored bits) {
  if constexpr (T::kWidth == 8) {
    const int value = static_cast<std::int8_t>(bits);
    return value == 0 ? -16 : log2_sixteenths(static_cast<std::uint64_t>(value < 0 ? -value : value));
  } else {
    return T::exponent(bits) * 16 + static_cast<int>(bits >> (T::kMantissa - 4) & 15);
  }
}

inline constexpr int kLargestOfBytes = 7;

}  // namespace drover::delta
