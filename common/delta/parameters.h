// What a delta says of a tensor before its elements: how they are predicted from the base's, and how far off that is.
// Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "common/delta/low_rank.h"
#include "common/delta/tensor_codec.h"

namespace drover::delta {

// prediction = base + (base * gain of the row + product of the factors); scale = scale + row's + column's, 4 * log2.
struct Parameters {
  std::size_t shape = 0;     // of the distribution, below kShapes
  bool zeros_apart = false;  // int8: zeros of the base have a context of their own, as they always have in floats
  int scale = 0;
  std::vector<std::int16_t> row_scales, column_scales;  // or none
  int gain_log2 = 0;
  std::vector<std::int16_t> gains;  // one a row, in 2^gain_log2; or none
  Factors factors;

  float gain(std::size_t row) const;
  std::int32_t row_scale(std::size_t row) const { return scale + (row_scales.empty() ? 0 : row_scales[row]); }
};

inline constexpr int kMaxTensorScale = 1000;  // 2^250: beyond every float

// Bytes that the numbers of `p` take in memory; kMaxFactorBytes at most.
std::size_t parameter_bytes(const TensorShape& shape, std::size_t rank, bool rows, bool columns, bool gains);

void write_parameters(const Parameters& p, Bytes& out);
// malformed for what write_parameters never writes, and for numbers over their bound.
Result<Parameters> read_parameters(NumberReader& in, const TensorShape& shape);

}  // namespace drover::delta
