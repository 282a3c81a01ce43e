#include "common/delta/onnx_graph.h"

#include <algorithm>
#include <utility>

#include "common/delta/container.h"
#include "common/delta/protobuf.h"

namespace drover::delta {
namespace {

void add_dimension(const Fields& field, std::vector<std::uint64_t>& dimensions) {
  if (field.bytes.empty()) return dimensions.push_back(field.value);
  std::uint64_t value = 0;
  unsigned shift = 0;
  for (std::uint8_t byte : field.bytes) {
    value |= static_cast<std::uint64_t>(byte & 127) << std::min(shift, 63U);
    shift += 7;
    if (byte >= 128) continue;
    dimensions.push_back(std::exchange(value, 0));
    shift = 0;
  }
}

std::pair<std::string, Initialiser> read_initialiser(ByteView message) {
  Initialiser out;
  std::string name;
  for (Fields field(message); field.next();) {
    if (field.number == 1) add_dimension(field, out.dimensions);
    if (field.number == 2) out.type = field.value;
    if (field.number == 8) name = as_text(field.bytes);
    if (field.number == 9 || field.number == 4) out.data = field.bytes;  // raw, or fp32 one after another
  }
  return {std::move(name), std::move(out)};
}

struct Node {
  std::string operation;
  Dequantiser parts;
};

Node read_node(ByteView message) {
  Node node;
  for (Fields field(message); field.next();) {
    if (field.number == 1) node.parts.inputs.emplace_back(as_text(field.bytes));
    if (field.number == 2 && node.parts.output.empty()) node.parts.output = as_text(field.bytes);
    if (field.number == 4) node.operation = as_text(field.bytes);
    if (field.number != 5) continue;
    std::string name;
    std::int64_t value = 0;
    for (Fields attribute(field.bytes); attribute.next();) {
      if (attribute.number == 1) name = as_text(attribute.bytes);
      if (attribute.number == 3) value = static_cast<std::int64_t>(attribute.value);
    }
    if (name == "axis") node.parts.axis = value;
  }
  return node;
}

}  // namespace

OnnxGraph read_onnx_graph(ByteView file) {
  OnnxGraph out;
  for (Fields model(file); model.next();) {
    if (model.number != 7) continue;
    for (Fields graph(model.bytes); graph.next() && out.initialisers.size() < kMaxTensors;) {
      if (graph.number == 5) out.initialisers.insert(read_initialiser(graph.bytes));
      if (graph.number != 1) continue;
      Node node = read_node(graph.bytes);
      for (const std::string& input : node.parts.inputs) ++out.uses[input];
      if (node.operation == "DequantizeLinear" && node.parts.inputs.size() >= 2)
        out.dequantisers.push_back(std::move(node.parts));
    }
  }
  return out;
}

}  // namespace drover::delta
