// The change of a weight matrix in training is close to a matrix of low rank: gradients are sums of few outer products.
// Sending two thin factors and coding what is left against their product costs far fewer bits than coding the change
// alone. Factors are whole numbers; their product is exact on every architecture. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/bytes.h"
#include "common/delta/stream.h"

namespace drover::delta {

// change[i][j] ~ 2^scale_log2 * sum over q of left[q][i] * right[q][j]. Rank 0: no prediction.
struct Factors {
  std::size_t rank = 0;
  int scale_log2 = 0;  // in [-400, 400]
  std::size_t rows = 0, columns = 0;
  std::vector<std::int16_t> left;   // rank x rows
  std::vector<std::int16_t> right;  // rank x columns; values within +-kMaxFactor
  std::vector<std::int16_t> pairs;  // `right` with two ranks side by side, for product(); see make_pairs()

  void make_pairs();
  // Needs pairs. sums[j] = sum over q of left[q][row] * right[q][first + j], for sums.size() columns.
  void product(std::size_t row, std::size_t first, std::span<std::int32_t> sums) const;
};
inline constexpr int kMaxFactor = 8000;  // 32 products of two of them stay below 2^31

// The leading singular vectors of `change` (rows x columns, row by row), found by randomised subspace iteration
// (Halko, Martinsson, Tropp, arXiv 0909.4061), and how much of its energy each takes away.
struct Decomposition {
  std::size_t rank = 0, rows = 0, columns = 0;
  double energy = 0;               // sum of squares of `change`
  std::vector<double> values;      // singular values, falling
  std::vector<float> left, right;  // rank x rows, rank x columns: unit vectors
};
Decomposition decompose(std::span<const float> change, std::size_t rows, std::size_t columns, std::size_t max_rank);

// The first `rank` components, rounded so that the rounding adds about 5 % to what they leave over.
Factors quantise(const Decomposition& decomposition, std::size_t rank);

void write_factors(const Factors& factors, Bytes& out);
// The shape is known from the tensor's header; malformed for anything but what write_factors makes.
Result<Factors> read_factors(NumberReader& in, std::size_t rank, std::size_t rows, std::size_t columns);

}  // namespace drover::delta
