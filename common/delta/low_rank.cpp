#include "common/delta/low_rank.h"

#include <algorithm>
#include <cmath>

#include "common/delta/wide.h"

namespace drover::delta {

void Factors::make_pairs() {
  pairs.assign((rank + 1) / 2 * columns * 2, 0);
  for (std::size_t q = 0; q < rank; ++q)
    for (std::size_t j = 0; j < columns; ++j) pairs[(q / 2 * columns + j) * 2 + q % 2] = right[q * columns + j];
}

// Two products and their sum at once is one instruction on most processors (pmaddwd); the loop is written for it.
DROVER_WIDE void Factors::product(std::size_t row, std::size_t first, std::span<std::int32_t> sums) const {
  std::fill(sums.begin(), sums.end(), 0);
  const std::size_t n = sums.size();
  std::int32_t* out = sums.data();
  const auto of_left = [&](std::size_t q) { return std::int32_t{q < rank ? left[q * rows + row] : std::int16_t{0}}; };
  for (std::size_t q = 0; q < rank; q += 4) {
    const std::int32_t a = of_left(q), b = of_left(q + 1), c = of_left(q + 2), d = of_left(q + 3);
    const std::int16_t* one = pairs.data() + (q / 2 * columns + first) * 2;
    const std::int16_t* other = q + 2 < rank ? one + 2 * columns : one;
    DROVER_NO_OVERLAP
    for (std::size_t j = 0; j < n; ++j)
      out[j] += (a * one[2 * j] + b * one[2 * j + 1]) + (c * other[2 * j] + d * other[2 * j + 1]);
  }
}

LowRank truncated(const LowRank& whole, std::size_t rank) {
  LowRank out{
      .rank = std::min(rank, whole.rank), .rows = whole.rows, .columns = whole.columns, .left = {}, .right = {}};
  const auto cut = [&](const std::vector<float>& from, std::size_t height, std::vector<float>& to) {
    to.resize(height * out.rank);
    for (std::size_t i = 0; i < height; ++i)
      std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(i * whole.rank), out.rank,
                  to.begin() + static_cast<std::ptrdiff_t>(i * out.rank));
  };
  cut(whole.left, whole.rows, out.left);
  cut(whole.right, whole.columns, out.right);
  return out;
}

Factors quantise(const LowRank& whole, double noise) {
  Factors factors{.rank = whole.rank,
                  .scale_log2 = 0,
                  .rows = whole.rows,
                  .columns = whole.columns,
                  .left = {},
                  .right = {},
                  .pairs = {}};
  double largest = 0, squares = 0;
  for (const auto* side : {&whole.left, &whole.right}) {
    double sum = 0;
    for (float v : *side) {
      sum += double(v) * double(v);
      largest = std::max(largest, std::fabs(double(v)));
    }
    squares += sum / double(side == &whole.left ? whole.rows : whole.columns);
  }
  // Steps of d on both sides change a product by d^2/12 times the squares of the other side.
  const double wanted = std::log2(std::sqrt(12 * std::max(noise, 1e-60) / std::max(squares, 1e-60)));
  // Weights so large that their squares leave the floats: no factors then.
  if (!std::isfinite(wanted))
    return {
        .rank = 0, .scale_log2 = 0, .rows = whole.rows, .columns = whole.columns, .left = {}, .right = {}, .pairs = {}};
  int log = static_cast<int>(std::clamp(std::round(wanted), -60.0, 60.0));
  while (largest / std::ldexp(1.0, log) > kMaxFactor && log < kMaxFactorScale / 2) ++log;
  factors.scale_log2 = 2 * log;
  const auto side = [&](const std::vector<float>& from, std::size_t height, std::vector<std::int16_t>& to) {
    to.resize(height * whole.rank);
    for (std::size_t i = 0; i < height; ++i)
      for (std::size_t q = 0; q < whole.rank; ++q)
        to[q * height + i] = static_cast<std::int16_t>(
            std::clamp<long>(std::lround(std::ldexp(double(from[i * whole.rank + q]), -log)), -kMaxFactor, kMaxFactor));
  };
  side(whole.left, whole.rows, factors.left);
  side(whole.right, whole.columns, factors.right);
  factors.make_pairs();
  return factors;
}

double left_over(std::span<const float> change, const LowRank& taken) {
  double left = 0;
  for (float value : change) left += double(value) * double(value);
  for (std::size_t q = 0; q < taken.rank; ++q) {
    double of_left = 0, of_right = 0;
    for (std::size_t i = 0; i < taken.rows; ++i)
      of_left += double(taken.left[i * taken.rank + q]) * double(taken.left[i * taken.rank + q]);
    for (std::size_t j = 0; j < taken.columns; ++j)
      of_right += double(taken.right[j * taken.rank + q]) * double(taken.right[j * taken.rank + q]);
    left -= of_left * of_right;
  }
  return std::max(left, 0.0);
}

namespace {

// left[0], right[0], left[1], ...
template <class Vector, class F>
std::vector<std::span<Vector>> vectors_of(F& factors) {
  std::vector<std::span<Vector>> out;
  for (std::size_t q = 0; q < factors.rank; ++q) {
    out.push_back(std::span<Vector>(factors.left).subspan(q * factors.rows, factors.rows));
    out.push_back(std::span<Vector>(factors.right).subspan(q * factors.columns, factors.columns));
  }
  return out;
}

}  // namespace

void write_factors(const Factors& factors, Bytes& out) {
  put_signed(out, factors.scale_log2);
  write_numbers(vectors_of<const std::int16_t>(factors), out);
}

Result<Factors> read_factors(NumberReader& in, std::size_t rank, std::size_t rows, std::size_t columns) {
  Factors factors{
      .rank = rank, .scale_log2 = 0, .rows = rows, .columns = columns, .left = {}, .right = {}, .pairs = {}};
  const std::int64_t scale = in.signed_varint();
  if (scale < -kMaxFactorScale || scale > kMaxFactorScale) in.fail("the scale of the factors is out of range");
  TRY(in.status());
  factors.scale_log2 = static_cast<int>(scale);
  factors.left.resize(rank * rows);
  factors.right.resize(rank * columns);
  TRY(read_numbers(in, vectors_of<std::int16_t>(factors)));
  factors.make_pairs();
  return factors;
}

}  // namespace drover::delta
