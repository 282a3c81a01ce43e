#include "common/crypto/content_key.h"

#include <algorithm>
#include <new>

#include "common/crypto/sodium_impl.h"

namespace drover::crypto {
namespace {

// Not a text: sodium takes exactly eight characters.
constexpr char kContext[crypto_kdf_CONTEXTBYTES + 1] = "drvcrypt";
constexpr std::size_t kShown = 12;  // digits of an id in a message

static_assert(kContentKeySize == crypto_kdf_KEYBYTES);

}  // namespace

SecretBytes::SecretBytes() {
  need_sodium();
  memory_.reset(static_cast<std::uint8_t*>(sodium_malloc(kContentKeySize)));
  if (!memory_) throw std::bad_alloc();
}

void SecretBytes::Free::operator()(std::uint8_t* memory) const { sodium_free(memory); }

ContentKey ContentKey::generate(Rng& rng) {
  ContentKey key;
  rng.fill(key.secret_.bytes());
  return key;
}

Result<ContentKey> ContentKey::from_bytes(ByteView bytes) {
  if (bytes.size() != kContentKeySize) return Error(Code::malformed, "a content key has 32 bytes");
  ContentKey key;
  std::copy(bytes.begin(), bytes.end(), key.secret_.bytes().begin());
  return key;
}

SecretBytes ContentKey::derive(Use use) const {
  SecretBytes derived;
  crypto_kdf_derive_from_key(derived.bytes().data(), derived.bytes().size(), static_cast<std::uint64_t>(use), kContext,
                             secret_.bytes().data());
  return derived;
}

std::string ContentKey::id() const {
  const SecretBytes named = derive(Use::id);
  return to_hex(named.bytes());
}

Status check_content_key(const ContentKey& key, std::string_view id) {
  const std::string has = key.id();
  if (has == id) return {};
  return Error(Code::unknown_key, "the content key is " + has.substr(0, kShown) + "..., and the package wants " +
                                            std::string(id.substr(0, kShown)) + "...");
}

}  // namespace drover::crypto
