#include "common/delta/snap.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "common/delta/container.h"
#include "common/delta/grid.h"

namespace drover::delta {
namespace {

struct Pair {
  TensorSpan base, model;
};

std::string shape_text(const TensorShape& shape) {
  constexpr const char* kWords[] = {"fp32", "fp16", "bf16", "int8"};
  return std::to_string(shape.rows) + " x " + std::to_string(shape.columns) + " " +
         kWords[static_cast<int>(shape.type)];
}

bool can_move(const TensorShape& shape) {
  return shape.type != ElementType::i8 && shape.rows > 1 && shape.elements() >= kMinSnapElements &&
         shape.rows <= kMaxGridRows;
}

// The tensors to be moved, each with its counterpart.
Result<std::vector<Pair>> pairs_of(ByteView base, ByteView model) {
  std::map<std::string, TensorSpan> known;
  for (TensorSpan& tensor : find_tensors(base)) known.emplace(tensor.name, tensor);
  std::vector<Pair> pairs;
  for (const TensorSpan& tensor : find_tensors(model)) {
    if (!can_move(tensor.shape)) continue;
    const auto counterpart = known.find(tensor.name);
    if (counterpart == known.end())
      return Error(Code::invalid_argument, "the base has no tensor \"" + tensor.name +
                                               "\": only a new version of the same network can be snapped onto it");
    const TensorShape &was = counterpart->second.shape, &is = tensor.shape;
    if (was.type != is.type || was.rows != is.rows || was.columns != is.columns)
      return Error(Code::invalid_argument, "\"" + tensor.name + "\" is " + shape_text(was) + " in the base and " +
                                               shape_text(is) +
                                               " in the new model: only the same network can be snapped onto it");
    pairs.push_back({counterpart->second, tensor});
  }
  if (pairs.empty())
    return Error(Code::invalid_argument,
                 "no weights to snap: there are no fp32, fp16 or bf16 matrices of 1,024 weights or more in it "
                 "(ONNX and safetensors are read)");
  return pairs;
}

template <class Use>
void with_float_type(ElementType type, Use use) {
  if (type == ElementType::f32) use(F32{});
  if (type == ElementType::f16) use(F16{});
  if (type == ElementType::bf16) use(Bf16{});
}

// The first weight that is none.
template <class T>
bool has_special(ByteView bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(typename T::Stored))
    if (T::is_special(load<T>(bytes.data() + at))) return true;
  return false;
}

// The step for a row: about k deviations, and wide enough for the greatest change.
std::optional<int> step_for(double k, double squares, double greatest, std::size_t columns) {
  const double wanted = k * std::sqrt(squares / static_cast<double>(columns));
  auto step = step_at_most(std::max(wanted, greatest / kMaxGridPlace));
  while (step && *step < kMaxStep && std::nearbyint(greatest / step_size(*step)) > kMaxGridPlace) ++*step;
  return step;
}

struct Energy {
  double change = 0, lost = 0;
};

// One row; a change too small or too large for any step leaves it as it is.
template <class T>
void snap_row(double k, const std::uint8_t* base, std::uint8_t* model, std::size_t columns, Energy& energy) {
  using Stored = typename T::Stored;
  double squares = 0, greatest = 0;
  for (std::size_t j = 0; j < columns; ++j) {
    const double change =
        weight_of(T{}, load<T>(model + j * sizeof(Stored))) - weight_of(T{}, load<T>(base + j * sizeof(Stored)));
    squares += change * change;
    greatest = std::max(greatest, std::fabs(change));
  }
  energy.change += squares;
  const auto step = step_for(k, squares, greatest, columns);
  if (!step) return;
  const double size = step_size(*step);
  for (std::size_t j = 0; j < columns; ++j) {
    const Stored before = load<T>(base + j * sizeof(Stored)), after = load<T>(model + j * sizeof(Stored));
    const double place = std::nearbyint((weight_of(T{}, after) - weight_of(T{}, before)) / size);
    const Stored snapped = grid_element<T>(before, size, static_cast<int>(place));
    if (T::is_special(snapped)) continue;  // at the very end of the type's range
    const double lost = weight_of(T{}, snapped) - weight_of(T{}, after);
    energy.lost += lost * lost;
    std::memcpy(model + j * sizeof(Stored), &snapped, sizeof snapped);
  }
}

}  // namespace

bool can_snap(ByteView model) {
  const auto tensors = find_tensors(model);
  return std::any_of(tensors.begin(), tensors.end(), [](const TensorSpan& tensor) { return can_move(tensor.shape); });
}

Result<SnapReport> snap_model(ByteView base, double k, std::span<std::uint8_t> model) {
  if (!(k > 0) || k > kMaxSnap)
    return Error(Code::invalid_argument, "the grid's step must be above 0 and at most 16 standard deviations");
  TRY_ASSIGN(const std::vector<Pair> pairs, pairs_of(base, model));
  for (const Pair& pair : pairs) {
    bool special = false;
    const std::size_t size = pair.model.shape.bytes();
    with_float_type(pair.model.shape.type, [&](auto type) {
      using T = decltype(type);
      special = has_special<T>(base.subspan(pair.base.offset, size)) ||
                has_special<T>(ByteView(model).subspan(pair.model.offset, size));
    });
    if (special)
      return Error(Code::invalid_argument,
                   "\"" + pair.model.name + "\" holds NaN or infinity: such a model cannot be snapped");
  }
  SnapReport report;
  Energy energy;
  for (const Pair& pair : pairs) {
    const TensorShape& shape = pair.model.shape;
    const std::size_t row_bytes = shape.bytes() / shape.rows;
    with_float_type(shape.type, [&](auto type) {
      for (std::size_t i = 0; i < shape.rows; ++i)
        snap_row<decltype(type)>(k, base.data() + pair.base.offset + i * row_bytes,
                                 model.data() + pair.model.offset + i * row_bytes,
                                 static_cast<std::size_t>(shape.columns), energy);
    });
    ++report.tensors;
    report.weights += shape.elements();
  }
  report.lost = energy.change > 0 ? std::sqrt(energy.lost / energy.change) : 0;
  return report;
}

}  // namespace drover::delta
