// Which part of the target is coded against which part of the base. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/delta/container.h"

namespace drover::delta {

// A range of the target. With a shape: a tensor; `base` is where its counterpart begins in the base, if it has one.
// Without: other bytes, for which `base` is the place to look first.
struct Range {
  std::uint64_t offset = 0, size = 0;
  std::optional<std::uint64_t> base;
  std::optional<TensorShape> shape;
  std::string name;
};

// The whole target, in order and without gaps. Tensors are matched by name, else by shape in order; one that has grown
// or shrunk by rows is split. Long stretches that no description names are examined by content.
std::vector<Range> plan_ranges(ByteView base, ByteView target);

}  // namespace drover::delta
