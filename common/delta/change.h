// What training did to each weight of a tensor, and how much of it is not rounding. For the encoder's choices. Pure.
#pragma once

#include <vector>

#include "common/base/bytes.h"
#include "common/delta/format.h"

namespace drover::delta {

struct Change {
  std::vector<float> values;
  // 0 for elements that stand apart and those that are no numbers, less than 1 where the base and the target were
  // rounded coarsely.
  std::vector<float> weights;
  bool uniform = true;  // all weights are 1

  // As a plain decomposition takes it: elements of weight 0 are like zeros, the others are raised so that the whole is
  // as large as it would be.
  std::vector<float> weighted() const;
};

// `base` and `target` are of as many elements. Zeros of the base stand apart; those of int8 only when `zeros_apart`.
Change find_change(ElementType type, ByteView base, ByteView target, bool zeros_apart);

}  // namespace drover::delta
