#include "common/delta/distribution.h"

#include <algorithm>
#include <cmath>

#include "common/delta/tensor_model.h"

namespace drover::delta {
namespace {

constexpr std::array<double, 30> make_inverses() {
  std::array<double, 30> out{};
  for (int n = 1; n < 30; ++n) out[static_cast<std::size_t>(n)] = 1.0 / n;
  return out;
}
constexpr std::array<double, 30> kInverse = make_inverses();

// e^-x for x >= 0. The C library's differs between platforms in the last bit.
double exp_minus(double x) {
  if (x > 700) return 0;
  constexpr double kLn2 = 0.693147180559945309;
  const int halvings = static_cast<int>(x / kLn2);
  const double rest = x - halvings * kLn2;
  double sum = 1;
  for (int n = 16; n >= 1; --n) sum = 1 - sum * rest * kInverse[static_cast<std::size_t>(n)];
  return std::ldexp(sum, -halvings);
}

// log(1 + z) for z in [0, 1], by the series of the inverse hyperbolic tangent.
double log_one_plus(double z) {
  const double y = z / (2 + z), square = y * y;
  double sum = 0;
  for (int n = 29; n >= 1; n -= 2) sum = sum * square + kInverse[static_cast<std::size_t>(n)];
  return 2 * y * sum;
}

double softplus(double x) { return std::max(x, 0.0) + log_one_plus(exp_minus(std::fabs(x))); }
double logistic(double x) {
  const double e = exp_minus(std::fabs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

// The shares below x, x + 1, ..., of logistic noise of scale s, or of that and evenly distributed noise of one ulp,
// whose upper edge at one place is the lower one at the next.
class Below {
 public:
  Below(double x, double s, bool rounded) : x_(x), s_(s), rounded_(rounded) {
    if (rounded) edge_ = softplus((x - 0.5) / s);
  }
  double next() {
    const double x = x_++;
    if (!rounded_) return logistic(x / s_);
    const double before = edge_;
    edge_ = softplus((x + 0.5) / s_);
    return s_ * (edge_ - before);
  }

 private:
  double x_, s_, edge_ = 0;
  bool rounded_;
};

class Shares {
 public:
  Shares(double x, double s, std::size_t shape)
      : tails_((shape & 2) != 0), one_(x, tails_ ? 0.75 * s : s, (shape & 1) != 0), two_(x, 2 * s, (shape & 1) != 0) {}
  double next() { return tails_ ? 0.7 * one_.next() + 0.3 * two_.next() : one_.next(); }

 private:
  bool tails_;
  Below one_, two_;
};

// What a context stands for: its scale in ulps, and where its cells begin relative to the prediction.
struct Middle {
  double scale, first;  // the cell of symbol 0 is [first, first + 1)
};

Middle middle_of(std::size_t context) {
  constexpr double kQuarters[] = {1, 1.189207115002721, 1.414213562373095, 1.681792830507429};
  const auto scale = [&](int t) { return 0.5 * std::ldexp(kQuarters[t & 3], t >> 2); };
  if (context >= kLargeContext) return {scale(8 + static_cast<int>(context - kLargeContext)), 0};
  constexpr double kFractions[] = {0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5};
  if (context < kFineContexts) {
    const int t = kSmallestScale + static_cast<int>(context / kFractionSteps) * 2;
    const auto step = context % kFractionSteps;
    const double fraction = step < 8 ? kFractions[step] / 128 : kFractions[step - 7 < 8 ? step - 7 : 7] / 16;
    return {1.09 * scale(t), -0.5 - fraction};
  }
  const std::size_t middle = context - kFineContexts;
  if (middle < kMiddleContexts) {
    const std::size_t step = middle % kMiddleFractions;
    return {scale(kFineTo + static_cast<int>(middle / kMiddleFractions)),
            -0.5 - (step < 8 ? kFractions[step] : 7.9) / 16};
  }
  const std::size_t coarse = middle - kMiddleContexts;
  constexpr double kThirds[] = {1.5, 5, 7.5};
  return {scale(kMiddleTo + static_cast<int>(coarse / kCoarseFractions)),
          -0.5 - kThirds[coarse % kCoarseFractions] / 16};
}

}  // namespace

Frequencies default_frequencies(std::size_t shape, std::size_t context) {
  Frequencies out{};
  if (context == kZeroContext) {
    out[kDirect] = kProbTotal - 1;
    out[kEscape] = 1;
    return out;
  }
  const auto [scale, first] = middle_of(context);
  int left = kProbTotal - 1;  // the escape's
  out[kEscape] = 1;
  const int reach = std::min(kDirect, static_cast<int>(20 * scale) + 2);  // beyond, no frequency is above a half
  Shares shares(first - reach, scale, shape);
  double before = shares.next();
  for (int high = -reach; high <= reach; ++high) {
    const double after = shares.next();
    const int scaled = static_cast<int>((after - before) * kProbTotal + 0.5);
    out[static_cast<std::size_t>(high + kDirect)] = static_cast<std::uint16_t>(scaled);
    left -= scaled;
    before = after;
  }
  // What rounding leaves goes to the likeliest.
  for (; left != 0;) {
    const auto largest = std::max_element(out.begin(), out.begin() + kEscape);
    const int change = std::max(left, -(*largest / 2));
    *largest = static_cast<std::uint16_t>(*largest + change);
    left -= change;
  }
  return out;
}

}  // namespace drover::delta
