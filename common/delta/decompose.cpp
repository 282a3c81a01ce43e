#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/delta/low_rank.h"
#include "common/rng/rng.h"

namespace drover::delta {
namespace {

constexpr std::size_t kOversampling = 8;
constexpr int kPowerIterations = 2;
constexpr int kJacobiSweeps = 30;

// Row-major, `width` numbers a row.
struct Thin {
  std::size_t height, width;
  std::vector<float> cells;
  Thin(std::size_t h, std::size_t w) : height(h), width(w), cells(h * w) {}
  float* row(std::size_t i) { return cells.data() + i * width; }
  const float* row(std::size_t i) const { return cells.data() + i * width; }
};

// left = change * right.
void multiply(std::span<const float> change, const Thin& right, Thin& left) {
  std::fill(left.cells.begin(), left.cells.end(), 0.0F);
  for (std::size_t i = 0; i < left.height; ++i) {
    float* out = left.row(i);
    for (std::size_t j = 0; j < right.height; ++j) {
      const float factor = change[i * right.height + j];
      const float* in = right.row(j);
      for (std::size_t q = 0; q < left.width; ++q) out[q] += factor * in[q];
    }
  }
}

// right = transposed change * left.
void multiply_transposed(std::span<const float> change, const Thin& left, Thin& right) {
  std::fill(right.cells.begin(), right.cells.end(), 0.0F);
  for (std::size_t i = 0; i < left.height; ++i) {
    const float* in = left.row(i);
    for (std::size_t j = 0; j < right.height; ++j) {
      const float factor = change[i * right.height + j];
      float* out = right.row(j);
      for (std::size_t q = 0; q < right.width; ++q) out[q] += factor * in[q];
    }
  }
}

double column_product(const Thin& m, std::size_t a, std::size_t b) {
  double sum = 0;
  for (std::size_t i = 0; i < m.height; ++i) sum += double(m.row(i)[a]) * double(m.row(i)[b]);
  return sum;
}

// Gram-Schmidt, each column twice. A column that vanishes becomes zero.
void orthonormalise(Thin& m) {
  for (std::size_t a = 0; a < m.width; ++a) {
    for (int pass = 0; pass < 2; ++pass)
      for (std::size_t b = 0; b < a; ++b) {
        const auto share = static_cast<float>(column_product(m, a, b));
        for (std::size_t i = 0; i < m.height; ++i) m.row(i)[a] -= share * m.row(i)[b];
      }
    const double square = column_product(m, a, a);
    const auto scale = static_cast<float>(square > 1e-60 ? 1 / std::sqrt(square) : 0);
    for (std::size_t i = 0; i < m.height; ++i) m.row(i)[a] *= scale;
  }
}

// Eigenvalues (on the diagonal of a) and eigenvectors (columns of v) of a symmetric matrix, by Jacobi's rotations.
void eigen(std::vector<double>& a, std::vector<double>& v, std::size_t n) {
  v.assign(n * n, 0);
  for (std::size_t i = 0; i < n; ++i) v[i * n + i] = 1;
  for (int sweep = 0; sweep < kJacobiSweeps; ++sweep)
    for (std::size_t p = 0; p < n; ++p)
      for (std::size_t q = p + 1; q < n; ++q) {
        const double off = a[p * n + q];
        if (std::fabs(off) <= 1e-14 * std::sqrt(std::fabs(a[p * n + p] * a[q * n + q])) + 1e-300) continue;
        const double theta = (a[q * n + q] - a[p * n + p]) / (2 * off);
        const double t = (theta >= 0 ? 1 : -1) / (std::fabs(theta) + std::sqrt(theta * theta + 1));
        const double c = 1 / std::sqrt(t * t + 1), s = t * c;
        const auto rotate = [&](double& x, double& y) {
          const double before = x;
          x = c * x - s * y;
          y = s * before + c * y;
        };
        for (std::size_t i = 0; i < n; ++i) rotate(a[i * n + p], a[i * n + q]);
        for (std::size_t i = 0; i < n; ++i) rotate(a[p * n + i], a[q * n + i]);
        for (std::size_t i = 0; i < n; ++i) rotate(v[i * n + p], v[i * n + q]);
      }
}

// row q of `out` = (thin * vectors' column order[q]) / divisor[q]
std::vector<float> combine(const Thin& thin, const std::vector<double>& vectors, const std::vector<std::size_t>& order,
                           const std::vector<double>& divisor, std::size_t rank) {
  std::vector<float> out(rank * thin.height);
  for (std::size_t q = 0; q < rank; ++q)
    for (std::size_t i = 0; i < thin.height; ++i) {
      double sum = 0;
      for (std::size_t b = 0; b < thin.width; ++b) sum += double(thin.row(i)[b]) * vectors[b * thin.width + order[q]];
      out[q * thin.height + i] = static_cast<float>(divisor[q] > 0 ? sum / divisor[q] : 0);
    }
  return out;
}

}  // namespace

Decomposition decompose(std::span<const float> change, std::size_t rows, std::size_t columns, std::size_t max_rank) {
  const std::size_t width = std::min({max_rank + kOversampling, rows, columns});
  Thin left(rows, width), right(columns, width);
  SeededRng rng(1);  // the same change gives the same factors
  for (float& cell : right.cells) cell = static_cast<float>(static_cast<double>(rng.next() >> 11) * 0x1p-52 - 1);
  for (int i = 0; i <= kPowerIterations; ++i) {
    multiply(change, right, left);
    orthonormalise(left);
    multiply_transposed(change, left, right);
  }
  std::vector<double> gram(width * width), vectors;
  for (std::size_t a = 0; a < width; ++a)
    for (std::size_t b = a; b < width; ++b) gram[a * width + b] = gram[b * width + a] = column_product(right, a, b);
  eigen(gram, vectors, width);
  std::vector<std::size_t> order(width);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return gram[a * width + a] > gram[b * width + b]; });
  Decomposition out{.rank = std::min(max_rank, width),
                    .rows = rows,
                    .columns = columns,
                    .energy = 0,
                    .values = {},
                    .left = {},
                    .right = {}};
  for (float value : change) out.energy += double(value) * double(value);
  for (std::size_t q = 0; q < out.rank; ++q)
    out.values.push_back(std::sqrt(std::max(0.0, gram[order[q] * width + order[q]])));
  out.left = combine(left, vectors, order, std::vector<double>(out.rank, 1), out.rank);
  out.right = combine(right, vectors, order, out.values, out.rank);
  return out;
}

}  // namespace drover::delta
