// As much of an ONNX model as quantised weights need: what is stored, and who reads it. Internal to this folder; pure.
// Damaged and unknown parts are passed over.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/bytes.h"

namespace drover::delta {

inline constexpr std::uint64_t kOnnxFloat = 1, kOnnxInt8 = 3;  // TensorProto's numbers
inline constexpr std::size_t kMaxDimensions = 16;

struct Initialiser {
  std::vector<std::uint64_t> dimensions;
  std::uint64_t type = 0;
  ByteView data;  // empty when it is stored elsewhere
};

// A DequantizeLinear.
struct Dequantiser {
  std::vector<std::string> inputs;
  std::string output;
  std::int64_t axis = 1;
};

struct OnnxGraph {
  std::map<std::string, Initialiser> initialisers;
  std::vector<Dequantiser> dequantisers;
  std::map<std::string, std::size_t> uses;  // how often nodes read each name
};
OnnxGraph read_onnx_graph(ByteView file);

}  // namespace drover::delta
