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

// Eight floats at once, as wide as the processor's or in parts; at any address.
using Vec __attribute__((vector_size(32), aligned(4), may_alias)) = float;
constexpr std::size_t kVec = 8;
DROVER_INLINE Vec& vec(float* at) { return *reinterpret_cast<Vec*>(at); }
DROVER_INLINE const Vec& vec(const float* at) { return *reinterpret_cast<const Vec*>(at); }

// The change, and a thin matrix on its right or left; rows of the thin ones are `width` long.
struct Product {
  const float* change;
  std::size_t height, columns, width;
};

// left = change * right, `vectors` vectors of each row.
template <std::size_t vectors>
DROVER_INLINE void multiply_vectors(const Product& p, const float* right, float* left) {
  for (std::size_t i = 0; i < p.height; ++i) {
    Vec sums[vectors] = {};
    const float* change = p.change + i * p.columns;
    for (std::size_t j = 0; j < p.columns; ++j)
      for (std::size_t v = 0; v < vectors; ++v) sums[v] += change[j] * vec(right + j * p.width + v * kVec);
    for (std::size_t v = 0; v < vectors; ++v) vec(left + i * p.width + v * kVec) = sums[v];
  }
}
DROVER_WIDE void multiply(const Product& p, const float* right, float* left) {
  std::size_t done = 0;
  for (; done + 4 * kVec <= p.width; done += 4 * kVec) multiply_vectors<4>(p, right + done, left + done);
  for (; done + kVec <= p.width; done += kVec) multiply_vectors<1>(p, right + done, left + done);
  for (; done < p.width; ++done)
    for (std::size_t i = 0; i < p.height; ++i) {
      float sum = 0;
      for (std::size_t j = 0; j < p.columns; ++j) sum += p.change[i * p.columns + j] * right[j * p.width + done];
      left[i * p.width + done] = sum;
    }
}

// right += transposed change * left, two rows of both at once so that each sum is loaded and stored half as often.
template <std::size_t vectors>
DROVER_INLINE void add_transposed_vectors(const Product& p, const float* left, float* right) {
  for (std::size_t i = 0; i < p.height; i += 2) {
    const bool two = i + 1 < p.height;
    Vec one[vectors], other[vectors] = {};
    for (std::size_t v = 0; v < vectors; ++v) {
      one[v] = vec(left + i * p.width + v * kVec);
      if (two) other[v] = vec(left + (i + 1) * p.width + v * kVec);
    }
    const float* change = p.change + i * p.columns;
    const float* next = two ? change + p.columns : change;
    for (std::size_t j = 0; j < p.columns; ++j)
      for (std::size_t v = 0; v < vectors; ++v)
        vec(right + j * p.width + v * kVec) += change[j] * one[v] + next[j] * other[v];
  }
}
DROVER_WIDE void multiply_transposed(const Product& p, const float* left, float* right) {
  std::fill_n(right, p.columns * p.width, 0.0F);
  std::size_t done = 0;
  for (; done + 4 * kVec <= p.width; done += 4 * kVec) add_transposed_vectors<4>(p, left + done, right + done);
  for (; done + kVec <= p.width; done += kVec) add_transposed_vectors<1>(p, left + done, right + done);
  for (; done < p.width; ++done)
    for (std::size_t i = 0; i < p.height; ++i)
      for (std::size_t j = 0; j < p.columns; ++j)
        right[j * p.width + done] += p.change[i * p.columns + j] * left[i * p.width + done];
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

// Weighted least squares for one side of the product while the other stays. Each row of unknowns has normal equations
// of its own, sum of w * x x^T. Building them costs the square of the rank for every element; conjugate gradients only
// multiply with them, at the rank, and a few steps do: rows of x are nearly orthogonal, and weights differ at random.
constexpr std::size_t kPanel = 2 * kVec;  // rows of unknowns solved at once
constexpr int kSteps = 3;
constexpr std::size_t kMaxSolve = 32;
constexpr float kRidge = 1e-3F;  // of the mean of the diagonal: rows with few observations stay small

// What is observed for kPanel rows of unknowns: an observation after the other, those of all rows side by side.
struct Panel {
  std::size_t count = 0;
  std::vector<float> changes, weights;
};
struct Unknowns {
  alignas(32) float cells[kMaxSolve][kPanel];
};

// out = sum of w * s * x, where s = x * in or, with `rest`, what that leaves of the change. One more row of x is zeros.
template <bool rest>
DROVER_INLINE void multiply_normal(const Panel& panel, const Thin& x, const Unknowns& in, Unknowns& out) {
  const std::size_t rank = x.width;
  for (std::size_t q = 0; q < rank; ++q) vec(out.cells[q]) = vec(out.cells[q] + kVec) = Vec{};
  for (std::size_t k = 0; k < panel.count; k += 2) {
    const float *a = x.row(k), *b = x.row(k + 1);
    Vec a0 = {}, a1 = {}, b0 = {}, b1 = {};
    for (std::size_t q = 0; q < rank; ++q) {
      const Vec &low = vec(in.cells[q]), &high = vec(in.cells[q] + kVec);
      a0 += a[q] * low;
      a1 += a[q] * high;
      b0 += b[q] * low;
      b1 += b[q] * high;
    }
    const float *d = panel.changes.data() + k * kPanel, *w = panel.weights.data() + k * kPanel;
    a0 = vec(w) * (rest ? vec(d) - a0 : a0);
    a1 = vec(w + kVec) * (rest ? vec(d + kVec) - a1 : a1);
    b0 = vec(w + kPanel) * (rest ? vec(d + kPanel) - b0 : b0);
    b1 = vec(w + kPanel + kVec) * (rest ? vec(d + kPanel + kVec) - b1 : b1);
    for (std::size_t q = 0; q < rank; ++q) {
      vec(out.cells[q]) += a[q] * a0 + b[q] * b0;
      vec(out.cells[q] + kVec) += a[q] * a1 + b[q] * b1;
    }
  }
}
DROVER_WIDE void rest_of(const Panel& panel, const Thin& x, const Unknowns& in, Unknowns& out) {
  multiply_normal<true>(panel, x, in, out);
}
DROVER_WIDE void normal_of(const Panel& panel, const Thin& x, const Unknowns& in, Unknowns& out) {
  multiply_normal<false>(panel, x, in, out);
}

// One side's solver: x is the other side.
class Solver {
 public:
  Solver(const std::vector<float>& other, std::size_t height, std::size_t rank) : x_(height + 1, rank), squares_(rank) {
    std::copy(other.begin(), other.end(), x_.cells.begin());
    for (std::size_t k = 0; k < height; ++k)
      for (std::size_t q = 0; q < rank; ++q) squares_[q] += x_.row(k)[q] * x_.row(k)[q];
  }

  // `found` is where to begin, and what is found.
  void solve(const Panel& panel, Unknowns& found) {
    set_diagonal(panel);
    rest_of(panel, x_, found, rest_);
    each([&](std::size_t q, std::size_t b) { rest_.cells[q][b] -= ridge_[b] * found.cells[q][b]; });
    float last[kPanel] = {};
    for (int step = 0; step < kSteps; ++step) {
      float now[kPanel] = {}, along[kPanel] = {};
      each([&](std::size_t q, std::size_t b) { now[b] += square_of_rest(q, b); });
      each([&](std::size_t q, std::size_t b) {
        const float turn = step > 0 && last[b] > 0 ? now[b] / last[b] : 0;
        way_.cells[q][b] = rest_.cells[q][b] * inverse_.cells[q][b] + (step > 0 ? turn * way_.cells[q][b] : 0);
      });
      normal_of(panel, x_, way_, image_);
      each([&](std::size_t q, std::size_t b) {
        image_.cells[q][b] += ridge_[b] * way_.cells[q][b];
        along[b] += way_.cells[q][b] * image_.cells[q][b];
      });
      each([&](std::size_t q, std::size_t b) {
        const float size = along[b] > 0 ? now[b] / along[b] : 0;
        found.cells[q][b] += size * way_.cells[q][b];
        rest_.cells[q][b] -= size * image_.cells[q][b];
      });
      std::copy(now, now + kPanel, last);
    }
  }

 private:
  template <class Use>
  DROVER_INLINE void each(Use use) const {
    for (std::size_t q = 0; q < x_.width; ++q)
      for (std::size_t b = 0; b < kPanel; ++b) use(q, b);
  }
  float square_of_rest(std::size_t q, std::size_t b) const {
    return rest_.cells[q][b] * rest_.cells[q][b] * inverse_.cells[q][b];
  }
  // As if every observation had the mean weight.
  void set_diagonal(const Panel& panel) {
    float sums[kPanel] = {};
    for (std::size_t k = 0; k < panel.count; ++k)
      for (std::size_t b = 0; b < kPanel; ++b) sums[b] += panel.weights[k * kPanel + b];
    const auto count = static_cast<float>(panel.count);
    float mean = 0;
    for (float square : squares_) mean += square / static_cast<float>(squares_.size());
    for (std::size_t b = 0; b < kPanel; ++b) ridge_[b] = kRidge * mean * sums[b] / count;
    each([&](std::size_t q, std::size_t b) {
      const float diagonal = squares_[q] * sums[b] / count + ridge_[b];
      inverse_.cells[q][b] = diagonal > 0 ? 1 / diagonal : 0;
    });
  }

  Thin x_;
  std::vector<float> squares_;
  float ridge_[kPanel];
  Unknowns inverse_, rest_, way_, image_;
};

// `at(unknown, observation)` is the place of an element in `change` and `weights`; `side` is unknowns x rank.
template <class At>
void solve_side(std::span<const float> change, std::span<const float> weights, std::size_t unknowns,
                const std::vector<float>& other, std::size_t rank, std::vector<float>& side, At at) {
  const std::size_t count = other.size() / rank;
  Solver solver(other, count, rank);
  Panel panel{.count = count, .changes = {}, .weights = {}};
  panel.changes.resize((count + 1) * kPanel);
  panel.weights.resize((count + 1) * kPanel);
  Unknowns found{};
  for (std::size_t first = 0; first < unknowns; first += kPanel) {
    const std::size_t here = std::min(kPanel, unknowns - first);
    if (here < kPanel) std::fill(panel.weights.begin(), panel.weights.end(), 0.0F);
    for (std::size_t k = 0; k < count; ++k)
      for (std::size_t b = 0; b < here; ++b) {
        panel.changes[k * kPanel + b] = change[at(first + b, k)];
        panel.weights[k * kPanel + b] = weights[at(first + b, k)];
      }
    for (std::size_t b = 0; b < here; ++b)
      for (std::size_t q = 0; q < rank; ++q) found.cells[q][b] = side[(first + b) * rank + q];
    solver.solve(panel, found);
    for (std::size_t b = 0; b < here; ++b)
      for (std::size_t q = 0; q < rank; ++q) side[(first + b) * rank + q] = found.cells[q][b];
  }
}

}  // namespace

LowRank decompose(std::span<const float> change, std::size_t rows, std::size_t columns, std::size_t max_rank) {
  const std::size_t width = std::min({max_rank + kOversampling, rows, columns});
  Thin left(rows, width), right(columns, width);
  SeededRng rng(1);  // the same change gives the same factors
  for (float& cell : right.cells) cell = static_cast<float>(static_cast<double>(rng.next() >> 11) * 0x1p-52 - 1);
  for (int i = 0; i <= kPowerIterations; ++i) {
    const Product product{change.data(), rows, columns, width};
    multiply(product, right.cells.data(), left.cells.data());
    orthonormalise(left);
    multiply_transposed(product, left.cells.data(), right.cells.data());
  }
  return canonical(left, right, max_rank);
}

LowRank refined(LowRank start, std::span<const float> change, std::span<const float> weights) {
  const std::size_t rank = start.rank, rows = start.rows, columns = start.columns;
  if (rank == 0) return start;
  solve_side(change, weights, rows, start.right, rank, start.left,
             [&](std::size_t row, std::size_t column) { return row * columns + column; });
  solve_side(change, weights, columns, start.left, rank, start.right,
             [&](std::size_t column, std::size_t row) { return row * columns + column; });
  Thin left(rows, rank), right(columns, rank);
  left.cells = std::move(start.left);
  right.cells = std::move(start.right);
  return canonical(left, right, rank);
}

}  // namespace drover::delta
