// The arithmetic of validation: outputs against the golden set, and latencies. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace drover::validators {

// Index of the greatest value, the first of equal ones; 0 for none.
std::size_t argmax(std::span<const float> values);

// Raw little-endian float32. Errors: validate_golden when the size is not exactly `count` values or one is not finite.
Result<std::vector<float>> read_floats(ByteView bytes, std::size_t count);

// The number of elements of a shape. Errors: malformed for a dimension below 1 or a product over `limit`.
Result<std::size_t> element_count(std::span<const std::int64_t> shape, std::size_t limit);

// Collects how far outputs are from what they should be, sample by sample.
class Comparison {
 public:
  // Errors: validate_golden when the sizes differ or an output is NaN or infinite; says which sample.
  Status add(std::span<const float> output, std::span<const float> golden);
  // A sample whose right answer is known.
  void add_label(std::span<const float> output, std::uint8_t label);

  std::int64_t samples() const { return samples_; }
  double max_abs_diff() const { return max_abs_diff_; }
  std::int64_t worst_sample() const { return worst_sample_; }
  double agreement() const { return samples_ == 0 ? 0 : static_cast<double>(agreed_) / static_cast<double>(samples_); }
  bool has_labels() const { return labelled_ > 0; }
  double accuracy() const { return labelled_ == 0 ? 0 : static_cast<double>(right_) / static_cast<double>(labelled_); }

 private:
  std::int64_t samples_ = 0;
  std::int64_t agreed_ = 0;
  std::int64_t labelled_ = 0;
  std::int64_t right_ = 0;
  double max_abs_diff_ = 0;
  std::int64_t worst_sample_ = 0;
};

// The middle value (the lower of the two middle ones); zero for none. Reorders.
std::chrono::nanoseconds median(std::vector<std::chrono::nanoseconds>& times);

}  // namespace drover::validators
