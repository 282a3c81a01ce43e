// Vectors of small whole numbers beside the elements: factors, scales, gains. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/base/bytes.h"
#include "common/delta/stream.h"

namespace drover::delta {

// Numbers within +-8,000 (kMaxFactor): 32 products of two of them stay below 2^31.
inline constexpr int kMaxFactor = 8000;

void write_numbers(std::span<const std::span<const std::int16_t>> vectors, Bytes& out);
// Into vectors of known lengths; malformed for anything but what write_numbers makes.
Status read_numbers(NumberReader& in, std::span<const std::span<std::int16_t>> vectors);

}  // namespace drover::delta
