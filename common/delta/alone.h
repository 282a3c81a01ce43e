// A tensor coded without a base: exponents in contexts that follow the sizes of elements along row and column. Internal
// to the codec.
#pragma once

#include <algorithm>
#include <vector>

#include "common/delta/element.h"
#include "common/delta/tensor_codec.h"

namespace drover::delta {

inline constexpr std::size_t kAloneContexts = 32;
inline constexpr std::uint8_t kAloneZero = 0, kAloneEscape = 1, kAloneFirst = 2;
inline constexpr int kAloneExponents = 63;  // below the largest; smaller ones are escapes
inline constexpr int kLargestOfBytes = 7;

// The expected size of elements: a moving average of their logarithms along the row and one a column. The row's lags by
// kLag elements, so that a decoder can have several elements under way at once.
class ScaleTracker {
 public:
  explicit ScaleTracker(std::size_t columns) : columns_(columns, kUnknown) {}

  // In 1/16.
  int expected(std::size_t column) const {
    const int c = columns_.empty() ? kUnknown : columns_[column];
    return (c == kUnknown ? row_ : (row_ + c) >> 1) >> 4;
  }
  void update(std::size_t column, int sixteenths) {
    const int log = sixteenths * 16;
    int& late = late_[turn_++ % kLag];
    row_ += (late - row_) >> kRowShift;
    late = log;
    if (columns_.empty()) return;
    std::int16_t& c = columns_[column];
    c = static_cast<std::int16_t>(c == kUnknown ? row_ : c + ((log - c) >> kColumnShift));
  }

 private:
  static constexpr std::int16_t kUnknown = INT16_MIN;
  static constexpr int kRowShift = 5;
  static constexpr int kColumnShift = 4;
  static constexpr unsigned kLag = 4;
  int row_ = 0;
  int late_[kLag] = {};
  unsigned turn_ = 0;
  std::vector<std::int16_t> columns_;  // in 1/256
};

inline std::uint8_t alone_context(const ScaleTracker& tracker, std::size_t column, int largest) {
  return static_cast<std::uint8_t>(
      std::clamp((largest * 16 - tracker.expected(column)) / 4, 0, static_cast<int>(kAloneContexts) - 1));
}

struct AloneCoded {
  std::uint8_t symbol = 0;
  unsigned extra_bits = 0;
  std::uint32_t extra = 0;
};

// For floats the symbol is the exponent below the tensor's largest with two bits of the mantissa.
template <class T>
AloneCoded code_alone(typename T::Stored bits, int largest) {
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

// Row and column of the element that comes next.
class Place {
 public:
  explicit Place(std::uint64_t columns) : columns_(columns) {}
  std::size_t column() const { return column_; }
  void next() {
    if (++column_ == columns_) column_ = 0;
  }

 private:
  std::uint64_t columns_;
  std::size_t column_ = 0;
};

}  // namespace drover::delta
