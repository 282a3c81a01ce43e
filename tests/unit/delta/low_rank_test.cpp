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

double rest_of(const std::vector<float>& m, const Factors& factors) {
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
  const LowRank whole = decompose(m, 60, 45, 8);
  const double energy = left_over(m, truncated(whole, 0)), noise = 1e-6 * energy / double(m.size());
  EXPECT_LT(left_over(m, truncated(whole, 3)), 1e-4 * energy);
  EXPECT_LT(rest_of(m, quantise(truncated(whole, 3), noise)), 1e-4 * energy);
  EXPECT_GT(rest_of(m, quantise(truncated(whole, 2), noise)), 1e-3 * energy);
}

TEST(LowRankTest, products_never_leave_their_bound) {
  auto m = of_rank_three(20, 20);
  for (float& x : m) x *= 1e15F;
  const Factors factors = quantise(decompose(m, 20, 20, 12), 1e15);
  EXPECT_GT(factors.rank, 0U);
  for (std::int16_t x : factors.left) EXPECT_LE(std::abs(x), kMaxFactor);
  for (std::int16_t x : factors.right) EXPECT_LE(std::abs(x), kMaxFactor);
  EXPECT_LT(std::int64_t{32} * kMaxFactor * kMaxFactor, std::int64_t{INT32_MAX});
}

TEST(LowRankTest, weights_whose_squares_are_no_floats_have_no_factors) {
  auto m = of_rank_three(20, 20);
  for (float& x : m) x *= 1e20F;
  EXPECT_EQ(quantise(decompose(m, 20, 20, 12), 1e20).rank, 0U);
}

TEST(LowRankTest, factors_come_back_as_they_were_written) {
  const Factors factors = quantise(decompose(of_rank_three(40, 70), 40, 70, 4), 1e-3);
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
  const LowRank whole = decompose(std::vector<float>(400), 20, 20, 4);
  EXPECT_EQ(rest_of(std::vector<float>(400), quantise(whole, 0)), 0);
}

TEST(LowRankTest, what_is_masked_does_not_hide_the_rest) {
  const auto m = of_rank_three(61, 49);
  std::vector<float> masked = m, weights(m.size());
  SeededRng rng(3);
  for (std::size_t i = 0; i < m.size(); ++i) {
    weights[i] = rng.below(100) < 40 ? 1.0F : 0.0F;
    masked[i] *= weights[i];
  }
  const auto rest = [&](const LowRank& found) {
    double sum = 0;
    for (std::size_t i = 0; i < m.size(); ++i) {
      double product = 0;
      for (std::size_t q = 0; q < found.rank; ++q)
        product += double(found.left[i / 49 * found.rank + q]) * double(found.right[i % 49 * found.rank + q]);
      sum += double(weights[i]) * (double(m[i]) - product) * (double(m[i]) - product);
    }
    return sum;
  };
  LowRank found = decompose(masked, 61, 49, 3);
  const double before = rest(found);
  for (int i = 0; i < 3; ++i) found = refined(std::move(found), masked, weights);
  EXPECT_LT(rest(found), 0.02 * before);
}

}  // namespace
}  // namespace drover::delta
