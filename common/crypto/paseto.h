// PASETO v4.local: encrypted, authenticated text that only the holder of the key can make or read
// (github.com/paseto-standard, version 4: BLAKE2b and XChaCha20). Session tokens and challenges are of this kind.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/rng/rng.h"

namespace drover::crypto {

using LocalKey = std::array<std::uint8_t, 32>;

inline constexpr std::size_t kMaxLocalToken = 16 * 1024;  // a session token is below 1 KiB; headers end at 16 KiB

LocalKey make_local_key(Rng& rng);

// `footer` travels readable and is authenticated; `implicit` does not travel and must be given again for reading.
std::string seal_local(const LocalKey& key, std::string_view payload, std::string_view footer,
                       std::string_view implicit, Rng& rng);

struct OpenedLocal {
  std::string payload;
  std::string footer;
};

// The MAC is compared in constant time before anything is decrypted. Every failure is `unauthenticated` and says no
// more than that the token is not valid here.
Result<OpenedLocal> open_local(const LocalKey& key, std::string_view token, std::string_view implicit);

}  // namespace drover::crypto
