#include "common/delta/rescale.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>

#include "common/delta/float_source.h"
#include "common/delta/onnx_graph.h"

namespace drover::delta {
namespace {

constexpr int kGreatest = 127;
// Steps: the base's number stays where it is this near to being as good. Others divide in fp32, which is as exact.
constexpr double kTie = 0.5 + 1e-4;

std::optional<QuantisedWeight> weight_of_node(const OnnxGraph& graph, const Dequantiser& node,
                                              const std::uint8_t* file) {
  const auto weight = graph.initialisers.find(node.inputs[0]), scale = graph.initialisers.find(node.inputs[1]);
  if (weight == graph.initialisers.end() || scale == graph.initialisers.end()) return std::nullopt;
  // What others read too cannot change for one of them.
  if (graph.uses.at(node.inputs[0]) != 1 || graph.uses.at(node.inputs[1]) != 1) return std::nullopt;
  const Initialiser &w = weight->second, &s = scale->second;
  if (w.type != kOnnxInt8 || s.type != kOnnxFloat || w.data.empty() || w.dimensions.size() > kMaxDimensions)
    return std::nullopt;
  QuantisedWeight out;
  out.name = node.inputs[0];
  out.output = node.output;
  out.dimensions = w.dimensions;
  out.offset = static_cast<std::uint64_t>(w.data.data() - file);
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

Status check(ByteView file, const QuantisedWeight& weight) {
  if (!weight.centred)
    return Error(Code::invalid_argument,
                 "\"" + weight.name + "\" has zero points that are not 0: its scales cannot be kept");
  for (std::uint64_t c = 0; c < weight.channels; ++c)
    if (const float scale = weight.scale(file, c); !(scale > 0) || !std::isfinite(scale))
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

// The weights of one tensor before they were quantised, or what their numbers stand for.
class Weights {
 public:
  Weights(ByteView model, const QuantisedWeight& weight, std::optional<FloatWeight> source)
      : model_(model), weight_(weight), source_(std::move(source)) {}
  double at(std::uint64_t i) const {
    if (source_) return source_->at(i);
    return static_cast<double>(own(i)) * static_cast<double>(weight_.scale_of(model_, i));
  }
  std::int8_t own(std::uint64_t i) const { return static_cast<std::int8_t>(model_[weight_.offset + i]); }

 private:
  ByteView model_;
  const QuantisedWeight& weight_;
  std::optional<FloatWeight> source_;
};

struct Moved {
  Bytes numbers;
  std::vector<double> cut_off;  // of each scale: squares, in steps
};

Moved moved_onto(ByteView base, const Pair& pair, const Weights& weights) {
  Moved out{Bytes(pair.model.elements), std::vector<double>(pair.model.channels)};
  for (std::uint64_t i = 0; i < out.numbers.size(); ++i) {
    const double place = weights.at(i) / static_cast<double>(pair.base.scale_of(base, i));
    const auto before = static_cast<std::int8_t>(base[pair.base.offset + i]);
    if (std::fabs(place - before) <= kTie) {
      out.numbers[i] = static_cast<std::uint8_t>(before);  // be it -128
      continue;
    }
    const double nearest = std::nearbyint(place), beyond = std::max(0.0, std::fabs(nearest) - kGreatest);
    out.cut_off[pair.model.channel_of(i)] += beyond * beyond;
    out.numbers[i] = static_cast<std::uint8_t>(static_cast<int>(std::clamp<double>(nearest, -kGreatest, kGreatest)));
  }
  return out;
}

// Where cutting off loses no more than rounding does.
std::vector<bool> kept_scales(const Moved& moved) {
  const double weights = static_cast<double>(moved.numbers.size()) / static_cast<double>(moved.cut_off.size());
  std::vector<bool> kept;
  for (const double squares : moved.cut_off) kept.push_back(squares <= weights / 12);
  return kept;
}

void rescale(ByteView base, const Pair& pair, const Weights& weights, std::span<std::uint8_t> model,
             RescaleReport& report) {
  const Moved moved = moved_onto(base, pair, weights);
  const std::vector<bool> kept = kept_scales(moved);
  for (std::uint64_t i = 0; i < moved.numbers.size(); ++i) {
    if (!kept[pair.model.channel_of(i)]) continue;
    const std::uint8_t before = base[pair.base.offset + i], own = model[pair.model.offset + i];
    const double place = weights.at(i) / static_cast<double>(pair.base.scale_of(base, i));
    ++report.weights;
    report.saturated += std::fabs(place - static_cast<std::int8_t>(moved.numbers[i])) > kTie ? 1 : 0;
    report.changed += moved.numbers[i] != before ? 1 : 0;
    report.changed_own += own != before ? 1 : 0;
    model[pair.model.offset + i] = moved.numbers[i];
  }
  for (std::uint64_t c = 0; c < pair.model.channels; ++c) {
    const std::uint64_t at = c * sizeof(float);
    if (kept[c]) std::memcpy(model.data() + pair.model.scales + at, base.data() + pair.base.scales + at, sizeof(float));
    report.kept += kept[c] ? 1 : 0;
  }
  report.scales += pair.model.channels;
  ++report.tensors;
}

}  // namespace

float QuantisedWeight::scale(ByteView file, std::uint64_t channel) const {
  float value = 0;
  std::memcpy(&value, file.data() + scales + channel * sizeof value, sizeof value);
  return value;
}

std::vector<QuantisedWeight> find_quantised(ByteView onnx) {
  const OnnxGraph graph = read_onnx_graph(onnx);
  std::vector<QuantisedWeight> found;
  for (const Dequantiser& node : graph.dequantisers)
    if (auto weight = weight_of_node(graph, node, onnx.data())) found.push_back(std::move(*weight));
  return found;
}

Result<RescaleReport> keep_scales(ByteView base, ByteView source, std::span<std::uint8_t> model) {
  TRY_ASSIGN(const std::vector<Pair> pairs, pairs_of(base, model));
  std::vector<std::optional<FloatWeight>> sources(pairs.size());
  if (!source.empty()) {
    const FloatSource floats(source);
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      TRY_ASSIGN(FloatWeight found, floats.weights_of(model, pairs[i].model));
      sources[i] = std::move(found);
    }
  }
  RescaleReport report;
  for (std::size_t i = 0; i < pairs.size(); ++i)
    rescale(base, pairs[i], Weights(model, pairs[i].model, sources[i]), model, report);
  return report;
}

}  // namespace drover::delta
