// The frequencies that a context has when a delta does not say them: how residuals are distributed around a prediction
// of known scale and fraction. Computed with additions, products, quotients of IEEE doubles in a fixed order, so that
// every architecture has the same. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/delta/rans.h"

namespace drover::delta {

// Bit 0: with the noise that rounding the base left, half an ulp to either side, on top. Bit 1: heavy tails.
inline constexpr std::size_t kShapes = 4;

using Frequencies = std::array<std::uint16_t, kSymbols>;

// Of a context of tensor_model.h, summing to kProbTotal; the escape has at least 1.
Frequencies default_frequencies(std::size_t shape, std::size_t context);

}  // namespace drover::delta
