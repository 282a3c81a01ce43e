#include "server/api/session_token.h"

#include <gtest/gtest.h>

#include "tests/support/expect.h"

namespace drover::api {
namespace {

class SessionToken : public ::testing::Test {
 protected:
  SeededRng rng_{1};
  ManualClock clock_{WallTime(std::chrono::seconds(2'000'000'000))};
  crypto::LocalKey key_ = crypto::make_local_key(rng_);

  Claims claims() const {
    return {42, "d0123456789abcdef0123456789abcdef", "0123456789abcdef", 7, 99, clock_.wall() + std::chrono::hours(1)};
  }
};

TEST_F(SessionToken, GivesBackWhatWasSealed) {
  const auto opened = open_session(key_, seal_session(key_, claims(), rng_), clock_.wall());
  ASSERT_OK(opened);
  EXPECT_EQ(opened->device_no, 42);
  EXPECT_EQ(opened->device_id, claims().device_id);
  EXPECT_EQ(opened->identity_digest, "0123456789abcdef");
  EXPECT_EQ(opened->assignment_version, 7);
  EXPECT_EQ(opened->revision, 99);
  EXPECT_EQ(opened->expires, claims().expires);
}

TEST_F(SessionToken, IsRefusedAfterItsTimeUnderAnotherKeyAndWhenChanged) {
  const std::string token = seal_session(key_, claims(), rng_);
  EXPECT_CODE(open_session(key_, token, clock_.wall() + std::chrono::hours(1)), Code::unauthenticated);
  EXPECT_CODE(open_session(crypto::make_local_key(rng_), token, clock_.wall()), Code::unauthenticated);
  std::string changed = token;
  changed[changed.size() / 2] ^= 1;
  EXPECT_CODE(open_session(key_, changed, clock_.wall()), Code::unauthenticated);
}

TEST_F(SessionToken, AChallengeIsNoSessionAndTheReverse) {
  const std::string challenge = seal_challenge(key_, clock_.wall(), rng_);
  EXPECT_OK(check_challenge(key_, challenge, clock_.wall()));
  EXPECT_CODE(open_session(key_, challenge, clock_.wall()), Code::unauthenticated);
  EXPECT_CODE(check_challenge(key_, seal_session(key_, claims(), rng_), clock_.wall()), Code::unauthenticated);
}

TEST_F(SessionToken, AChallengeLivesAMinute) {
  const std::string challenge = seal_challenge(key_, clock_.wall(), rng_);
  EXPECT_OK(check_challenge(key_, challenge, clock_.wall() + std::chrono::seconds(59)));
  EXPECT_CODE(check_challenge(key_, challenge, clock_.wall() + std::chrono::seconds(60)), Code::unauthenticated);
}

TEST(SessionTokenLife, is_renewed_in_the_last_quarter_of_its_life_and_not_before) {
  using namespace std::chrono_literals;
  Claims claims;
  claims.expires = WallTime(100'000s);
  EXPECT_FALSE(wants_renewal(claims, 4h, claims.expires - 4h));
  EXPECT_FALSE(wants_renewal(claims, 4h, claims.expires - 1h));
  EXPECT_TRUE(wants_renewal(claims, 4h, claims.expires - 1h + 1s));
}

}  // namespace
}  // namespace drover::api
