// The change of a weight matrix in training is close to a matrix of low rank: gradients are sums of few outer products.
// Sending two thin factors and coding what is left against their product costs far fewer bits than coding the change
// alone. Factors are whole numbers; their product is exact on every architecture. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/delta/numbers.h"

namespace drover::delta {

// change[i][j] ~ 2^scale_log2 * sum over q of left[q][i] * right[q][j]. Rank 0: no prediction.
struct Factors {
  std::size_t rank = 0;
  int scale_log2 = 0;  // in +-kMaxFactorScale
  std::size_t rows = 0, columns = 0;
  std::vector<std::int16_t> left;   // rank x rows
  std::vector<std::int16_t> right;  // rank x columns; values within +-kMaxFactor
  std::vector<std::int16_t> pairs;  // `right` with two ranks side by side, for product(); see make_pairs()

  void make_pairs();
  // Needs pairs. sums[j] = sum over q of left[q][row] * right[q][first + j], for sums.size() columns.
  void product(std::size_t row, std::size_t first, std::span<std::int32_t> sums) const;
};
inline constexpr int kMaxFactorScale = 120;  // 2^that is a float, and so is its inverse

// The same in floats: rows x rank and columns x rank. Pairs of columns are orthogonal, the largest product first.
struct LowRank {
  std::size_t rank = 0, rows = 0, columns = 0;
  std::vector<float> left, right;
};

// The leading part of `change` (rows x columns, row by row), found by randomised subspace iteration (Halko, Martinsson,
// Tropp, arXiv 0909.4061).
LowRank decompose(std::span<const float> change, std::size_t rows, std::size_t columns, std::size_t max_rank);

// The first `rank` components of it.
LowRank truncated(const LowRank& whole, std::size_t rank);

// The squares of `change` that it does not take away.
double left_over(std::span<const float> change, const LowRank& taken);

// Where the elements of `change` are not equally certain (rounded more or less coarsely, or masked: weight 0): one step
// of alternating weighted least squares from where `start` is. `weights` has the size of `change`.
LowRank refined(LowRank start, std::span<const float> change, std::span<const float> weights);

// Rounded so that the rounding changes a product by about `noise` (a variance).
Factors quantise(const LowRank& whole, double noise);

void write_factors(const Factors& factors, Bytes& out);
// The shape is known from the tensor's header; malformed for anything but what write_factors makes.
Result<Factors> read_factors(NumberReader& in, std::size_t rank, std::size_t rows, std::size_t columns);

}  // namespace drover::delta
