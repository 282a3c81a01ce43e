// Small tools for secrets: comparing, wiping, and making token text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/rng/rng.h"

namespace drover::crypto {

// Time depends on the lengths only. Different lengths: false.
bool equal_constant_time(ByteView a, ByteView b);
inline bool equal_constant_time(std::string_view a, std::string_view b) {
  return equal_constant_time(as_bytes(a), as_bytes(b));
}

// Overwrites memory in a way that the optimiser keeps.
void wipe(std::span<std::uint8_t> bytes);
void wipe(std::string& text);

inline constexpr std::size_t kTokenBytes = 32;  // 256 bits: nobody guesses it, whatever the rate

// `prefix` followed by 32 random bytes in base64url: random_token("drv_", rng).
std::string random_token(std::string_view prefix, Rng& rng);

}  // namespace drover::crypto
