#include "common/crypto/paseto.h"

#include <algorithm>

#include "common/base/bytes.h"
#include "common/crypto/secret.h"
#include "common/crypto/sodium_impl.h"

namespace drover::crypto {
namespace {

constexpr std::string_view kHeader = "v4.local.";
constexpr std::string_view kEncryptionLabel = "paseto-encryption-key";
constexpr std::string_view kAuthenticationLabel = "paseto-auth-key-for-aead";
constexpr std::size_t kNonceSize = 32;
constexpr std::size_t kMacSize = 32;
constexpr std::size_t kStreamNonceSize = crypto_stream_xchacha20_NONCEBYTES;
using Mac = std::array<std::uint8_t, kMacSize>;

// Encryption key (32 bytes), stream nonce (24), authentication key (32): all wiped at the end.
struct Keys {
  std::array<std::uint8_t, 32 + kStreamNonceSize> encryption;
  std::array<std::uint8_t, 32> authentication;
  ~Keys() {
    wipe(encryption);
    wipe(authentication);
  }
};

void derive(std::span<std::uint8_t> out, const LocalKey& key, std::string_view label, ByteView nonce) {
  std::array<std::uint8_t, 64> message;
  auto end = std::copy(label.begin(), label.end(), message.begin());
  end = std::copy(nonce.begin(), nonce.end(), end);
  crypto_generichash(out.data(), out.size(), message.data(), static_cast<std::size_t>(end - message.begin()),
                     key.data(), key.size());
}

void split(Keys& keys, const LocalKey& key, ByteView nonce) {
  need_sodium();
  derive(keys.encryption, key, kEncryptionLabel, nonce);
  derive(keys.authentication, key, kAuthenticationLabel, nonce);
}

void xor_stream(const Keys& keys, ByteView in, std::uint8_t* out) {
  crypto_stream_xchacha20_xor(out, in.data(), in.size(), keys.encryption.data() + 32, keys.encryption.data());
}

// Pre-authentication encoding: the count of the pieces, then each with its length, so that no two lists look alike.
class Authenticator {
 public:
  Authenticator(const Keys& keys, std::uint64_t pieces) {
    crypto_generichash_init(&state_, keys.authentication.data(), keys.authentication.size(), kMacSize);
    number(pieces);
  }
  void piece(ByteView bytes) {
    number(bytes.size());
    crypto_generichash_update(&state_, bytes.data(), bytes.size());
  }
  Mac finish() {
    Mac mac;
    crypto_generichash_final(&state_, mac.data(), mac.size());
    return mac;
  }

 private:
  void number(std::uint64_t value) {
    std::array<std::uint8_t, 8> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(value >> (8 * i));
    bytes.back() &= 0x7f;
    crypto_generichash_update(&state_, bytes.data(), bytes.size());
  }
  crypto_generichash_state state_;
};

Mac authenticate(const Keys& keys, ByteView nonce, ByteView cipher, std::string_view footer,
                 std::string_view implicit) {
  Authenticator authenticator(keys, 5);
  for (ByteView piece : {as_bytes(kHeader), nonce, cipher, as_bytes(footer), as_bytes(implicit)})
    authenticator.piece(piece);
  return authenticator.finish();
}

Error invalid() { return {Code::unauthenticated, "the token is not valid here"}; }

}  // namespace

LocalKey make_local_key(Rng& rng) {
  LocalKey key;
  rng.fill(key);
  return key;
}

std::string seal_local(const LocalKey& key, std::string_view payload, std::string_view footer,
                       std::string_view implicit, Rng& rng) {
  Bytes body(kNonceSize + payload.size() + kMacSize);
  const std::span<std::uint8_t> nonce(body.data(), kNonceSize);
  const std::span<std::uint8_t> cipher(body.data() + kNonceSize, payload.size());
  rng.fill(nonce);
  Keys keys;
  split(keys, key, nonce);
  xor_stream(keys, as_bytes(payload), cipher.data());
  const Mac mac = authenticate(keys, nonce, cipher, footer, implicit);
  std::copy(mac.begin(), mac.end(), body.end() - kMacSize);
  std::string token(kHeader);
  token += to_base64url(body);
  if (!footer.empty()) token.append(1, '.').append(to_base64url(as_bytes(footer)));
  return token;
}

Result<OpenedLocal> open_local(const LocalKey& key, std::string_view token, std::string_view implicit) {
  if (token.size() > kMaxLocalToken || !token.starts_with(kHeader)) return invalid();
  token.remove_prefix(kHeader.size());
  OpenedLocal opened;
  if (const auto dot = token.find('.'); dot != std::string_view::npos) {
    const auto footer = from_base64url(token.substr(dot + 1));
    // A dot with nothing behind it would be a second spelling of a token without a footer.
    if (!footer || footer->empty()) return invalid();
    opened.footer = as_text(*footer);
    token = token.substr(0, dot);
  }
  const auto body = from_base64url(token);
  if (!body || body->size() < kNonceSize + kMacSize) return invalid();
  const ByteView nonce = ByteView(*body).first(kNonceSize);
  const ByteView cipher = ByteView(*body).subspan(kNonceSize, body->size() - kNonceSize - kMacSize);
  Keys keys;
  split(keys, key, nonce);
  const Mac mac = authenticate(keys, nonce, cipher, opened.footer, implicit);
  if (!equal_constant_time(ByteView(mac), ByteView(*body).last(kMacSize))) return invalid();
  opened.payload.resize(cipher.size());
  xor_stream(keys, cipher, reinterpret_cast<std::uint8_t*>(opened.payload.data()));
  return opened;
}

}  // namespace drover::crypto
