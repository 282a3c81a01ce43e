// Bytes, hexadecimal and base64url text.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace drover {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Lower-case hexadecimal, two digits a byte.
std::string to_hex(ByteView bytes);
// Takes lower and upper case; malformed for an odd length or another character.
Result<Bytes> from_hex(std::string_view text);

// base64url without padding (RFC 4648, section 5), strict: no white space, no stray bits in the last character.
std::string to_base64url(ByteView bytes);
Result<Bytes> from_base64url(std::string_view text);

}  // namespace drover
