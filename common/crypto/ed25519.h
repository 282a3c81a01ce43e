// Ed25519 (RFC 8032): the kind of every key that the project makes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/rng/rng.h"

namespace drover::crypto {

using PublicKey = std::array<std::uint8_t, 32>;
using Seed = std::array<std::uint8_t, 32>;
using Signature = std::array<std::uint8_t, 64>;

// A signing key. Movable only; the secret is wiped when the object ends.
class KeyPair {
 public:
  static KeyPair generate(Rng& rng);
  static KeyPair from_seed(const Seed& seed);
  ~KeyPair();
  KeyPair(KeyPair&& other) noexcept;
  KeyPair& operator=(KeyPair&& other) noexcept;
  KeyPair(const KeyPair&) = delete;
  KeyPair& operator=(const KeyPair&) = delete;

  const PublicKey& public_key() const { return public_; }
  // The 32 secret bytes, for key files only: whoever asks for a copy wipes it (wipe()).
  Seed seed() const;
  Signature sign(ByteView message) const;
  Signature sign(std::string_view message) const { return sign(as_bytes(message)); }

 private:
  KeyPair() = default;
  PublicKey public_{};
  std::array<std::uint8_t, 64> secret_{};
};

// False for a wrong signature, a wrong length, a key of small order and a non-canonical encoding alike.
bool verify(const PublicKey& key, ByteView message, ByteView signature);

// 64 hexadecimal digits; malformed otherwise.
Result<PublicKey> parse_public_key(std::string_view hex);

// The name of the device that holds this key: "d" and the first 32 hexadecimal digits of the key's SHA-256.
std::string device_id(const PublicKey& key);
// True for text of that form.
bool is_device_id(std::string_view text);

}  // namespace drover::crypto
