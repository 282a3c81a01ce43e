// What a delta costs, tensor by tensor. A delta knows places and nothing else: names come from a model file, the new
// one or the one that the delta starts from. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/delta/container.h"
#include "common/delta/delta.h"
#include "server/cli/style.h"

namespace drover::cli {

// Where a tensor, or a piece of it, lies in the target. Pieces of one tensor have the same number.
struct Place {
  std::size_t tensor = 0;
  std::string name;
  delta::TensorShape shape;
  std::uint64_t offset = 0, size = 0;
};
using Places = std::vector<Place>;  // in order, not overlapping

// Of a delta's target, and of its base: tensors are found again through the places in the base that the parts name, and
// what lies between two parts that moved by the same distance moved with them.
Places places_in_target(ByteView target);
Places places_through_base(ByteView base, const std::vector<delta::DeltaPart>& parts);

// What became of a tensor.
struct TensorCost {
  std::string name;                         // "@OFFSET" for numbers that nobody named; empty: what belongs to no tensor
  std::optional<delta::TensorShape> shape;  // when all of it is known
  std::vector<std::string> how;             // the ways it is coded, the one for most of its bytes first
  std::uint64_t offset = 0, bytes = 0, coded = 0;
};

// In the order of the file; what belongs to no tensor last. Bytes of the delta that several tensors share (a long copy)
// are split by their sizes, so that the sum is that of the parts.
std::vector<TensorCost> cost_of_tensors(const Places& places, const std::vector<delta::DeltaPart>& parts);

// "encoder.0" of "encoder.0.weight"; empty for a name of one word.
std::string_view layer_of(std::string_view name);

struct DeltaView {
  std::vector<TensorCost> tensors;
  std::vector<delta::DeltaPart> parts;
  std::uint64_t bytes = 0, coded = 0;  // of the target and of the whole delta
};
DeltaView view_of(const Places& places, std::vector<delta::DeltaPart> parts);

// Rows of one layer stand together under its name, what costs most first; on a terminal (`width` above 0) the beginning
// that all long names share is said once above. Beyond kLinesShown lines the rest is one row,
// unless `all`. Behind it the sums of each way of coding.
inline constexpr std::size_t kLinesShown = 40;
std::string delta_table(const DeltaView& view, bool all, const Style& style, std::size_t width);
// "5.4 MiB instead of 10.0 MiB: 46.5 % saved"
std::string delta_verdict(const DeltaView& view);
nlohmann::json delta_json(const DeltaView& view);

}  // namespace drover::cli
