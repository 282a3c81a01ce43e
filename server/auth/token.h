// People's tokens: "drv_" and 32 random bytes in base64url (crypto::random_token makes them). The server keeps only
// their SHA-256 in hexadecimal: with 256 random bits a slow hash adds nothing, and the look-up by hash leaks no timing.
#pragma once

#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace drover::auth {

inline constexpr std::string_view kTokenPrefix = "drv_";
inline constexpr std::size_t kTokenLength = 4 + 43;

// The text of a token made of 32 bytes; invalid_argument for another number.
Result<std::string> token_text(ByteView random);

// Whether it has the form of a token. Says nothing of whether anybody holds it.
bool is_token(std::string_view text);

// What is stored and looked up: 64 hexadecimal digits. unauthenticated for what has not the form of a token.
Result<std::string> token_hash(std::string_view text);

// The token in an Authorization header ("Bearer drv_..."); unauthenticated otherwise. The scheme minds no capitals.
Result<std::string> bearer(std::string_view authorization);

}  // namespace drover::auth
