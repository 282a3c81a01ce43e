// Snapping: moves the weights of a new model onto a grid around those of its base, so that the difference between the
// two takes few bits (grid.h). It changes the model, a little and before anybody signs it; what is signed is then
// carried exactly. Pure.
#pragma once

#include <cstdint>
#include <span>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace drover::delta {

// Matrices of fewer elements, and all vectors (biases, normalisation), stay as they are: they cost nothing to send.
inline constexpr std::uint64_t kMinSnapElements = 1024;
inline constexpr double kMaxSnap = 16;  // standard deviations; beyond, hardly any change would be left

struct SnapReport {
  std::size_t tensors = 0;    // moved
  std::uint64_t weights = 0;  // in them
  // What snapping took away of the change, in the mean over the weights moved: root mean square of (snapped - new) as a
  // share of that of (new - base).
  double lost = 0;
};

// new' = base + s * round((new - base) / s), s about `k` times the root mean square of each row's change. `model` is
// changed in place, and only when all is well. ONNX and safetensors; fp32, fp16 and bf16.
// invalid_argument, with the tensor's name: `k` not in (0, kMaxSnap]; a tensor that the base lacks, or has in another
// shape or type; weights that are NaN or infinite; a model without such weights.
Result<SnapReport> snap_model(ByteView base, double k, std::span<std::uint8_t> model);

// Whether it has weights that snap_model would move.
bool can_snap(ByteView model);

}  // namespace drover::delta
