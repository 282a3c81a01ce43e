#include "common/delta/low_rank.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/delta/models.h"

namespace drover::delta {
namespace {

std::vector<float> of_rank_three(std::size_t rows, std::size_t columns) {
  const auto u = testing::weights(3 * rows, 1, 1), v = testing::weights(3 * columns, 2, 1);
  std::vector<float> m(rows * columns);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j)
      for (std::size_t q = 0; q < 3; ++q)
        m[i * columns + j] += u[q * rows + i] * v[q * columns + j] * static_cast<float>(3 - q);
  return m;
}

double left_over(const std::vector<float>& m, const Factors& factors) {
  double sum = 0;
  std::vector<std::int32_t> sums(factors.columns);
  for (std::size_t i = 0; i < factors.rows; ++i) {
    factors.product(i, 0, sums);
    for (std::size_t j = 0; j < factors.columns; ++j) {
      const double rest = double(m[i * factors.columns + j]) - std::ldexp(double(sums[j]), factors.scale_log2);
      sum += rest * rest;
    }
  }
  return sum;
}

TEST(LowRankTest, three_components_hold_a_matrix_of_rank_three) {
  const auto m = of_rank_three(60, 45);
  const Decomposition whole = decompose(m, 60, 45, 8);
  EXPECT_GT(whole.values[2], 1.0);
  EXPECT_LT(whole.values[3], 1e-3);
  EXPECT_LT(left_over(m, quantise(whole, 3)), 1e-4 * whole.energy);
  EXPECT_GT(left_over(m, quantise(whole, 2)), 1e-3 * whole.energy);
}

TEST(LowRankTest, products_never_leave_their_bound) {
  auto m = of_rank_three(20, 20);
  for (float& x : m) x *= 1e20F;
  const Factors factors = quantise(decompose(m, 20, 20, 16), 12);
  for (std::int16_t x : factors.left) EXPECT_LE(std::abs(x), kMaxFactor);
  for (std::int16_t x : factors.right) EXPECT_LE(std::abs(x), kMaxFactor);
  EXPECT_LT(std::int64_t{32} * kMaxFactor * kMaxFactor, std::int64_t{INT32_MAX});
}

TEST(LowRankTest, factors_come_back_as_they_were_written) {
  const Factors factors = quantise(decompose(of_rank_three(40, 70), 40, 70, 8), 4);
  Bytes bytes;
  write_factors(factors, bytes);
  MemorySource source(bytes);
  NumberReader in(source);
  const auto back = read_factors(in, 4, 40, 70);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->left, factors.left);
  EXPECT_EQ(back->right, factors.right);
  EXPECT_EQ(back->scale_log2, factors.scale_log2);
  EXPECT_EQ(source.left(), 0U);
}

TEST(LowRankTest, nothing_changed_gives_nothing) {
  const Decomposition whole = decompose(std::vector<float>(400), 20, 20, 4);
  EXPECT_EQ(whole.energy, 0);
  EXPECT_EQ(left_over(std::vector<float>(400), quantise(whole, 4)), 0);
}

}  // namespace
}  // namespace drover::delta
