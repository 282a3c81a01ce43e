// Private keys on disk, as JSON:
//   {"version":1,"keytype":"ed25519","public":hex,"private":hex}                                   without a passphrase
//   {"version":1,"keytype":"ed25519","public":hex,
//    "kdf":{"name":"argon2id13","salt":hex,"ops":n,"memory":bytes},"box":hex}                      with one
// `box` is nonce and XChaCha20-Poly1305 of the 32 secret bytes, with "public" as additional data.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/crypto/ed25519.h"
#include "common/rng/rng.h"

namespace drover::crypto {

inline constexpr std::size_t kMaxKeyFile = 4096;  // a key file has about 400 bytes
inline constexpr std::uint64_t kKdfOps = 3;       // libsodium's "moderate": about 0.7 s on a laptop
inline constexpr std::uint64_t kKdfMemory = 256u << 20;
inline constexpr std::uint64_t kMaxKdfOps = 16;  // a file that asks for more is refused, not obeyed
inline constexpr std::uint64_t kMaxKdfMemory = 1024u << 20;

struct KdfCost {
  std::uint64_t ops = kKdfOps;
  std::uint64_t memory = kKdfMemory;
};

// An empty passphrase writes the key unencrypted.
Result<std::string> encode_key(const KeyPair& key, std::string_view passphrase, Rng& rng, KdfCost cost = {});
// Errors: malformed, unsupported (version, keytype, kdf), unauthenticated (wrong passphrase, or one is needed).
Result<KeyPair> decode_key(std::string_view text, std::string_view passphrase);
// Does the file ask for a passphrase?
Result<bool> key_is_encrypted(std::string_view text);
// The public half, which needs no passphrase.
Result<PublicKey> key_public_part(std::string_view text);

// Creates the file with mode 0600 and syncs it; never overwrites (already_exists).
Status save_key_file(const std::filesystem::path& path, const KeyPair& key, std::string_view passphrase, Rng& rng,
                     KdfCost cost = {});
// The text of a key file. A file that others may read or write (mode & 077) is refused with permission_denied and the
// command that puts it right; symbolic links are followed.
Result<std::string> read_key_file(const std::filesystem::path& path);
// The same for other secrets; `what` is the sentence's noun ("a PIN").
Result<std::string> read_secret_file(const std::filesystem::path& path, std::string_view what);
Result<KeyPair> load_key_file(const std::filesystem::path& path, std::string_view passphrase);

}  // namespace drover::crypto
