// Keys to which secrets are sealed (X25519, libsodium's sealed boxes): the server's wrapping key and each device's.
// Apart from the identity: that one may live in a chip that signs and cannot decrypt.
//
// On disk, mode 0600: {"version":1,"keytype":"x25519","public":hex,"private":hex}
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/content_key.h"
#include "common/crypto/hash.h"
#include "common/rng/rng.h"

namespace drover::crypto {

using BoxPublicKey = std::array<std::uint8_t, 32>;

// Movable only; the secret is wiped when the object ends.
class BoxKey {
 public:
  static BoxKey generate(Rng& rng);
  // Creates the file with mode 0600 and syncs it; never overwrites (already_exists).
  Status save(const std::filesystem::path& file) const;
  // not_found, malformed, unsupported; permission_denied when others may read it.
  static Result<BoxKey> load(const std::filesystem::path& file);

  const BoxPublicKey& public_key() const { return public_; }
  // unknown_key: sealed to another key, or damaged.
  Result<Bytes> open(ByteView sealed) const;

 private:
  BoxKey() = default;
  BoxPublicKey public_{};
  SecretBytes secret_;
};

// Anybody may seal; only who has the key opens.
Bytes seal(const BoxPublicKey& to, ByteView secret);
// 64 hexadecimal digits; malformed otherwise.
Result<BoxPublicKey> parse_box_public_key(std::string_view hex);

// A content key on its way, bound to the package that it is for.
Bytes seal_content_key(const ContentKey& key, const Digest& package, const BoxPublicKey& to);
// unknown_key: sealed to another key, damaged, or for another package.
Result<ContentKey> open_content_key(ByteView sealed, const Digest& package, const BoxKey& key);
inline constexpr std::size_t kSealedKeySize = 120;

}  // namespace drover::crypto
