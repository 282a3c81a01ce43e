#include "common/delta/grid.h"

#include <algorithm>
#include <limits>

namespace drover::delta {
namespace {

constexpr std::uint64_t kMinElements = 1024;  // fewer are not worth a search
constexpr int kMaxSmallest = 4;               // the smallest |k| of a row that is looked for
// Steps beside the guess that are tried: rounding has moved the least change, mostly down, and by much in narrow types.
constexpr int kAbove = 6, kBelow = 1;

// A row of the base and the target, and its steps to be tried.
template <class T>
struct Row {
  using Stored = typename T::Stored;
  const std::uint8_t* base;
  const std::uint8_t* target;
  std::size_t columns;

  Stored before(std::size_t j) const { return load<T>(base + j * sizeof(Stored)); }
  Stored after(std::size_t j) const { return load<T>(target + j * sizeof(Stored)); }

  // The least and the greatest change that is none; false for what can be on no grid.
  bool changes(double& least, double& most) const {
    least = std::numeric_limits<double>::infinity();
    most = 0;
    for (std::size_t j = 0; j < columns; ++j) {
      if (before(j) == after(j)) continue;
      if (T::is_special(before(j)) || T::is_special(after(j))) return false;
      const double change = std::fabs(weight_of(T{}, after(j)) - weight_of(T{}, before(j)));
      if (change == 0) return false;  // +0 became -0
      least = std::min(least, change);
      most = std::max(most, change);
    }
    return true;
  }

  // Whether every element stands on the grid of this step; writes the places.
  bool fits(double step, std::int8_t* places) const {
    for (std::size_t j = 0; j < columns; ++j) {
      places[j] = 0;
      if (before(j) == after(j)) continue;
      const double k = std::nearbyint((weight_of(T{}, after(j)) - weight_of(T{}, before(j))) / step);
      if (k == 0 || std::fabs(k) > kMaxGridPlace) return false;
      if (grid_element<T>(before(j), step, static_cast<int>(k)) != after(j)) return false;
      places[j] = static_cast<std::int8_t>(k);
    }
    return true;
  }

  // The number of its step; `last` for a row that did not change.
  std::optional<int> step(int last, std::int8_t* places) const {
    double least = 0, most = 0;
    if (!changes(least, most)) return std::nullopt;
    if (most == 0) return std::fill(places, places + columns, std::int8_t{0}), last;
    if (most / least > kMaxGridPlace * (kMaxSmallest + 1)) return std::nullopt;
    for (int smallest = 1; smallest <= kMaxSmallest; ++smallest) {
      const auto guess = step_at_most(least / smallest);
      if (!guess) return std::nullopt;
      for (int number = *guess + kAbove; number >= *guess - kBelow; --number)
        if (number >= kMinStep && number <= kMaxStep && fits(step_size(number), places)) return number;
    }
    return std::nullopt;
  }
};

template <class T>
std::optional<Grid> find_grid_as(const TensorShape& shape, ByteView base, ByteView target) {
  const auto columns = static_cast<std::size_t>(shape.columns);
  Grid grid;
  grid.steps.reserve(shape.rows);
  grid.places.resize(shape.elements());
  int last = 0;
  for (std::size_t i = 0; i < shape.rows; ++i) {
    const std::size_t at = i * columns;
    const Row<T> row{base.data() + at * sizeof(typename T::Stored), target.data() + at * sizeof(typename T::Stored),
                     columns};
    const auto step = row.step(last, grid.places.data() + at);
    if (!step) return std::nullopt;
    grid.steps.push_back(static_cast<std::int16_t>(last = *step));
  }
  return grid;
}

}  // namespace

std::optional<int> step_at_most(double size) {
  if (!(size > 0) || !std::isfinite(size)) return std::nullopt;
  int exponent = 0;
  const double fraction = std::frexp(size, &exponent);  // [0.5, 1)
  const int number =
      (exponent - 1) * kStepsOfOctave + static_cast<int>(fraction * (2 * kStepsOfOctave)) - kStepsOfOctave;
  if (number < kMinStep || number > kMaxStep) return std::nullopt;
  return number;
}

std::optional<Grid> find_grid(const TensorShape& shape, ByteView base, ByteView target) {
  if (shape.elements() < kMinElements || shape.rows > kMaxGridRows) return std::nullopt;
  switch (shape.type) {
    case ElementType::f32:
      return find_grid_as<F32>(shape, base, target);
    case ElementType::f16:
      return find_grid_as<F16>(shape, base, target);
    case ElementType::bf16:
      return find_grid_as<Bf16>(shape, base, target);
    case ElementType::i8:
      break;
  }
  return std::nullopt;
}

}  // namespace drover::delta
