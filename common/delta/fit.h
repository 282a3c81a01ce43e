// The encoder's choice of a tensor's parameters: what the change from base to target is made of, and how far the rest
// is off. It decides sizes, never results. Pure.
#pragma once

#include <optional>

#include "common/delta/parameters.h"

namespace drover::delta {

// Both of shape.bytes(). The rank as given, or where factors should pay. nullopt, when no rank is given, for a base
// that has nothing to do with the target.
std::optional<Parameters> fit_parameters(const TensorShape& shape, ByteView base, ByteView target,
                                         std::optional<std::size_t> rank);

}  // namespace drover::delta
