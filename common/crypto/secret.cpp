#include "common/crypto/secret.h"

#include <array>

#include "common/crypto/sodium_impl.h"

namespace drover::crypto {

bool equal_constant_time(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || sodium_memcmp(a.data(), b.data(), a.size()) == 0);
}

void wipe(std::span<std::uint8_t> bytes) {
  if (!bytes.empty()) sodium_memzero(bytes.data(), bytes.size());
}

void wipe(std::string& text) {
  if (!text.empty()) sodium_memzero(text.data(), text.size());
  text.clear();
}

std::string random_token(std::string_view prefix, Rng& rng) {
  std::array<std::uint8_t, kTokenBytes> raw;
  rng.fill(raw);
  std::string token = std::string(prefix) + to_base64url(raw);
  wipe(raw);
  return token;
}

}  // namespace drover::crypto
