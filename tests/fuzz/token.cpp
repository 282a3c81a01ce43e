// Tokens as they come from outside, and what stands behind a MAC that is right.
#include <algorithm>

#include "server/api/session_token.h"
#include "tests/fuzz/fuzz.h"

namespace drover::fuzz {
namespace {

const WallTime kNow{std::chrono::seconds(1'800'000'000)};
constexpr crypto::LocalKey kKey = {1, 2, 3};

}  // namespace

void run(ByteView input) {
  const std::string_view text = as_text(input);
  (void)crypto::open_local(kKey, text, "");
  (void)api::open_session(kKey, text, kNow);
  (void)api::check_challenge(kKey, text, kNow);
  // Whoever holds the key may seal anything: a server of another version, too.
  SeededRng rng(1);
  const std::size_t half = text.size() / 2;
  const std::string sealed = crypto::seal_local(kKey, text.substr(0, half), text.substr(half), "", rng);
  const auto opened = crypto::open_local(kKey, sealed, "");
  if (sealed.size() <= crypto::kMaxLocalToken)
    require(opened && opened->payload == text.substr(0, half) && opened->footer == text.substr(half),
            "what was sealed is opened");
  require(!crypto::open_local(kKey, sealed, "x"), "another implicit part opens nothing");
  const std::string session = crypto::seal_local(kKey, text, "", "drover-session-token-v1", rng);
  if (const auto claims = api::open_session(kKey, session, kNow)) require(claims->expires > kNow, "it has not expired");
  (void)api::check_challenge(kKey, crypto::seal_local(kKey, text, "", "drover-challenge-v1", rng), kNow);
}

std::vector<std::string> seeds() {
  SeededRng rng(2);
  api::Claims claims;
  claims.device_no = 7;
  claims.device_id = "d" + std::string(32, '0');
  claims.identity_digest = "0123456789abcdef";
  claims.assignment_version = 12;
  claims.revision = 9;
  claims.expires = kNow + std::chrono::hours(1);
  return {api::seal_session(kKey, claims, rng), api::seal_challenge(kKey, kNow, rng),
          crypto::seal_local(kKey, "payload", "footer", "", rng),
          "7 12 9 1800003600 d00000000000000000000000000000000 0123456789abcdef", "1800000030"};
}

}  // namespace drover::fuzz
