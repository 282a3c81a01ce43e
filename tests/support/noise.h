// Bytes that look random and are the same each time, for files whose content does not matter. For tests.
#pragma once

#include <cstdint>
#include <string>

#include "common/rng/rng.h"

namespace drover {

inline std::string noise(std::size_t size, unsigned seed) {
  std::string bytes(size, '\0');
  SeededRng rng(seed);
  rng.fill({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  return bytes;
}

}  // namespace drover
