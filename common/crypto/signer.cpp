#include "common/crypto/signer.h"

#include <algorithm>

namespace drover::crypto {
namespace {

constexpr std::size_t kPemLine = 48;  // bytes: 64 characters, as everywhere
// SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING } up to the point (RFC 5480).
constexpr std::array<std::uint8_t, 26> kP256Prefix = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                                      0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                                      0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};

std::string base64(ByteView bytes) {
  std::string text = to_base64url(bytes);
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  text.resize((text.size() + 3) / 4 * 4, '=');
  return text;
}

std::string pem_of_point(ByteView point) {
  Bytes der(kP256Prefix.begin(), kP256Prefix.end());
  der.insert(der.end(), point.begin(), point.end());
  std::string pem = "-----BEGIN PUBLIC KEY-----\n";
  for (std::size_t at = 0; at < der.size(); at += kPemLine)
    pem += base64(ByteView(der).subspan(at, std::min(kPemLine, der.size() - at))) + "\n";
  return pem + "-----END PUBLIC KEY-----\n";
}

class KeyPairSigner final : public Signer {
 public:
  explicit KeyPairSigner(KeyPair pair) : pair_(std::move(pair)), half_(crypto::public_half(pair_.public_key())) {}
  const PublicHalf& public_half() const override { return half_; }
  Result<Bytes> sign(ByteView message) override {
    const Signature signature = pair_.sign(message);
    return Bytes(signature.begin(), signature.end());
  }

 private:
  KeyPair pair_;
  PublicHalf half_;
};

}  // namespace

std::string_view to_text(Scheme scheme) { return scheme == Scheme::ed25519 ? "ed25519" : "ecdsa-sha2-nistp256"; }

PublicHalf public_half(const PublicKey& key) {
  return {.scheme = Scheme::ed25519, .bytes = Bytes(key.begin(), key.end())};
}

std::string public_text(const PublicHalf& key) {
  return key.scheme == Scheme::ed25519 ? to_hex(key.bytes) : pem_of_point(key.bytes);
}

Result<PublicKey> ed25519_key(const PublicHalf& key) {
  PublicKey out{};
  if (key.scheme != Scheme::ed25519 || key.bytes.size() != out.size())
    return Error(Code::unsupported, "it is a key of type " + std::string(to_text(key.scheme)) + ", not ed25519");
  std::copy(key.bytes.begin(), key.bytes.end(), out.begin());
  return out;
}

std::unique_ptr<Signer> make_signer(KeyPair key) { return std::make_unique<KeyPairSigner>(std::move(key)); }

}  // namespace drover::crypto
