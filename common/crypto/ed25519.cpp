#include "common/crypto/ed25519.h"

#include <algorithm>

#include "common/crypto/hash.h"
#include "common/crypto/secret.h"
#include "common/crypto/sodium_impl.h"

namespace drover::crypto {
namespace {

constexpr std::size_t kIdDigits = 32;

}  // namespace

KeyPair KeyPair::generate(Rng& rng) {
  Seed seed;
  rng.fill(seed);
  KeyPair pair = from_seed(seed);
  wipe(seed);
  return pair;
}

KeyPair KeyPair::from_seed(const Seed& seed) {
  need_sodium();
  KeyPair pair;
  crypto_sign_seed_keypair(pair.public_.data(), pair.secret_.data(), seed.data());
  return pair;
}

KeyPair::~KeyPair() { wipe(secret_); }

KeyPair::KeyPair(KeyPair&& other) noexcept : public_(other.public_), secret_(other.secret_) { wipe(other.secret_); }

KeyPair& KeyPair::operator=(KeyPair&& other) noexcept {
  if (this == &other) return *this;
  public_ = other.public_;
  secret_ = other.secret_;
  wipe(other.secret_);
  return *this;
}

Seed KeyPair::seed() const {
  Seed seed;
  crypto_sign_ed25519_sk_to_seed(seed.data(), secret_.data());
  return seed;
}

Signature KeyPair::sign(ByteView message) const {
  Signature signature;
  crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(), secret_.data());
  return signature;
}

bool verify(const PublicKey& key, ByteView message, ByteView signature) {
  need_sodium();
  return signature.size() == Signature{}.size() &&
         crypto_sign_verify_detached(signature.data(), message.data(), message.size(), key.data()) == 0;
}

Result<PublicKey> parse_public_key(std::string_view hex) {
  auto bytes = from_hex(hex);
  PublicKey key{};
  if (!bytes || bytes->size() != key.size())
    return Error(Code::malformed, "an Ed25519 public key has 64 hexadecimal digits");
  std::copy(bytes->begin(), bytes->end(), key.begin());
  return key;
}

std::string device_id(const PublicKey& key) {
  return sha256(ByteView(key)).hex().substr(0, kIdDigits).insert(0, 1, 'd');
}

bool is_device_id(std::string_view text) {
  return text.size() == 1 + kIdDigits && text.front() == 'd' &&
         text.find_first_not_of("0123456789abcdef", 1) == std::string_view::npos;
}

}  // namespace drover::crypto
