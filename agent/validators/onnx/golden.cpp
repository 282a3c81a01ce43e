#include "agent/validators/onnx/golden.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace drover::validators {

std::size_t argmax(std::span<const float> values) {
  return static_cast<std::size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

Result<std::vector<float>> read_floats(ByteView bytes, std::size_t count) {
  static_assert(std::endian::native == std::endian::little, "the files are little-endian, and read as they are");
  if (bytes.size() != count * sizeof(float))
    return Error(Code::validate_golden, "the file has " + std::to_string(bytes.size()) +
                                            " bytes, but the policy tells of " + std::to_string(count * sizeof(float)));
  std::vector<float> values(count);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
    return Error(Code::validate_golden, "the file holds NaN or infinity");
  return values;
}

Result<std::size_t> element_count(std::span<const std::int64_t> shape, std::size_t limit) {
  std::size_t count = 1;
  for (std::int64_t dimension : shape) {
    if (dimension < 1) return Error(Code::malformed, "a dimension is " + std::to_string(dimension));
    if (static_cast<std::uint64_t>(dimension) > limit / count)
      return Error(Code::malformed, "the shape has more than " + std::to_string(limit) + " elements");
    count *= static_cast<std::size_t>(dimension);
  }
  return count;
}

Status Comparison::add(std::span<const float> output, std::span<const float> golden) {
  const std::string where = "sample " + std::to_string(samples_) + ": ";
  if (output.size() != golden.size())
    return Error(Code::validate_golden, where + "the model gives " + std::to_string(output.size()) +
                                            " values, the golden set has " + std::to_string(golden.size()));
  for (std::size_t i = 0; i < output.size(); ++i) {
    if (!std::isfinite(output[i]))
      return Error(Code::validate_golden, where + "output " + std::to_string(i) + " is NaN or infinite");
    const double diff = std::abs(static_cast<double>(output[i]) - static_cast<double>(golden[i]));
    if (diff > max_abs_diff_) worst_sample_ = samples_;
    max_abs_diff_ = std::max(max_abs_diff_, diff);
  }
  if (argmax(output) == argmax(golden)) ++agreed_;
  ++samples_;
  return {};
}

void Comparison::add_label(std::span<const float> output, std::uint8_t label) {
  ++labelled_;
  if (argmax(output) == label) ++right_;
}

std::chrono::nanoseconds median(std::vector<std::chrono::nanoseconds>& times) {
  if (times.empty()) return {};
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>((times.size() - 1) / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

}  // namespace drover::validators
