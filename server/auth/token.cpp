#include "server/auth/token.h"

#include <algorithm>

#include "common/crypto/hash.h"
#include "common/crypto/secret.h"

namespace drover::auth {
namespace {

constexpr std::string_view kScheme = "bearer ";

Error no_token() { return Error(Code::unauthenticated, "no valid token: expected \"Authorization: Bearer drv_...\""); }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

Result<std::string> token_text(ByteView random) {
  if (random.size() != crypto::kTokenBytes) return Error(Code::invalid_argument, "a token is made of 32 bytes");
  return std::string(kTokenPrefix) + to_base64url(random);
}

bool is_token(std::string_view text) {
  if (text.size() != kTokenLength || !text.starts_with(kTokenPrefix)) return false;
  const auto bytes = from_base64url(text.substr(kTokenPrefix.size()));
  return bytes.has_value() && bytes->size() == crypto::kTokenBytes;
}

Result<std::string> token_hash(std::string_view text) {
  if (!is_token(text)) return no_token();
  return crypto::sha256(text).hex();
}

Result<std::string> bearer(std::string_view authorization) {
  const bool scheme =
      authorization.size() > kScheme.size() &&
      std::equal(kScheme.begin(), kScheme.end(), authorization.begin(), [](char a, char b) { return a == lower(b); });
  if (!scheme) return no_token();
  const std::string_view text = authorization.substr(kScheme.size());
  if (!is_token(text)) return no_token();
  return std::string(text);
}

}  // namespace drover::auth
