// Where the numbers are: the tensors of a model file, found by the file's own description. Pure; bounded; an unknown or
// damaged file has no tensors (what is not described is found by content, see planner.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/delta/tensor_codec.h"

namespace drover::delta {

inline constexpr std::size_t kMaxTensors = 100'000;

struct TensorSpan {
  std::string name;
  TensorShape shape;
  std::uint64_t offset = 0;  // of the first element in the file
};

// ONNX, safetensors, TensorFlow Lite, GGUF. By offset, not overlapping.
std::vector<TensorSpan> find_tensors(ByteView file);

}  // namespace drover::delta
