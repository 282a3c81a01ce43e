// Keeping the scales of quantised weights across versions. A scale is set by a row's largest weight; when it moves by a
// little, every int8 number of the row moves with it, and a delta has to send them all. Here a new version's int8
// weights are brought onto its base's scales, so that most numbers stay what they were. It changes the model a little,
// before anybody signs it. ONNX with DequantizeLinear (QDQ, and weights alone). Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace drover::delta {

// One int8 initialiser that a DequantizeLinear reads, and its scales: one for all, or one for each index of `axis`.
struct QuantisedWeight {
  std::string name, output;  // of the numbers, and of what the DequantizeLinear gives
  std::vector<std::uint64_t> dimensions;
  std::uint64_t offset = 0, elements = 0;
  std::uint64_t channels = 1;  // scales
  std::uint64_t inner = 1;     // elements that follow one another on one scale
  std::uint64_t scales = 0;    // offset of fp32 numbers
  bool centred = true;         // zero points are 0, or there are none

  std::uint64_t channel_of(std::uint64_t element) const { return element / inner % channels; }
  float scale(ByteView file, std::uint64_t channel) const;
  float scale_of(ByteView file, std::uint64_t element) const { return scale(file, channel_of(element)); }
};
// Damaged, unknown or unusual parts are passed over.
std::vector<QuantisedWeight> find_quantised(ByteView onnx);

struct RescaleReport {
  std::size_t tensors = 0;
  std::uint64_t scales = 0, kept = 0;  // in them, and those that are now the base's
  std::uint64_t weights = 0;           // on the base's scales
  std::uint64_t saturated = 0;         // of these, cut off
  std::uint64_t changed = 0;           // of these, other than in the base, afterwards
  std::uint64_t changed_own = 0;       // and before
};

// q' = round(w / s_base) within +-127, s' = s_base, scale by scale. w is what `model` was quantised from, as `source`
// has it (fp32 ONNX, float_source.h), so that it is rounded once; with an empty `source` it is q * s, which was rounded
// before. Where the base's number is as near as another one it stays. A scale whose weights would lose more by being
// cut off than by rounding (in squares: a twelfth of a step a weight) stays as it is, and they too. `model` is changed
// in place, and only when all is well. invalid_argument with the tensor's name: other shapes than the base's, scales
// that are not positive and finite, zero points that are not 0, no int8 weights at all, a source that is not what the
// model was made from.
Result<RescaleReport> keep_scales(ByteView base, ByteView source, std::span<std::uint8_t> model);

}  // namespace drover::delta
