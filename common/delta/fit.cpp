#include "common/delta/fit.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "common/delta/change.h"
#include "common/delta/costs.h"
#include "common/delta/row_walk.h"
#include "common/delta/with_type.h"

namespace drover::delta {
namespace {

constexpr std::size_t kSampleElements = 20'000;  // on which choices are tried
constexpr std::size_t kRowSample = 256, kColumnSample = 192;
constexpr std::size_t kMinForRank = 4096;  // elements below which factors never pay
constexpr std::size_t kRanks[] = {1, 2, 3, 4, 6, 8, 12, 16, 24};
constexpr std::size_t kMostRank = 24,
                      kMostRankOfShort = 24;  // of 4-byte elements; of others, whose decoding must be as fast
constexpr double kNoises[] = {0.1,   0.03,  0.01,
                              0.003, 0.001, 0.0003};  // of the factors' rounding, in what they leave over
// Of the plain size, without factors: from here none will help, and from there any tensor alone is smaller.
constexpr double kHopeless = 0.78, kForeign = 0.93;
constexpr double kBitsPerFactor = 3.5, kBitsPerGain = 6;

template <class T>
class Fitter {
 public:
  Fitter(const TensorShape& shape, ByteView base, ByteView target)
      : shape_(shape),
        base_(base.data()),
        target_(target.data()),
        rows_(static_cast<std::size_t>(shape.rows)),
        columns_(static_cast<std::size_t>(shape.columns)) {
    for (std::size_t i = 0; i < rows_ * columns_; ++i) zeros_ += T::is_zero(before(i)) ? 1U : 0U;
    p_.zeros_apart = T::kWidth == 8 && zeros_ * 5 > rows_ * columns_;
    p_.factors.rows = rows_;
    p_.factors.columns = columns_;
    // Whole rows, evenly spread.
    const std::size_t wanted = std::clamp<std::size_t>(kSampleElements / columns_, 1, rows_);
    for (std::size_t k = 0; k < wanted; ++k) sample_.push_back((2 * k + 1) * rows_ / (2 * wanted));
  }

  std::optional<Parameters> fit(std::optional<std::size_t> rank) {
    fit_scale_and_shape(sizeof(typename T::Stored) < 4);
    if (!rank && share_without_factors() > kForeign) return std::nullopt;
    if (rank.value_or(1) > 0 && may_have_rank() && (rank || share_without_factors() < kHopeless)) {
      change_ = find_change(shape_.type, {base_, shape_.bytes()}, {target_, shape_.bytes()}, p_.zeros_apart);
      find_gains();
      find_factors(rank);
    }
    fit_scale_and_shape(false);
    const bool many_rows = parameter_bytes(shape_, p_.factors.rank, true, false, !p_.gains.empty()) <= kMaxFactorBytes;
    if (rows_ > 1 && many_rows) fit_row_scales();
    const bool both = parameter_bytes(shape_, p_.factors.rank, true, true, !p_.gains.empty()) <= kMaxFactorBytes;
    if (rows_ >= 16 && columns_ > 1 && both) fit_column_scales();
    return std::move(p_);
  }

 private:
  typename T::Stored before(std::size_t i) const { return load<T>(base_ + i * sizeof(typename T::Stored)); }
  typename T::Stored after(std::size_t i) const { return load<T>(target_ + i * sizeof(typename T::Stored)); }
  bool apart(typename T::Stored bits) const { return T::is_zero(bits) && (T::kWidth != 8 || p_.zeros_apart); }

  // The elements of a row but those apart, every `stride`-th, predicted with `products` (floats, a row long) or with
  // the parameters as they are.
  void open_row(std::size_t row, std::size_t stride, const float* products, std::vector<OpenElement>& out) {
    out.clear();
    if (products == nullptr && p_.factors.rank > 0) {
      sums_.resize(columns_);
      p_.factors.product(row, 0, sums_);
    }
    const float gain = p_.gain(row), scale = std::ldexp(1.0F, p_.factors.scale_log2);
    for (std::size_t j = 0; j < columns_; j += stride) {
      const auto bits = before(row * columns_ + j);
      if (apart(bits)) continue;
      const float value = T::value(bits);
      const float product = products != nullptr   ? products[j]
                            : p_.factors.rank > 0 ? static_cast<float>(sums_[j]) * scale
                                                  : 0.0F;
      out.push_back(open_element<T>(bits, value + (value * gain + product), after(row * columns_ + j)));
    }
  }

  // Bits of the sample with the parameters as they are, each row at its best scale.
  std::uint64_t sample_cost() {
    std::uint64_t cost = 0;
    std::int32_t scale = p_.scale;
    for (std::size_t row : sample_) {
      open_row(row, 1, nullptr, open_);
      const BestScale best = best_scale(cost_table(p_.shape), open_, scale);
      scale = best.scale;
      cost += best.cost;
    }
    return cost;
  }
  // From 1/256 bits of the sample to bits of the whole.
  double whole(std::uint64_t cost) const { return double(cost) / 256 * double(rows_) / double(sample_.size()); }

  // `rounded`: only the shapes for numbers that rounding made, in which alone a fraction tells much.
  void fit_scale_and_shape(bool rounded) {
    std::vector<OpenElement> all;
    for (std::size_t row : sample_) {
      open_row(row, 1, nullptr, open_);
      all.insert(all.end(), open_.begin(), open_.end());
    }
    if (all.empty()) return;
    std::uint64_t least = UINT64_MAX;
    std::int32_t scale = all[0].ulp_log;
    for (std::size_t shape = rounded ? 1 : 0; shape < kShapes; shape += rounded ? 2 : 1) {
      const BestScale best = best_scale(cost_table(shape), all, scale);
      scale = best.scale;
      if (best.cost >= least) continue;
      least = best.cost;
      p_.shape = shape;
      p_.scale = std::clamp(best.scale, -kMaxTensorScale, kMaxTensorScale);
    }
  }

  bool may_have_rank() const {
    return rows_ >= 8 && columns_ >= 8 && rows_ * columns_ >= kMinForRank &&
           parameter_bytes(shape_, 1, false, false, false) <= kMaxFactorBytes && zeros_ < rows_ * columns_;
  }

  // Against a base that has nothing to do with the target no factors help.
  double share_without_factors() { return whole(sample_cost()) / (8 * double(shape_.bytes())); }

  // A factor for each row: decay in training, and scales of int8 that have changed.
  void find_gains() {
    if (parameter_bytes(shape_, 0, true, true, true) > kMaxFactorBytes) return;
    std::vector<double> gains(rows_);
    double saved = 0, finest = 0;
    for (std::size_t i = 0; i < rows_; ++i) {
      double products = 0, squares = 0, energy = 0, count = 0;
      for (std::size_t j = 0; j < columns_; ++j) {
        const std::size_t at = i * columns_ + j;
        if (change_.weights[at] == 0) continue;
        const double w = double(change_.weights[at]), b = double(T::value(before(at))), d = double(change_.values[at]);
        products += w * b * d;
        squares += w * b * b;
        energy += w * d * d;
        count += 1;
      }
      if (squares <= 0 || energy <= 0) continue;
      gains[i] = products / squares;
      const double rest = std::max(energy - products * products / squares, 1e-9 * energy);
      saved += 0.5 * count * std::log2(energy / rest);
      finest = std::max(finest, squares / rest);
    }
    if (saved < 2 * kBitsPerGain * double(rows_) || finest <= 0) return;
    set_gains(gains, 0.3 / std::sqrt(finest / double(columns_)));
  }
  void set_gains(const std::vector<double>& gains, double step) {
    double largest = 0;
    for (double gain : gains) largest = std::max(largest, std::fabs(gain));
    const double needed = std::max(step, largest / (kMaxFactor - 1));
    if (!(needed > 1e-30) || needed > 1e6) return;
    Parameters with = p_;
    with.gain_log2 = static_cast<int>(std::ceil(std::log2(needed)));
    with.gains.resize(rows_);
    for (std::size_t i = 0; i < rows_; ++i)
      with.gains[i] = static_cast<std::int16_t>(std::lround(std::ldexp(gains[i], -with.gain_log2)));
    const std::uint64_t without = sample_cost();
    std::swap(p_, with);
    if (whole(sample_cost()) + kBitsPerGain * double(rows_) >= whole(without)) return std::swap(p_, with);
    for (std::size_t i = 0; i < rows_; ++i)
      for (std::size_t j = 0; j < columns_; ++j)
        if (float& d = change_.values[i * columns_ + j]; change_.weights[i * columns_ + j] != 0)
          d -= T::value(before(i * columns_ + j)) * p_.gain(i);
  }

  std::size_t most_rank() const {
    std::size_t most = sizeof(typename T::Stored) == 4 ? kMostRank : kMostRankOfShort;
    while (most > 0 && parameter_bytes(shape_, most, true, true, true) > kMaxFactorBytes) --most;
    return std::min({most, rows_ / 2, columns_ / 2});
  }

  void find_factors(std::optional<std::size_t> rank) {
    const std::size_t most = rank ? std::min(*rank, most_rank()) : most_rank();
    if (most == 0) return;
    LowRank best = decompose(change_.weighted(), rows_, columns_, most);
    if (!change_.uniform)
      best = refined(truncated(best, rank ? most : starting_rank(best)), change_.values, change_.weights);
    const std::size_t chosen = rank ? most : cheapest_rank(best);
    if (chosen == 0) return;
    const std::size_t full = best.rank;
    if (chosen < full) {
      best = truncated(best, chosen);
      if (!change_.uniform && 2 * chosen < full) best = refined(std::move(best), change_.values, change_.weights);
    }
    round_factors(best, rank.has_value());
  }
  // Refining finds more than the plain decomposition does, so it begins with a few more than seem to pay.
  std::size_t starting_rank(const LowRank& plain) { return std::min(plain.rank, cheapest_rank(plain) * 3 / 2 + 4); }

  void product_row(const LowRank& whole, std::size_t row, std::size_t rank, std::vector<float>& out) const {
    out.assign(columns_, 0);
    for (std::size_t j = 0; j < columns_; ++j)
      for (std::size_t q = 0; q < rank; ++q)
        out[j] += whole.left[row * whole.rank + q] * whole.right[j * whole.rank + q];
  }
  double cost_with(const LowRank& whole_rank, std::size_t rank) {
    std::vector<float> products;
    std::uint64_t cost = 0;
    std::int32_t scale = p_.scale;
    for (std::size_t row : sample_) {
      product_row(whole_rank, row, rank, products);
      open_row(row, 1, products.data(), open_);
      const BestScale best = best_scale(cost_table(p_.shape), open_, scale);
      scale = best.scale;
      cost += best.cost;
    }
    return whole(cost) + kBitsPerFactor * double(rank) * double(rows_ + columns_);
  }
  std::size_t cheapest_rank(const LowRank& all) {
    std::size_t best = 0;
    double least = cost_with(all, 0);
    for (std::size_t rank : kRanks) {
      if (rank > all.rank) break;
      const double cost = cost_with(all, rank);
      if (cost < least) {
        least = cost;
        best = rank;
      } else if (cost > 1.02 * least) {
        break;  // more only costs more
      }
    }
    return best;
  }

  // The rounding that is cheapest over all, what the factors cost included.
  void round_factors(const LowRank& chosen, bool always) {
    double squares = 0, weight = 0;
    std::vector<float> products;
    for (std::size_t row : sample_) {
      product_row(chosen, row, chosen.rank, products);
      for (std::size_t j = 0; j < columns_; ++j) {
        const double w = double(change_.weights[row * columns_ + j]),
                     rest = double(change_.values[row * columns_ + j] - products[j]);
        squares += w * rest * rest;
        weight += w;
      }
    }
    Factors none = std::move(p_.factors), best;
    p_.factors = none;
    double least = always ? INFINITY : whole(sample_cost());
    for (double noise : kNoises) {
      p_.factors = quantise(chosen, noise * squares / std::max(weight, 1e-9));
      Bytes written;
      write_parameters(p_, written);
      const double cost = whole(sample_cost()) + 8 * double(written.size());
      if (cost >= least && best.rank > 0) break;  // finer only costs more
      if (cost >= least) continue;
      least = cost;
      best = p_.factors;
    }
    p_.factors = best.rank > 0 ? std::move(best) : std::move(none);
  }

  void fit_row_scales() {
    const CostTable& costs = cost_table(p_.shape);
    const std::size_t stride = std::max<std::size_t>(1, columns_ / kRowSample);
    std::vector<std::int16_t> scales(rows_);
    double saved = 0;
    std::int32_t last = p_.scale;
    for (std::size_t row = 0; row < rows_; ++row) {
      open_row(row, stride, nullptr, open_);
      const BestScale best = best_scale(costs, open_, last, p_.scale, 256 / stride);
      last = std::clamp(best.scale, p_.scale - kMaxFactor, p_.scale + kMaxFactor);
      scales[row] = static_cast<std::int16_t>(last - p_.scale);
      saved += (double(costs.of(open_, p_.scale)) - double(best.cost)) / 256 * double(stride);
    }
    if (saved > 3 * double(rows_)) p_.row_scales = std::move(scales);
  }

  void fit_column_scales() {
    const CostTable& costs = cost_table(p_.shape);
    const std::size_t stride = std::max<std::size_t>(1, rows_ / kColumnSample);
    std::vector<std::vector<OpenElement>> columns(columns_);
    for (std::size_t row = 0; row < rows_; row += stride) {
      // Relative to its row's scale, so that one scale serves for the whole column.
      open_row(row, 1, nullptr, open_);
      std::size_t k = 0;
      for (std::size_t j = 0; j < columns_; ++j) {
        if (apart(before(row * columns_ + j))) continue;
        OpenElement element = open_[k++];
        element.ulp_log = static_cast<std::int16_t>(element.ulp_log - p_.row_scale(row));
        columns[j].push_back(element);
      }
    }
    std::vector<std::int16_t> scales(columns_);
    double saved = 0;
    for (std::size_t j = 0; j < columns_; ++j) {
      const BestScale best = best_scale(costs, columns[j], 0, 0, 384);
      scales[j] = static_cast<std::int16_t>(std::clamp(best.scale, -kMaxFactor, kMaxFactor));
      saved += (double(costs.of(columns[j], 0)) - double(best.cost)) / 256 * double(stride);
    }
    if (saved > 4 * double(columns_)) p_.column_scales = std::move(scales);
  }

  TensorShape shape_;
  const std::uint8_t* base_;
  const std::uint8_t* target_;
  std::size_t rows_, columns_, zeros_ = 0;
  Parameters p_;
  std::vector<std::size_t> sample_;
  Change change_;
  std::vector<std::int32_t> sums_;
  std::vector<OpenElement> open_;
};

}  // namespace

std::optional<Parameters> fit_parameters(const TensorShape& shape, ByteView base, ByteView target,
                                         std::optional<std::size_t> rank) {
  return with_type(shape.type, [&](auto type) { return Fitter<decltype(type)>(shape, base, target).fit(rank); });
}

}  // namespace drover::delta
