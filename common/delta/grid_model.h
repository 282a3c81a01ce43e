// What encoder and decoder of a snapped tensor share. Internal to the codec.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "common/delta/grid.h"
#include "common/delta/low_rank.h"

namespace drover::delta {

// Contexts: by the expected size of what is left (in half octaves), and by how far the prediction is from its place.
inline constexpr int kGridLevels = 16;
inline constexpr int kGridFractions = 6;
inline constexpr int kGridZero = kGridLevels * kGridFractions;  // the base's element is 0: it was pruned
inline constexpr std::size_t kGridContexts = kGridZero + 1;
// The scale of a row or column is sent as 4 * log2(size) + kScaleZero, in [0, kMaxScale].
inline constexpr int kScaleZero = 32, kMaxScale = 63;
inline constexpr int kSmallestLevel4 = -18;  // the first level: a size of 2^-4.5 steps

// Symbols: what is left, within +-kGridDirect; beyond, the escape and kEscapeBits plain bits.
inline constexpr int kGridDirect = 60, kGridEscape = 0, kGridOffset = 64;
inline constexpr unsigned kGridEscapeBits = 9;
inline constexpr int kGridEscapeOffset = 256;  // places and predictions are within +-127: their difference fits

// Scales beside the steps; columns are empty where they are too many to be kept.
struct GridScales {
  std::vector<std::uint8_t> rows, columns;
};
inline std::size_t grid_columns(const TensorShape& shape) {
  return shape.columns <= kMaxColumns ? static_cast<std::size_t>(shape.columns) : 0;
}

// Before a place is known.
struct GridExpectation {
  int nearest = 0;
  int sign = 1;  // what is left is mirrored so that the prediction is never below its place
  std::uint8_t context = 0;
};

// Row by row.
class GridPrediction {
 public:
  GridPrediction(const TensorShape& shape, const Factors& factors, const GridScales& scales)
      : factors_(factors), scales_(scales), factor_scale_(std::ldexp(1.0, factors.scale_log2)) {
    if (factors.rank > 0) sums_.resize(static_cast<std::size_t>(shape.columns));
  }
  void begin_row(std::size_t row, double step) {
    level_ = scales_.rows[row] - kScaleZero;
    in_steps_ = factor_scale_ / step;
    if (!sums_.empty()) factors_.product(row, 0, sums_);
  }
  GridExpectation at(std::size_t column, bool zero) const {
    if (zero) return {0, 1, kGridZero};
    const int column_level = scales_.columns.empty() ? 0 : scales_.columns[column] - kScaleZero;
    const int level = std::clamp((level_ + column_level - kSmallestLevel4) >> 1, 0, kGridLevels - 1);
    GridExpectation here{0, 1, static_cast<std::uint8_t>(level * kGridFractions)};
    if (sums_.empty()) return here;
    const double limit = kMaxGridPlace, place = std::clamp(sums_[column] * in_steps_, -limit, limit);
    const double nearest = std::floor(place + 0.5);
    here.nearest = static_cast<int>(nearest);
    here.sign = place < nearest ? -1 : 1;
    const int fraction = static_cast<int>(std::fabs(place - nearest) * (2 * kGridFractions));
    here.context = static_cast<std::uint8_t>(here.context + std::min(fraction, kGridFractions - 1));
    return here;
  }

 private:
  const Factors& factors_;
  const GridScales& scales_;
  double factor_scale_;
  double in_steps_ = 0;
  int level_ = 0;
  std::vector<std::int32_t> sums_;
};

}  // namespace drover::delta
