// The float weights that quantised ones were made from, found in the float model. Pure.
#pragma once

#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/delta/onnx_graph.h"
#include "common/delta/rescale.h"

namespace drover::delta {

// Fp32 numbers in a file.
struct FloatWeight {
  std::string name;
  ByteView data;
  float at(std::uint64_t i) const;
};

// An ONNX model of the same network in fp32, with its weights in the file. `onnx` must outlive it.
class FloatSource {
 public:
  explicit FloatSource(ByteView onnx) : graph_(read_onnx_graph(onnx)) {}
  // What `weight` of `model` was quantised from: the tensor of the same shape that has its name, or that of what the
  // DequantizeLinear gives (each also without a quantiser's usual endings), and whose numbers come out as the quantised
  // ones; else the only one of that shape whose numbers do. invalid_argument with both names and what to do: none,
  // several, one with the name and other numbers (weights of another training).
  Result<FloatWeight> weights_of(ByteView model, const QuantisedWeight& weight) const;

 private:
  std::vector<FloatWeight> of_shape(const QuantisedWeight& weight) const;
  OnnxGraph graph_;
};

}  // namespace drover::delta
