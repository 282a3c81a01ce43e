// What encoder and decoder share of the coding of one tensor: from what both know already (the base's element, the
// low-rank prediction, the residuals so far) to the context and the split of the residual. Pure.
//
// The residual d (in ulps, against the nearest number to base + prediction) is expected at a scale that is tracked
// along the row and along the column. Where it is large against one ulp, its low bits are noise and go as they are;
// where it is small, the fraction that the prediction lost by rounding tells which neighbour is likelier.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "common/delta/element.h"

namespace drover::delta {

inline constexpr std::size_t kLargeContexts = 4;
inline constexpr std::size_t kFractions = 7;
inline constexpr std::size_t kFineLevels = 9;  // levels at which the fraction matters
inline constexpr std::size_t kSmallLevels = 13;
inline constexpr std::size_t kZeroContext = kLargeContexts + kFineLevels * kFractions + (kSmallLevels - kFineLevels);
inline constexpr std::size_t kDifferenceContexts = kZeroContext + 1;
inline constexpr int kLargeFrom = 64;  // 1/16: an expected residual of 16 ulps
inline constexpr int kSmallestLevel = -40;
inline constexpr int kMaxLowBits = 24;  // after very different neighbours the expectation may be far out of range

// The expected size of residuals: a moving average of their logarithms along the row and one a column. The row's lags
// by kLag elements, so that a decoder can have several elements under way at once.
class ScaleTracker {
 public:
  explicit ScaleTracker(std::size_t columns) : columns_(columns, kUnknown) {}

  // In 1/16.
  int expected(std::size_t column) const {
    const int c = columns_.empty() ? kUnknown : columns_[column];
    return (c == kUnknown ? row_ : (row_ + c) >> 1) >> 4;
  }
  void update(std::size_t column, std::int64_t residual, int ulp_log) {
    const std::uint64_t size = static_cast<std::uint64_t>(residual < 0 ? -residual : residual);
    update_log(column, (size == 0 ? kOfNothing : log2_sixteenths(size)) + ulp_log);
  }
  // The same with the logarithm itself, in 1/16.
  void update_log(std::size_t column, int sixteenths) {
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
  static constexpr int kOfNothing = -32;  // a residual of 0 counts as a quarter of an ulp
  static constexpr int kRowShift = 5;
  static constexpr int kColumnShift = 4;
  static constexpr unsigned kLag = 4;
  int row_ = 0;
  int late_[kLag] = {};
  unsigned turn_ = 0;
  std::vector<std::int16_t> columns_;  // in 1/256
};

struct Split {
  std::uint8_t context = 0;
  unsigned low_bits = 0;  // of the residual that go as they are
};

inline Split split_for(int expected, int fraction) {
  if (expected >= kLargeFrom)
    return {static_cast<std::uint8_t>((expected & 15) >> 2),
            static_cast<unsigned>(std::min((expected >> 4) - 2, kMaxLowBits))};
  const int level = std::clamp((expected - kSmallestLevel) / 8, 0, static_cast<int>(kSmallLevels) - 1);
  if (level >= static_cast<int>(kFineLevels))
    return {static_cast<std::uint8_t>(kLargeContexts + kFineLevels * kFractions + static_cast<std::size_t>(level) -
                                      kFineLevels),
            0};
  const int step =
      std::clamp((fraction + 128) * static_cast<int>(kFractions) / 256, 0, static_cast<int>(kFractions) - 1);
  return {static_cast<std::uint8_t>(kLargeContexts + static_cast<std::size_t>(level) * kFractions +
                                    static_cast<std::size_t>(step)),
          0};
}

// Symbols for the high part of a residual: -100..100 as they are, beyond that by sign and bit length, the rest in plain
// bits.
inline constexpr int kDirect = 100;
inline constexpr int kFirstEscape = 2 * kDirect + 1;
inline constexpr int kEscapeFrom = 7;  // bit length of 101

struct Coded {
  std::uint8_t symbol = 0;
  unsigned extra_bits = 0;
  std::uint32_t extra = 0;
};

inline Coded code_high(std::int64_t high) {
  if (high >= -kDirect && high <= kDirect) return {static_cast<std::uint8_t>(high + kDirect), 0, 0};
  const auto size = static_cast<std::uint64_t>(high < 0 ? -high : high);
  const int length = std::bit_width(size);
  return {static_cast<std::uint8_t>(kFirstEscape + 2 * (length - kEscapeFrom) + (high < 0 ? 1 : 0)),
          static_cast<unsigned>(length - 1),
          static_cast<std::uint32_t>(size & ((std::uint64_t{1} << (length - 1)) - 1))};
}

inline unsigned escape_bits(std::uint8_t symbol) {
  return symbol < kFirstEscape ? 0 : static_cast<unsigned>((symbol - kFirstEscape) / 2 + kEscapeFrom - 1);
}

inline std::int64_t decode_high(std::uint8_t symbol, std::uint32_t extra) {
  if (symbol < kFirstEscape) return symbol - kDirect;
  const auto size = static_cast<std::int64_t>(std::uint64_t{1} << escape_bits(symbol) | extra);
  return (symbol - kFirstEscape) % 2 != 0 ? -size : size;
}

}  // namespace drover::delta
