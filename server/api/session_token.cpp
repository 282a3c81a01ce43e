#include "server/api/session_token.h"

#include <charconv>

namespace drover::api {
namespace {

// The implicit part keeps a challenge from passing for a session and the reverse.
constexpr std::string_view kSession = "drover-session-token-v1";
constexpr std::string_view kChallenge = "drover-challenge-v1";

Error not_valid() { return Error(Code::unauthenticated, "the session token is not valid here; open a new session"); }

// Fields are separated by one space and hold none.
std::string_view next_field(std::string_view& rest) {
  const std::size_t end = rest.find(' ');
  const std::string_view field = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return field;
}

bool next_number(std::string_view& rest, std::int64_t& out) {
  const std::string_view field = next_field(rest);
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), out);
  return error == std::errc() && end == field.data() + field.size();
}

}  // namespace

std::string seal_session(const crypto::LocalKey& key, const Claims& claims, Rng& rng) {
  std::string text = std::to_string(claims.device_no);
  for (const std::int64_t number :
       {claims.assignment_version, claims.revision, static_cast<std::int64_t>(claims.expires.time_since_epoch().count())}) {
    text += ' ';
    text += std::to_string(number);
  }
  text += ' ';
  text += claims.device_id;
  text += ' ';
  text += claims.identity_digest;
  return crypto::seal_local(key, text, "", kSession, rng);
}

Result<Claims> open_session(const crypto::LocalKey& key, std::string_view token, WallTime now) {
  const auto opened = crypto::open_local(key, token, kSession);
  if (!opened) return not_valid();
  Claims claims;
  std::int64_t expires = 0;
  std::string_view rest = opened->payload;
  if (!next_number(rest, claims.device_no) || !next_number(rest, claims.assignment_version) ||
      !next_number(rest, claims.revision) || !next_number(rest, expires))
    return not_valid();
  claims.expires = WallTime(std::chrono::seconds(expires));
  if (now >= claims.expires) return Error(Code::unauthenticated, "the session has expired; open a new one");
  claims.device_id = next_field(rest);
  claims.identity_digest = next_field(rest);
  return claims;
}

std::string seal_challenge(const crypto::LocalKey& key, WallTime now, Rng& rng) {
  const std::int64_t expires = (now + kChallengeLife).time_since_epoch().count();
  return crypto::seal_local(key, std::to_string(expires), "", kChallenge, rng);
}

Status check_challenge(const crypto::LocalKey& key, std::string_view challenge, WallTime now) {
  const Error wrong(Code::unauthenticated, "the challenge is not one of this server or has expired; ask for a new one");
  const auto opened = crypto::open_local(key, challenge, kChallenge);
  if (!opened) return wrong;
  std::int64_t expires = 0;
  std::string_view rest = opened->payload;
  if (!next_number(rest, expires) || now >= WallTime(std::chrono::seconds(expires))) return wrong;
  return {};
}

}  // namespace drover::api
