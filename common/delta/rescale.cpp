#include "common/delta/rescale.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>

#include "common/delta/container.h"
#include "common/delta/protobuf.h"

namespace drover::delta {
namespace {

constexpr int kGreatest = 127;
constexpr std::size_t kMaxDimensions = 16;

struct Initialiser {
  std::vector<std::uint64_t> dimensions;
  std::uint64_t type = 0;
  ByteView data;
};
constexpr std::uint64_t kFloat = 1, kInt8 = 3;  // TensorProto's numbers

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
  std::vector<std::string> inputs;
  std::int64_t axis = 1;
};

Node read_node(ByteView message) {
  Node node;
  for (Fields field(message); field.next();) {
    if (field.number == 1) node.inputs.emplace_back(as_text(field.bytes));
    if (field.number == 4) node.operation = as_text(field.bytes);
    if (field.number != 5) continue;
    std::string name;
    std::int64_t value = 0;
    for (Fields attribute(field.bytes); attribute.next();) {
      if (attribute.number == 1) name = as_text(attribute.bytes);
      if (attribute.number == 3) value = static_cast<std::int64_t>(attribute.value);
    }
    if (name == "axis") node.axis = value;
  }
  return node;
}

struct Graph {
  std::map<std::string, Initialiser> initialisers;
  std::vector<Node> dequantise;
  std::map<std::string, std::size_t> uses;  // how often nodes read each name
};

Graph read_graph(ByteView file) {
  Graph out;
  for (Fields model(file); model.next();) {
    if (model.number != 7) continue;
    for (Fields graph(model.bytes); graph.next() && out.initialisers.size() < kMaxTensors;) {
      if (graph.number == 5) out.initialisers.insert(read_initialiser(graph.bytes));
      if (graph.number != 1) continue;
      Node node = read_node(graph.bytes);
      for (const std::string& input : node.inputs) ++out.uses[input];
      if (node.operation == "DequantizeLinear" && node.inputs.size() >= 2) out.dequantise.push_back(std::move(node));
    }
  }
  return out;
}

std::optional<QuantisedWeight> weight_of_node(const Graph& graph, const Node& node, const std::uint8_t* file) {
  const auto weight = graph.initialisers.find(node.inputs[0]), scale = graph.initialisers.find(node.inputs[1]);
  if (weight == graph.initialisers.end() || scale == graph.initialisers.end()) return std::nullopt;
  // What others read too cannot change for one of them.
  if (graph.uses.at(node.inputs[0]) != 1 || graph.uses.at(node.inputs[1]) != 1) return std::nullopt;
  const Initialiser &w = weight->second, &s = scale->second;
  if (w.type != kInt8 || s.type != kFloat || w.data.empty() || w.dimensions.size() > kMaxDimensions)
    return std::nullopt;
  QuantisedWeight out{.name = node.inputs[0], .offset = static_cast<std::uint64_t>(w.data.data() - file)};
  out.elements = w.data.size();
  out.scales = static_cast<std::uint64_t>(s.data.data() - file);
  out.channels = s.data.size() / sizeof(float);
  if (out.channels == 0 || s.data.size() % sizeof(float) != 0) return std::nullopt;
  const std::int64_t count = static_cast<std::int64_t>(w.dimensions.size());
  const std::int64_t axis = node.axis < 0 ? node.axis + count : node.axis;
  if (out.channels > 1) {
    if (axis < 0 || axis >= count || w.dimensions[static_cast<std::size_t>(axis)] != out.channels) return std::nullopt;
    for (auto i = static_cast<std::size_t>(axis) + 1; i < w.dimensions.size(); ++i) {
      if (w.dimensions[i] == 0 || out.inner > out.elements / w.dimensions[i]) return std::nullopt;
      out.inner *= w.dimensions[i];
    }
  } else {
    out.inner = out.elements;
  }
  if (out.elements % (out.inner * out.channels) != 0) return std::nullopt;
  if (node.inputs.size() > 2 && !node.inputs[2].empty()) {
    const auto zero = graph.initialisers.find(node.inputs[2]);
    out.centred = zero != graph.initialisers.end() && std::all_of(zero->second.data.begin(), zero->second.data.end(),
                                                                  [](std::uint8_t b) { return b == 0; });
  }
  return out;
}

float scale_at(ByteView file, const QuantisedWeight& weight, std::uint64_t channel) {
  float scale = 0;
  std::memcpy(&scale, file.data() + weight.scales + channel * sizeof scale, sizeof scale);
  return scale;
}

Status check(ByteView file, const QuantisedWeight& weight) {
  if (!weight.centred)
    return Error(Code::invalid_argument,
                 "\"" + weight.name + "\" has zero points that are not 0: its scales cannot be kept");
  for (std::uint64_t c = 0; c < weight.channels; ++c)
    if (const float scale = scale_at(file, weight, c); !(scale > 0) || !std::isfinite(scale))
      return Error(Code::invalid_argument, "\"" + weight.name + "\" has a scale that is not positive and finite");
  return {};
}

struct Pair {
  QuantisedWeight base, model;
};

Result<std::vector<Pair>> pairs_of(ByteView base, ByteView model) {
  std::map<std::string, QuantisedWeight> known;
  for (QuantisedWeight& weight : find_quantised(base)) known.emplace(weight.name, weight);
  std::vector<Pair> pairs;
  for (const QuantisedWeight& weight : find_quantised(model)) {
    const auto counterpart = known.find(weight.name);
    if (counterpart == known.end())
      return Error(Code::invalid_argument, "the base has no quantised weights \"" + weight.name +
                                               "\": scales are kept between versions of the same network only");
    const QuantisedWeight& was = counterpart->second;
    if (was.elements != weight.elements || was.channels != weight.channels || was.inner != weight.inner)
      return Error(Code::invalid_argument, "\"" + weight.name + "\" has another shape, or other scales, in the base");
    TRY(check(base, was));
    TRY(check(model, weight));
    pairs.push_back({was, weight});
  }
  if (pairs.empty())
    return Error(Code::invalid_argument,
                 "no int8 weights: there is no DequantizeLinear of stored int8 numbers in it (ONNX is read)");
  return pairs;
}

void rescale(ByteView base, const Pair& pair, std::span<std::uint8_t> model, RescaleReport& report) {
  Bytes moved(pair.model.elements);
  std::uint64_t saturated = 0, changed = 0, changed_own = 0;
  double cut_off = 0;  // squares, in steps
  for (std::uint64_t i = 0; i < moved.size(); ++i) {
    const std::uint64_t channel = i / pair.model.inner % pair.model.channels;
    const double ratio = static_cast<double>(scale_at(model, pair.model, channel)) /
                         static_cast<double>(scale_at(base, pair.base, channel));
    const auto own = static_cast<std::int8_t>(model[pair.model.offset + i]);
    const double place = std::nearbyint(own * ratio);
    const double beyond = std::max(0.0, std::fabs(place) - kGreatest);
    saturated += beyond > 0 ? 1 : 0;
    cut_off += beyond * beyond;
    moved[i] = static_cast<std::uint8_t>(static_cast<int>(std::clamp<double>(place, -kGreatest, kGreatest)));
    const std::uint8_t before = base[pair.base.offset + i];
    changed += moved[i] != before ? 1 : 0;
    changed_own += static_cast<std::uint8_t>(own) != before ? 1 : 0;
  }
  if (cut_off > static_cast<double>(moved.size()) / 12) {
    ++report.own;
    return;
  }
  std::copy(moved.begin(), moved.end(), model.begin() + static_cast<std::ptrdiff_t>(pair.model.offset));
  std::memcpy(model.data() + pair.model.scales, base.data() + pair.base.scales, pair.model.channels * sizeof(float));
  ++report.kept;
  report.weights += moved.size();
  report.saturated += saturated;
  report.changed += changed;
  report.changed_own += changed_own;
}

}  // namespace

std::vector<QuantisedWeight> find_quantised(ByteView onnx) {
  const Graph graph = read_graph(onnx);
  std::vector<QuantisedWeight> found;
  for (const Node& node : graph.dequantise)
    if (auto weight = weight_of_node(graph, node, onnx.data())) found.push_back(std::move(*weight));
  return found;
}

Result<RescaleReport> keep_scales(ByteView base, std::span<std::uint8_t> model) {
  TRY_ASSIGN(const std::vector<Pair> pairs, pairs_of(base, model));
  RescaleReport report;
  for (const Pair& pair : pairs) rescale(base, pair, model, report);
  return report;
}

}  // namespace drover::delta
