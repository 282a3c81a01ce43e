#include "common/delta/low_rank.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "common/delta/format.h"

namespace drover::delta {

void Factors::make_pairs() {
  pairs.assign((rank + 1) / 2 * columns * 2, 0);
  for (std::size_t q = 0; q < rank; ++q)
    for (std::size_t j = 0; j < columns; ++j) pairs[(q / 2 * columns + j) * 2 + q % 2] = right[q * columns + j];
}

namespace {

// Two products of 16 bits and their sum at once.
struct Pairs {
  const std::int16_t* right;  // of the first column; those of the next two ranks stand 2 * columns further on
  std::size_t columns;
  const std::int16_t* left;  // two of a rank
  std::size_t count;
};

void sum_pairs(const Pairs& in, std::size_t from, std::span<std::int32_t> sums) {
  for (std::size_t j = from; j < sums.size(); ++j) {
    std::int32_t sum = 0;
    for (std::size_t k = 0; k < in.count; ++k) {
      const std::int16_t* pair = in.right + 2 * (k * in.columns + j);
      sum += in.left[2 * k] * pair[0] + in.left[2 * k + 1] * pair[1];
    }
    sums[j] = sum;
  }
}

#if defined(__x86_64__)
// One instruction for it, which compilers do not find in loops. Two vectors at once, so that the left side's is shared.
__attribute__((target("avx2"))) std::size_t sum_pairs_wide(const Pairs& in, std::span<std::int32_t> sums) {
  std::size_t j = 0;
  for (; j + 16 <= sums.size(); j += 16) {
    __m256i one = _mm256_setzero_si256(), other = one;
    for (std::size_t k = 0; k < in.count; ++k) {
      const auto* pair = reinterpret_cast<const __m256i*>(in.right + 2 * (k * in.columns + j));
      std::int32_t both = 0;
      std::memcpy(&both, in.left + 2 * k, sizeof both);
      const __m256i left = _mm256_set1_epi32(both);
      one = _mm256_add_epi32(one, _mm256_madd_epi16(left, _mm256_loadu_si256(pair)));
      other = _mm256_add_epi32(other, _mm256_madd_epi16(left, _mm256_loadu_si256(pair + 1)));
    }
    auto* to = reinterpret_cast<__m256i*>(sums.data() + j);
    _mm256_storeu_si256(to, one);
    _mm256_storeu_si256(to + 1, other);
  }
  return j;
}
std::size_t sum_pairs_of_vectors(const Pairs& in, std::span<std::int32_t> sums) {
  static const bool wide = __builtin_cpu_supports("avx2") != 0;
  return wide ? sum_pairs_wide(in, sums) : 0;
}
#else
std::size_t sum_pairs_of_vectors(const Pairs&, std::span<std::int32_t>) { return 0; }
#endif

}  // namespace

void Factors::product(std::size_t row, std::size_t first, std::span<std::int32_t> sums) const {
  std::array<std::int16_t, kMaxRank + 1> of_left{};
  for (std::size_t q = 0; q < rank; ++q) of_left[q] = left[q * rows + row];
  const Pairs in{
      .right = pairs.data() + 2 * first, .columns = columns, .left = of_left.data(), .count = (rank + 1) / 2};
  sum_pairs(in, sum_pairs_of_vectors(in, sums), sums);
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
