#include "server/cli/delta_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "server/cli/human.h"
#include "server/cli/table.h"

namespace drover::cli {
namespace {

using Json = nlohmann::json;
using delta::DeltaPart;
using delta::SegmentKind;

constexpr const char* kNoTensor = "(no tensor)";
constexpr std::size_t kRoomForNames = 24;  // beside the other columns, where there are 80

std::string kind_word(const DeltaPart& part) {
  switch (part.kind) {
    case SegmentKind::copy:
      return "copied";
    case SegmentKind::raw:
      return "as it is";
    case SegmentKind::zstd:
    case SegmentKind::stretch:
      return "zstd";
    case SegmentKind::prefix:
      return "zstd on base";
    default:
      return part.mode == delta::TensorMode::grid         ? "on a grid"
             : part.mode == delta::TensorMode::difference ? "difference"
                                                          : "alone";
  }
}

std::string_view type_word(delta::ElementType type) {
  constexpr std::string_view kWords[] = {"fp32", "fp16", "bf16", "int8"};
  return kWords[static_cast<std::size_t>(type)];
}

std::string shape_word(const delta::TensorShape& shape) {
  return shape.rows == 1 ? std::to_string(shape.columns) : fmt::format("{}x{}", shape.rows, shape.columns);
}

std::string saved_percent(std::uint64_t bytes, std::uint64_t coded) {
  if (bytes == 0) return "";
  return fmt::format("{:.1f} %", 100 * (1 - static_cast<double>(coded) / static_cast<double>(bytes)));
}

// --- names -----------------------------------------------------------------------------------------------------------
// A stretch of the target and where it stood in the base.
struct Shift {
  std::uint64_t offset = 0, size = 0, base = 0;
  std::uint64_t end() const { return offset + size; }
};

// The parts with a counterpart, and the gaps between two that moved alike.
std::vector<Shift> shifts_of(const std::vector<DeltaPart>& parts) {
  std::vector<Shift> shifts;
  for (const DeltaPart& part : parts) {
    if (!part.base) continue;
    if (!shifts.empty() && part.offset - shifts.back().offset == *part.base - shifts.back().base) {
      shifts.back().size = part.offset + part.plain - shifts.back().offset;
      continue;
    }
    shifts.push_back({part.offset, part.plain, *part.base});
  }
  return shifts;
}

// --- costs -----------------------------------------------------------------------------------------------------------
// Collects pieces of one row.
struct Collected {
  TensorCost cost;
  std::map<std::string, std::uint64_t> ways;  // bytes

  void add(const DeltaPart& part, std::uint64_t bytes, std::uint64_t coded) {
    cost.bytes += bytes;
    cost.coded += coded;
    ways[kind_word(part)] += bytes;
  }
  TensorCost finish() {
    std::vector<std::pair<std::string, std::uint64_t>> sorted(ways.begin(), ways.end());
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    for (auto& [way, bytes] : sorted) cost.how.push_back(way);
    if (cost.shape && cost.shape->bytes() != cost.bytes) cost.shape.reset();
    return std::move(cost);
  }
};

// What of a part's coded bytes falls to its bytes before `end`.
std::uint64_t coded_before(const DeltaPart& part, std::uint64_t end) {
  if (end >= part.plain) return part.coded;
  return static_cast<std::uint64_t>(static_cast<double>(part.coded) * static_cast<double>(end) /
                                    static_cast<double>(part.plain));
}

class Costs {
 public:
  explicit Costs(const Places& places) : places_(places) {}

  void add(const DeltaPart& part) {
    const std::uint64_t end = part.offset + part.plain;
    std::uint64_t at = part.offset;
    while (next_ < places_.size() && places_[next_].offset + places_[next_].size <= at) ++next_;
    for (std::size_t i = next_; i < places_.size() && places_[i].offset < end; ++i) {
      const Place& place = places_[i];
      const std::uint64_t first = std::max(at, place.offset), last = std::min(end, place.offset + place.size);
      if (first > at) take(part, at, first, nameless(part, at));
      take(part, first, last, named(place));
      at = last;
    }
    if (end > at) take(part, at, end, nameless(part, at));
  }

  std::vector<TensorCost> finish() {
    std::vector<TensorCost> out;
    for (Collected& one : rows_) out.push_back(one.finish());
    std::stable_sort(out.begin(), out.end(),
                     [](const TensorCost& a, const TensorCost& b) { return a.offset < b.offset; });
    if (other_.cost.bytes + other_.cost.coded > 0) out.push_back(other_.finish());
    return out;
  }

 private:
  static constexpr std::size_t kOther = SIZE_MAX;

  void take(const DeltaPart& part, std::uint64_t first, std::uint64_t last, std::size_t row) {
    Collected& into = row == kOther ? other_ : rows_[row];
    into.add(part, last - first, coded_before(part, last - part.offset) - coded_before(part, first - part.offset));
  }

  std::size_t named(const Place& place) {
    const auto [at, added] = row_of_.emplace(place.tensor, rows_.size());
    if (added) {
      rows_.emplace_back();
      rows_.back().cost.name = place.name;
      rows_.back().cost.shape = place.shape;
      rows_.back().cost.offset = place.offset;
    }
    return at->second;
  }

  // Numbers without a name are shown by their place, and everything else together.
  std::size_t nameless(const DeltaPart& part, std::uint64_t at) {
    if (part.kind != SegmentKind::tensor) return kOther;
    const auto [row, added] = row_at_.emplace(at, rows_.size());
    if (added) {
      rows_.emplace_back();
      rows_.back().cost.name = fmt::format("@{}", at);
      rows_.back().cost.shape = delta::TensorShape{part.type, part.rows, part.columns};
      rows_.back().cost.offset = at;
    }
    return row->second;
  }

  const Places& places_;
  std::size_t next_ = 0;
  std::vector<Collected> rows_;
  std::map<std::size_t, std::size_t> row_of_;
  std::map<std::uint64_t, std::size_t> row_at_;
  Collected other_;
};

// --- the table -------------------------------------------------------------------------------------------------------
struct Layer {
  std::string name;  // empty: a tensor by itself
  std::vector<const TensorCost*> tensors;
  std::uint64_t bytes = 0, coded = 0;
  std::size_t lines() const { return tensors.size() > 1 ? tensors.size() + 1 : 1; }
};

// What costs most first, layers and the tensors of each.
std::vector<Layer> layers_of(const std::vector<TensorCost>& tensors) {
  std::vector<Layer> layers;
  std::map<std::string, std::size_t> known;
  for (const TensorCost& tensor : tensors) {
    const std::string layer(layer_of(tensor.name));
    const std::string alone = fmt::format("\n{}", layers.size());
    const auto [at, added] = known.emplace(layer.empty() ? alone : layer, layers.size());
    if (added) layers.push_back({layer, {}, 0, 0});
    Layer& into = layers[at->second];
    into.tensors.push_back(&tensor);
    into.bytes += tensor.bytes;
    into.coded += tensor.coded;
  }
  const auto dearer = [](const auto& a, const auto& b) { return a.coded > b.coded; };
  for (Layer& layer : layers)
    std::stable_sort(layer.tensors.begin(), layer.tensors.end(), [&](auto* a, auto* b) { return dearer(*a, *b); });
  std::stable_sort(layers.begin(), layers.end(), dearer);
  return layers;
}

void add_sum(Table& table, std::string_view name, std::uint64_t bytes, std::uint64_t coded, Colour colour) {
  table.add({Cell(name, colour), "", "", "", Cell(human_bytes(bytes), colour), Cell(human_bytes(coded), colour),
             Cell(saved_percent(bytes, coded), colour)});
}

void add_tensor(Table& table, const TensorCost& tensor, std::string name) {
  const std::string how = tensor.how.empty() ? "" : tensor.how[0] + (tensor.how.size() > 1 ? " +" : "");
  table.add({std::move(name), std::string(tensor.shape ? type_word(tensor.shape->type) : ""),
             tensor.shape ? shape_word(*tensor.shape) : std::string(), how, human_bytes(tensor.bytes),
             human_bytes(tensor.coded), saved_percent(tensor.bytes, tensor.coded)});
}

// How a layer is called in the table.
std::string_view label_of(const Layer& layer) {
  return layer.tensors.size() > 1 ? std::string_view(layer.name) : std::string_view(layer.tensors[0]->name);
}
bool has_name(const Layer& layer) { return !label_of(layer).empty() && label_of(layer)[0] != '@'; }

// What all names begin with, up to a full stop or a slash; empty unless leaving it out lets names fit.
std::string_view shared_beginning(const std::vector<Layer>& layers) {
  std::optional<std::string_view> shared;
  std::size_t named = 0, longest = 0;
  for (const Layer& layer : layers) {
    if (!has_name(layer)) continue;
    const std::string_view label = label_of(layer);
    ++named;
    longest = std::max(longest, label.size());
    if (!shared) shared = label;
    const auto differs = std::mismatch(shared->begin(), shared->end(), label.begin(), label.end()).first;
    shared = shared->substr(0, static_cast<std::size_t>(differs - shared->begin()));
  }
  if (named < 2 || longest <= kRoomForNames) return {};
  return shared->substr(0, shared->find_last_of("./") + 1);
}

void add_layer(Table& table, const Layer& layer, std::size_t left_out) {
  const std::string label(has_name(layer) ? label_of(layer).substr(left_out) : label_of(layer));
  if (layer.tensors.size() == 1) return add_tensor(table, *layer.tensors[0], label.empty() ? kNoTensor : label);
  add_sum(table, label, layer.bytes, layer.coded, Colour::bold);
  for (const TensorCost* tensor : layer.tensors)
    add_tensor(table, *tensor, "  " + tensor->name.substr(layer.name.size() + 1));
}

std::string tensors_table(const std::vector<TensorCost>& tensors, bool all, const Style& style, std::size_t width) {
  Table table({{"TENSOR", Align::left, true, true},
               {"TYPE"},
               {"SHAPE", Align::right},
               {"HOW"},
               {"SIZE", Align::right},
               {"SENT", Align::right},
               {"SAVED", Align::right}});
  std::size_t lines = 0;
  Layer rest;
  const std::vector<Layer> layers = layers_of(tensors);
  const std::string_view beginning = width == 0 ? std::string_view() : shared_beginning(layers);
  for (const Layer& layer : layers) {
    // The last line is for the rest.
    if (!all && (!rest.tensors.empty() || (lines > 0 && lines + layer.lines() > kLinesShown - 1))) {
      rest.tensors.insert(rest.tensors.end(), layer.tensors.begin(), layer.tensors.end());
      rest.bytes += layer.bytes;
      rest.coded += layer.coded;
      continue;
    }
    add_layer(table, layer, beginning.size());
    lines += layer.lines();
  }
  if (!rest.tensors.empty())
    add_sum(table, fmt::format("{} more (--all)", rest.tensors.size()), rest.bytes, rest.coded, Colour::dim);
  const std::string said = beginning.empty() ? "" : "all names begin with " + printable(beginning) + "\n";
  return style(Colour::dim, said) + table.render(style, width);
}

struct Way {
  std::string how;
  std::size_t tensors = 0;
  std::uint64_t bytes = 0, coded = 0;
};

std::vector<Way> ways_of(const DeltaView& view) {
  std::map<std::string, Way> ways;
  std::uint64_t coded = 0;
  for (const DeltaPart& part : view.parts) {
    Way& way = ways[kind_word(part)];
    way.bytes += part.plain;
    way.coded += part.coded;
    coded += part.coded;
  }
  for (const TensorCost& tensor : view.tensors)
    if (!tensor.name.empty() && !tensor.how.empty()) ++ways[tensor.how[0]].tensors;
  std::vector<Way> out;
  for (auto& [how, way] : ways) {
    out.push_back(way);
    out.back().how = how;
  }
  std::stable_sort(out.begin(), out.end(), [](const Way& a, const Way& b) { return a.coded > b.coded; });
  out.push_back({"header", 0, 0, view.coded - std::min(view.coded, coded)});
  return out;
}

std::string ways_table(const DeltaView& view, const Style& style, std::size_t width) {
  Table table(
      {{"HOW"}, {"TENSORS", Align::right}, {"SIZE", Align::right}, {"SENT", Align::right}, {"SAVED", Align::right}});
  std::size_t tensors = 0;
  for (const Way& way : ways_of(view)) {
    tensors += way.tensors;
    table.add({way.how, way.tensors > 0 ? std::to_string(way.tensors) : std::string(),
               way.bytes > 0 ? human_bytes(way.bytes) : std::string(), human_bytes(way.coded),
               saved_percent(way.bytes, way.coded)});
  }
  table.add({Cell("total", Colour::bold), Cell(std::to_string(tensors), Colour::bold),
             Cell(human_bytes(view.bytes), Colour::bold), Cell(human_bytes(view.coded), Colour::bold),
             Cell(saved_percent(view.bytes, view.coded), Colour::bold)});
  return table.render(style, width);
}

Json part_json(const DeltaPart& part) {
  Json out = {{"how", kind_word(part)}, {"offset", part.offset}, {"bytes", part.plain}, {"coded", part.coded}};
  if (part.base) out["base"] = *part.base;
  if (part.kind == SegmentKind::tensor)
    out.update({{"type", type_word(part.type)}, {"rows", part.rows}, {"columns", part.columns}, {"rank", part.rank}});
  return out;
}

Json tensor_json(const TensorCost& tensor) {
  Json out = {{"name", tensor.name.empty() ? Json() : Json(tensor.name)},
              {"how", tensor.how},
              {"bytes", tensor.bytes},
              {"coded", tensor.coded}};
  if (!tensor.name.empty()) out["offset"] = tensor.offset;
  if (tensor.shape)
    out.update(
        {{"type", type_word(tensor.shape->type)}, {"rows", tensor.shape->rows}, {"columns", tensor.shape->columns}});
  return out;
}

}  // namespace

Places places_in_target(ByteView target) {
  Places places;
  for (delta::TensorSpan& tensor : delta::find_tensors(target))
    places.push_back({places.size(), std::move(tensor.name), tensor.shape, tensor.offset, tensor.shape.bytes()});
  for (Place& place : places)
    if (place.name.empty()) place.name = fmt::format("@{}", place.offset);
  return places;
}

Places places_through_base(ByteView base, const std::vector<DeltaPart>& parts) {
  const Places tensors = places_in_target(base);
  Places found;
  for (const Shift& shift : shifts_of(parts)) {
    const std::uint64_t end = shift.base + shift.size;
    auto at = std::partition_point(tensors.begin(), tensors.end(),
                                   [&](const Place& t) { return t.offset + t.size <= shift.base; });
    for (; at != tensors.end() && at->offset < end; ++at) {
      const std::uint64_t first = std::max(at->offset, shift.base), last = std::min(at->offset + at->size, end);
      found.push_back({at->tensor, at->name, at->shape, shift.offset + (first - shift.base), last - first});
    }
  }
  return found;
}

std::vector<TensorCost> cost_of_tensors(const Places& places, const std::vector<DeltaPart>& parts) {
  Costs costs(places);
  for (const DeltaPart& part : parts) costs.add(part);
  return costs.finish();
}

std::string_view layer_of(std::string_view name) {
  const std::size_t at = name.find_last_of("./");
  return at == std::string_view::npos || at + 1 == name.size() ? std::string_view() : name.substr(0, at);
}

DeltaView view_of(const Places& places, std::vector<DeltaPart> parts) {
  DeltaView view{.tensors = cost_of_tensors(places, parts), .parts = std::move(parts), .bytes = 0, .coded = 0};
  view.coded = delta::kHeaderBytes + 1;
  for (const DeltaPart& part : view.parts) {
    view.bytes += part.plain;
    view.coded += part.coded;
  }
  return view;
}

std::string delta_table(const DeltaView& view, bool all, const Style& style, std::size_t width) {
  return tensors_table(view.tensors, all, style, width) + "\n" + ways_table(view, style, width) + "\n";
}

std::string delta_verdict(const DeltaView& view) {
  if (view.coded <= view.bytes)
    return fmt::format("{} instead of {}: {} saved\n", human_bytes(view.coded), human_bytes(view.bytes),
                       saved_percent(view.bytes, view.coded));
  return fmt::format("{} for {}: nothing saved\n", human_bytes(view.coded), human_bytes(view.bytes));
}

Json delta_json(const DeltaView& view) {
  Json tensors = Json::array(), ways = Json::array(), parts = Json::array();
  for (const TensorCost& tensor : view.tensors) tensors.push_back(tensor_json(tensor));
  for (const Way& way : ways_of(view))
    ways.push_back({{"how", way.how}, {"tensors", way.tensors}, {"bytes", way.bytes}, {"coded", way.coded}});
  for (const DeltaPart& part : view.parts) parts.push_back(part_json(part));
  return {{"bytes", view.bytes}, {"coded", view.coded}, {"tensors", tensors}, {"ways", ways}, {"parts", parts}};
}

}  // namespace drover::cli
