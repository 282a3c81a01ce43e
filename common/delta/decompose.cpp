#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/delta/low_rank.h"
#include "common/delta/wide.h"
#include "common/rng/rng.h"

namespace drover::delta {
namespace {

constexpr std::size_t kOversampling = 8;
constexpr int kPowerIterations = 1;
constexpr int kJacobiSweeps = 30;

// Row-major, `width` numbers a row.
struct Thin {
  std::size_t height, width;
  std::vector<float> cells;
  Thin(std::size_t h, std::size_t w) : height(h), width(w), cells(h * w) {}
  float* row(std::size_t i) { return cells.data() + i * width; }
  const float* row(std::size_t i) const { return cells.data() + i * width; }
};

// out[q] += factor * in[q], several rows of `in` at once.
DROVER_INLINE void add_scaled(float factor, const float* in, float* out, std::size_t width) {
  for (std::size_t q = 0; q < width; ++q) out[q] += factor * in[q];
}

// left = change * right.
DROVER_WIDE void multiply(const float* change, const float* right, std::size_t height, std::size_t columns,
                          std::size_t width, float* left) {
  std::fill_n(left, height * width, 0.0F);
  for (std::size_t i = 0; i < height; ++i)
    for (std::size_t j = 0; j < columns; ++j)
      add_scaled(change[i * columns + j], right + j * width, left + i * width, width);
}

// right = transposed change * left.
DROVER_WIDE void multiply_transposed(const float* change, const float* left, std::size_t height, std::size_t columns,
                                     std::size_t width, float* right) {
  std::fill_n(right, columns * width, 0.0F);
  for (std::size_t i = 0; i < height; ++i)
    for (std::size_t j = 0; j < columns; ++j)
      add_scaled(change[i * columns + j], left + i * width, right + j * width, width);
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

std::vector<double> gram_of(const Thin& m) {
  std::vector<double> gram(m.width * m.width);
  for (std::size_t i = 0; i < m.height; ++i)
    for (std::size_t a = 0; a < m.width; ++a)
      for (std::size_t b = 0; b < m.width; ++b) gram[a * m.width + b] += double(m.row(i)[a]) * double(m.row(i)[b]);
  return gram;
}

// m * vectors, the columns of `vectors` in `order` and each times its factor.
Thin rotated(const Thin& m, const std::vector<double>& vectors, const std::vector<std::size_t>& order,
             const std::vector<double>& factor) {
  Thin out(m.height, order.size());
  for (std::size_t i = 0; i < m.height; ++i)
    for (std::size_t q = 0; q < order.size(); ++q) {
      double sum = 0;
      for (std::size_t b = 0; b < m.width; ++b) sum += double(m.row(i)[b]) * vectors[b * m.width + order[q]];
      out.row(i)[q] = static_cast<float>(sum * factor[q]);
    }
  return out;
}

std::vector<std::size_t> falling(const std::vector<double>& matrix, std::size_t n) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return matrix[a * n + a] > matrix[b * n + b]; });
  return order;
}

// The same product with orthogonal columns on both sides, the largest first, and both sides of like size.
LowRank canonical(const Thin& left, const Thin& right, std::size_t rank) {
  const std::size_t n = left.width;
  std::vector<double> gram = gram_of(right), vectors;
  eigen(gram, vectors, n);
  std::vector<std::size_t> plain(n);
  std::iota(plain.begin(), plain.end(), 0);
  std::vector<double> up(n), down(n);
  for (std::size_t q = 0; q < n; ++q) {
    up[q] = std::sqrt(std::max(0.0, gram[q * n + q]));
    down[q] = up[q] > 1e-30 ? 1 / up[q] : 0;
  }
  const Thin l = rotated(left, vectors, plain, up), r = rotated(right, vectors, plain, down);
  gram = gram_of(l);
  eigen(gram, vectors, n);
  std::vector<std::size_t> order = falling(gram, n);
  order.resize(std::min(rank, n));
  // Singular values go half to either side, and a number of either side is as large as one of the other.
  const double balance = std::pow(double(left.height) / double(right.height), 0.25);
  std::vector<double> to_left(order.size()), to_right(order.size());
  for (std::size_t q = 0; q < order.size(); ++q) {
    const double root = std::pow(std::max(0.0, gram[order[q] * n + order[q]]), 0.25);
    to_left[q] = root > 1e-30 ? balance / root : 0;
    to_right[q] = root / balance;
  }
  return {.rank = order.size(),
          .rows = left.height,
          .columns = right.height,
          .left = rotated(l, vectors, order, to_left).cells,
          .right = rotated(r, vectors, order, to_right).cells};
}

constexpr std::size_t kMaxSolve = 32;

// The normal equations of one row of unknowns: sum of w * x x^T, and of w * d * x.
struct Normal {
  float matrix[kMaxSolve * kMaxSolve];
  float right[kMaxSolve];
};

// Adds `count` observations; those of one row of unknowns stand `stride` apart in d and w. Rows of x are `width` long.
template <std::size_t width>
DROVER_INLINE void add_all(const float* d, const float* w, std::size_t stride, std::size_t count, const float* x,
                           Normal& normal) {
  for (std::size_t k = 0; k < count; ++k, x += width) {
    const float weight = w[k * stride];
    if (weight == 0) continue;
    for (std::size_t a = 0; a < width; ++a)  // the lower half, in whole vectors
      add_scaled(weight * x[a], x, normal.matrix + a * width, a / 8 * 8 + 8);
    add_scaled(weight * d[k * stride], x, normal.right, width);
  }
}
DROVER_WIDE void add_8(const float* d, const float* w, std::size_t stride, std::size_t count, const float* x,
                       Normal& n) {
  add_all<8>(d, w, stride, count, x, n);
}
DROVER_WIDE void add_16(const float* d, const float* w, std::size_t stride, std::size_t count, const float* x,
                        Normal& n) {
  add_all<16>(d, w, stride, count, x, n);
}
DROVER_WIDE void add_24(const float* d, const float* w, std::size_t stride, std::size_t count, const float* x,
                        Normal& n) {
  add_all<24>(d, w, stride, count, x, n);
}
DROVER_WIDE void add_32(const float* d, const float* w, std::size_t stride, std::size_t count, const float* x,
                        Normal& n) {
  add_all<32>(d, w, stride, count, x, n);
}
void add_observations(const float* d, const float* w, std::size_t stride, std::size_t count, const Thin& x,
                      Normal& normal) {
  const auto add = x.width == 8 ? add_8 : x.width == 16 ? add_16 : x.width == 24 ? add_24 : add_32;
  add(d, w, stride, count, x.cells.data(), normal);
}

// With zeros behind each row up to a width that add_observations knows.
Thin padded(const std::vector<float>& cells, std::size_t height, std::size_t rank) {
  Thin out(height, (rank + 7) / 8 * 8);
  for (std::size_t i = 0; i < height; ++i)
    std::copy_n(cells.begin() + static_cast<std::ptrdiff_t>(i * rank), rank, out.row(i));
  return out;
}

// By Cholesky's decomposition, with a little of the trace on the diagonal: rows with few observations stay small.
void solve(const Normal& normal, std::size_t width, std::size_t n, float* out) {
  double m[kMaxSolve][kMaxSolve], y[kMaxSolve], trace = 0;
  for (std::size_t a = 0; a < n; ++a) trace += double(normal.matrix[a * width + a]);
  if (trace <= 0) {
    std::fill_n(out, n, 0.0F);
    return;
  }
  const double ridge = 1e-3 * trace / double(n);
  for (std::size_t a = 0; a < n; ++a)
    for (std::size_t b = 0; b <= a; ++b) {
      double sum = double(normal.matrix[a * width + b]) + (a == b ? ridge : 0);
      for (std::size_t c = 0; c < b; ++c) sum -= m[a][c] * m[b][c];
      m[a][b] = a == b ? std::sqrt(std::max(sum, 1e-6 * ridge)) : sum / m[b][b];
    }
  for (std::size_t a = 0; a < n; ++a) {
    y[a] = double(normal.right[a]);
    for (std::size_t c = 0; c < a; ++c) y[a] -= m[a][c] * y[c];
    y[a] /= m[a][a];
  }
  for (std::size_t a = n; a-- > 0;) {
    for (std::size_t c = a + 1; c < n; ++c) y[a] -= m[c][a] * y[c];
    y[a] /= m[a][a];
    out[a] = static_cast<float>(y[a]);
  }
}

}  // namespace

LowRank decompose(std::span<const float> change, std::size_t rows, std::size_t columns, std::size_t max_rank) {
  const std::size_t width = std::min({max_rank + kOversampling, rows, columns});
  Thin left(rows, width), right(columns, width);
  SeededRng rng(1);  // the same change gives the same factors
  for (float& cell : right.cells) cell = static_cast<float>(static_cast<double>(rng.next() >> 11) * 0x1p-52 - 1);
  for (int i = 0; i <= kPowerIterations; ++i) {
    multiply(change.data(), right.cells.data(), rows, columns, width, left.cells.data());
    orthonormalise(left);
    multiply_transposed(change.data(), left.cells.data(), rows, columns, width, right.cells.data());
  }
  return canonical(left, right, max_rank);
}

LowRank refined(LowRank start, std::span<const float> change, std::span<const float> weights) {
  const std::size_t rank = start.rank, rows = start.rows, columns = start.columns;
  const Thin right_side = padded(start.right, columns, rank);
  for (std::size_t i = 0; i < rows; ++i) {
    Normal normal{};
    add_observations(&change[i * columns], &weights[i * columns], 1, columns, right_side, normal);
    solve(normal, right_side.width, rank, &start.left[i * rank]);
  }
  const Thin left_side = padded(start.left, rows, rank);
  for (std::size_t j = 0; j < columns; ++j) {
    Normal normal{};
    add_observations(&change[j], &weights[j], columns, rows, left_side, normal);
    solve(normal, left_side.width, rank, &start.right[j * rank]);
  }
  Thin left(rows, rank), right(columns, rank);
  left.cells = std::move(start.left);
  right.cells = std::move(start.right);
  return canonical(left, right, rank);
}

}  // namespace drover::delta
