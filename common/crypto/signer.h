// Who can sign: a key pair in memory (out of a key file), or a key that never leaves its token (pkcs11.h). Whoever
// signs takes a Signer and does not know which of them it is.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/ed25519.h"

namespace drover::crypto {

// Ed25519 is what the project makes. P-256 is for keys that live in hardware which knows nothing else.
enum class Scheme : std::uint8_t { ed25519, ecdsa_p256 };
// TUF's name of it: "ed25519", "ecdsa-sha2-nistp256".
std::string_view to_text(Scheme scheme);

struct PublicHalf {
  Scheme scheme = Scheme::ed25519;
  Bytes bytes;  // Ed25519: 32 bytes. P-256: 0x04, x and y (65 bytes)

  bool operator==(const PublicHalf&) const = default;
};
PublicHalf public_half(const PublicKey& key);
// Ed25519: 64 hexadecimal digits. P-256: a PEM SubjectPublicKeyInfo. What TUF metadata carries.
std::string public_text(const PublicHalf& key);
// unsupported when it is no Ed25519 key.
Result<PublicKey> ed25519_key(const PublicHalf& key);

class Signer {
 public:
  virtual ~Signer() = default;
  virtual const PublicHalf& public_half() const = 0;
  // Ed25519: 64 bytes. P-256: DER, over the message's SHA-256. Deterministic for Ed25519 only. A key in memory always
  // answers; one in a token gives unavailable when the token is gone, and what else pkcs11.h lists. May block as long
  // as the token takes. Not thread-safe.
  virtual Result<Bytes> sign(ByteView message) = 0;
  Result<Bytes> sign(std::string_view message) { return sign(as_bytes(message)); }
};

std::unique_ptr<Signer> make_signer(KeyPair key);

}  // namespace drover::crypto
