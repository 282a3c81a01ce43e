// Internal to this folder: libsodium made ready, which also chooses its fast implementations.
#pragma once

#include <sodium.h>

#include <cstdlib>

namespace drover::crypto {

inline void need_sodium() {
  static const int ready = sodium_init();
  if (ready < 0) std::abort();
}

}  // namespace drover::crypto
