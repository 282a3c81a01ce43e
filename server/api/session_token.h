// A device's session token: PASETO v4.local around what an idle check-in is checked against.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/crypto/paseto.h"
#include "common/rng/rng.h"
#include "common/time/clock.h"
#include "server/store/devices.h"

namespace drover::api {

struct Claims {
  store::DeviceNo device_no = 0;
  std::string device_id;
  std::string identity_digest;
  std::int64_t assignment_version = 0;
  std::int64_t revision = 0;  // of the control plane under which the device was last evaluated; 0: evaluate again
  WallTime expires{};
};

std::string seal_session(const crypto::LocalKey& key, const Claims& claims, Rng& rng);
// unauthenticated for anything that is not a session token of this server, or has expired.
Result<Claims> open_session(const crypto::LocalKey& key, std::string_view token, WallTime now);

// A token is renewed when less than a quarter of its life is left: a device that is heard from now and then never lacks
// one. Only after the device was looked at, so that one that was sent away gets none.
inline bool wants_renewal(const Claims& claims, std::chrono::seconds life, WallTime now) {
  return claims.expires - now < life / 4;
}

// What a device signs to get a session; good for kChallengeLife.
inline constexpr std::chrono::seconds kChallengeLife{60};
std::string seal_challenge(const crypto::LocalKey& key, WallTime now, Rng& rng);
Status check_challenge(const crypto::LocalKey& key, std::string_view challenge, WallTime now);

}  // namespace drover::api
