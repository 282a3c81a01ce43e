#include "common/delta/float_source.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string_view>

namespace drover::delta {
namespace {

// Squares of steps a weight. Rounding to nearest loses 1/12; quantisers that choose the direction of rounding by the
// layer's error stay below 1; weights of another tensor or training are tens of steps away.
constexpr double kMaxDistance = 1;

// What quantisers put behind a tensor's name.
constexpr std::array<std::string_view, 6> kEndings = {
    "_DequantizeLinear_Output", "_dequantized", "_quantized", "_int8", "_q", ".quantized"};

// The names under which it may stand in the float model, the likeliest first.
std::vector<std::string> names_for(const QuantisedWeight& weight) {
  std::vector<std::string> names;
  for (const std::string& name : {weight.output, weight.name}) {
    if (!name.empty()) names.push_back(name);
    for (const std::string_view ending : kEndings)
      if (name.size() > ending.size() && name.ends_with(ending))
        names.push_back(name.substr(0, name.size() - ending.size()));
  }
  return names;
}

// Whether quantising `from` with the model's scales gives the model's numbers, but for how they were rounded.
bool gives(const FloatWeight& from, ByteView model, const QuantisedWeight& weight) {
  double squares = 0;
  for (std::uint64_t i = 0; i < weight.elements; ++i) {
    const double scale = weight.scale_of(model, i);
    const double place = std::clamp(static_cast<double>(from.at(i)) / scale, -128.0, 127.0);
    const double distance = place - static_cast<std::int8_t>(model[weight.offset + i]);
    if (std::isnan(distance)) return false;
    squares += distance * distance;
  }
  return squares <= kMaxDistance * static_cast<double>(weight.elements);
}

std::string listed(const std::vector<FloatWeight>& weights) {
  constexpr std::size_t kNamed = 3;
  std::string out;
  for (std::size_t i = 0; i < std::min(kNamed, weights.size()); ++i)
    out += (i == 0 ? "\"" : ", \"") + weights[i].name + "\"";
  return weights.size() > kNamed ? out + " and others" : out;
}

Error refused(const QuantisedWeight& weight, const std::string& why) {
  return Error(Code::invalid_argument, "\"" + weight.name + "\": " + why);
}

}  // namespace

float FloatWeight::at(std::uint64_t i) const {
  float value = 0;
  std::memcpy(&value, data.data() + i * sizeof value, sizeof value);
  return value;
}

std::vector<FloatWeight> FloatSource::of_shape(const QuantisedWeight& weight) const {
  std::vector<FloatWeight> found;
  for (const auto& [name, stored] : graph_.initialisers)
    if (stored.type == kOnnxFloat && stored.dimensions == weight.dimensions &&
        stored.data.size() / sizeof(float) == weight.elements && stored.data.size() % sizeof(float) == 0)
      found.push_back({name, stored.data});
  return found;
}

Result<FloatWeight> FloatSource::weights_of(ByteView model, const QuantisedWeight& weight) const {
  const std::vector<FloatWeight> candidates = of_shape(weight);
  if (candidates.empty())
    return refused(weight,
                   "the float model stores no fp32 weights of its shape; it must be the same network as ONNX, "
                   "with its weights in the file");
  for (const std::string& name : names_for(weight)) {
    const auto named = std::find_if(candidates.begin(), candidates.end(), [&](auto& one) { return one.name == name; });
    if (named == candidates.end()) continue;
    if (gives(*named, model, weight)) return *named;
    return refused(weight, "was not quantised from the float model's \"" + name +
                               "\": it must be the very model that was quantised, not another training");
  }
  std::vector<FloatWeight> fitting;
  std::copy_if(candidates.begin(), candidates.end(), std::back_inserter(fitting),
               [&](const FloatWeight& one) { return gives(one, model, weight); });
  if (fitting.empty())
    return refused(weight, "was quantised from none of the float model's weights of its shape (" + listed(candidates) +
                               "): it must be the very model that was quantised");
  const bool alike = std::all_of(fitting.begin(), fitting.end(), [&](const FloatWeight& one) {
    return std::equal(one.data.begin(), one.data.end(), fitting[0].data.begin());
  });
  if (!alike)
    return refused(weight, "may have been quantised from any of " + listed(fitting) +
                               ": give one of them its name in the float model");
  return fitting[0];
}

}  // namespace drover::delta
