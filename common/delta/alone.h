// A tensor coded without a base: exponents in contexts that follow the sizes of elements along row and column. Internal
// to the codec.
#pragma once

#include <algorithm>
#include <array>
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
  static constexpr unsigned kLag = 4;
  explicit ScaleTracker(std::size_t columns) : columns_(columns, kUnknown) {}

  // In 1/16.
  int expected(std::size_t column) const { return mean(row_, of_column(column)); }
  // The same for the next kLag elements, before update() has any of them. Their columns differ.
  void expected_ahead(const std::array<std::size_t, kLag>& columns, std::array<int, kLag>& out) const {
    int row = row_;
    for (unsigned k = 0; k < kLag; ++k) {
      out[k] = mean(row, of_column(columns[k]));
      row += (late_[(turn_ + k) % kLag] - row) >> kRowShift;
    }
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
  // In 1/16, from what row and column expect in 1/256.
  static int mean(int row, int column) { return (column == kUnknown ? row : (row + column) >> 1) >> 4; }
  int of_column(std::size_t column) const { return columns_.empty() ? kUnknown : columns_[column]; }
  int row_ = 0;
  int late_[kLag] = {};
  unsigned turn_ = 0;
  std::vector<std::int16_t> columns_;  // in 1/256
};

inline std::uint8_t alone_context(int expected, int largest) {
  return static_cast<std::uint8_t>(std::clamp((largest * 16 - expected) / 4, 0, static_cast<int>(kAloneContexts) - 1));
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

constexpr std::array<std::int16_t, 256> make_byte_logs() {
  std::array<std::int16_t, 256> out{};
  for (int n = -128; n < 128; ++n)
    out[static_cast<std::uint8_t>(n)] =
        static_cast<std::int16_t>(n == 0 ? -16 : log2_sixteenths(static_cast<std::uint64_t>(n < 0 ? -n : n)));
  return out;
}
inline constexpr std::array<std::int16_t, 256> kByteLogs = make_byte_logs();

// The size of an element for the tracker, in 1/16 of its logarithm.
template <class T>
int size_log_of(typename T::Stored bits) {
  if constexpr (T::kWidth == 8) {
    return kByteLogs[bits];
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
  // Whether no two of `count` elements in a row stand in the same column.
  bool differs_for(std::size_t count) const { return columns_ >= count; }

 private:
  std::uint64_t columns_;
  std::size_t column_ = 0;
};

}  // namespace drover::delta
