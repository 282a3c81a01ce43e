#include "common/delta/change.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/delta/with_type.h"

namespace drover::delta {
namespace {

constexpr double kMostChange = 1e15;     // more has no meaning for a weight, and its square leaves the floats
constexpr double kCoarse = 0.02;         // share of rounding in the squares of the change from which weighing pays
constexpr double kLeftOver = 0.05;       // of the real change, that factors are expected to leave
constexpr double kLeastReal = 0.01;      // share of the squares that is real at least
constexpr double kSquareOfRounding = 6;  // base and target: an ulp's square through this
constexpr double kFine = 4;              // times finer than on average

template <class T>
class Finder {
 public:
  Finder(ByteView base, ByteView target, bool zeros_apart)
      : base_(base.data()),
        target_(target.data()),
        count_(base.size() / sizeof(typename T::Stored)),
        zeros_apart_(T::kWidth != 8 || zeros_apart) {}

  Change find() {
    found_.values.assign(count_, 0);
    found_.weights.assign(count_, 0);
    double squares = 0, coarse = 0, count = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const auto bits = before(i);
      if (T::is_zero(bits) && zeros_apart_) continue;
      const double difference = double(T::value(after(i))) - double(T::value(bits));
      if (!std::isfinite(difference) || std::fabs(difference) > kMostChange || T::is_special(bits) ||
          T::is_special(after(i)))
        continue;
      found_.values[i] = static_cast<float>(difference);
      found_.weights[i] = 1;
      squares += difference * difference;
      coarse += rounding(bits);
      count += 1;
    }
    found_.uniform = count == double(count_);
    if (count > 0 && coarse > kCoarse * squares && sizeof(typename T::Stored) == 2)
      weigh(squares / count, coarse / count);
    return std::move(found_);
  }

 private:
  typename T::Stored before(std::size_t i) const { return load<T>(base_ + i * sizeof(typename T::Stored)); }
  typename T::Stored after(std::size_t i) const { return load<T>(target_ + i * sizeof(typename T::Stored)); }
  // The mean square of what rounding base and target adds.
  static double rounding(typename T::Stored bits) {
    const auto log = 2 * T::ulp_log(T::ordinal(bits));
    return std::bit_cast<double>(static_cast<std::uint64_t>(1023 + log) << 52) / kSquareOfRounding;  // 2^log
  }

  void weigh(double squares, double coarse) {
    // What the change is apart from rounding, seen where rounding is finer than on average.
    double fine = 0, count = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const double noise = rounding(before(i));
      if (found_.weights[i] == 0 || noise > coarse / kFine) continue;
      fine += double(found_.values[i]) * double(found_.values[i]) - noise;
      count += 1;
    }
    const double real = std::max(count > 0 ? fine / count : 0, kLeastReal * squares);
    const double rest = kLeftOver * real;
    for (std::size_t i = 0; i < count_; ++i)
      if (found_.weights[i] != 0) found_.weights[i] = static_cast<float>(rest / (rest + rounding(before(i))));
    found_.uniform = false;
  }

  const std::uint8_t* base_;
  const std::uint8_t* target_;
  std::size_t count_;
  bool zeros_apart_;
  Change found_;
};

}  // namespace

std::vector<float> Change::weighted() const {
  if (uniform) return values;
  double sum = 0;
  for (float w : weights) sum += double(w);
  const auto raise = static_cast<float>(double(weights.size()) / std::max(sum, 1e-9));
  std::vector<float> out(values.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = values[i] * weights[i] * raise;
  return out;
}

Change find_change(ElementType type, ByteView base, ByteView target, bool zeros_apart) {
  return with_type(type, [&](auto t) { return Finder<decltype(t)>(base, target, zeros_apart).find(); });
}

}  // namespace drover::delta
