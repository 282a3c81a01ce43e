#include "server/auth/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace drover::auth {
namespace {

using testing::HasSubstr;

constexpr Role kRoles[] = {Role::viewer, Role::operator_, Role::release_manager, Role::admin};

Principal person(Role role) { return {Principal::Kind::person, "t1", "ann", role}; }
const Principal kNobody{};
const Principal kDevice{Principal::Kind::device, "d1", "kiosk", Role::admin};  // whatever its role says

// The least role that may; 0 for anyone, 9 for no person at all.
int least(std::string_view route) {
  if (authorise(kNobody, route).allowed) return 0;
  for (const Role role : kRoles)
    if (authorise(person(role), route).allowed) return static_cast<int>(role);
  return 9;
}

TEST(Access, GivesEachJobToItsRole) {
  EXPECT_EQ(least("GET /devices"), 1);
  EXPECT_EQ(least("GET /whoami"), 1);
  EXPECT_EQ(least("POST /groups/preview"), 1);
  for (const char* verb : {"pause", "resume", "halt", "abort", "rollback"})
    EXPECT_EQ(least("POST /rollouts/{id}/" + std::string(verb)), 2) << verb;
  EXPECT_EQ(least("POST /devices/{id}/accept"), 2);
  EXPECT_EQ(least("PATCH /devices/{id}"), 2);
  EXPECT_EQ(least("POST /rollouts"), 3);
  EXPECT_EQ(least("POST /rollouts/{id}/promote"), 3);
  EXPECT_EQ(least("PATCH /uploads/{id}"), 3);
  EXPECT_EQ(least("POST /metadata/{role}"), 3);
  EXPECT_EQ(least("PUT /content-keys/{package}"), 3);
  EXPECT_EQ(least("DELETE /devices/{id}"), 4);
  EXPECT_EQ(least("POST /tokens"), 4);
  EXPECT_EQ(least("GET /enrolment-tokens"), 4);
}

TEST(Access, LetsEveryHigherRoleDoWhatALowerOneMay) {
  for (const Route& route : routes())
    for (std::size_t i = 1; i < std::size(kRoles); ++i)
      EXPECT_LE(authorise(person(kRoles[i - 1]), route.id).allowed, authorise(person(kRoles[i]), route.id).allowed)
          << route.id;
}

TEST(Access, NeedsNoCredentialsForExactlyThese) {
  std::vector<std::string_view> open;
  for (const Route& route : routes())
    if (authorise(kNobody, route.id).allowed) open.push_back(route.id);
  EXPECT_THAT(open, testing::ElementsAre("GET /healthz", "GET /metadata/{file}", "GET /metrics", "GET /readyz",
                                         "POST /device/challenge", "POST /device/session"));
}

TEST(Access, LetsADeviceDoExactlyThisBesides) {
  std::vector<std::string_view> own;
  for (const Route& route : routes())
    if (authorise(kDevice, route.id).allowed && !authorise(kNobody, route.id).allowed) own.push_back(route.id);
  EXPECT_THAT(own, testing::ElementsAre("GET /blobs/{digest}", "GET /deltas/{target}", "GET /deltas/{target}/{base}",
                                        "HEAD /blobs/{digest}", "HEAD /deltas/{target}/{base}", "POST /device/checkin",
                                        "POST /device/content-key"));
}

TEST(Access, LetsNoPersonCheckInForADevice) {
  const Decision decision = authorise(person(Role::admin), "POST /device/checkin");
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.code, Code::permission_denied);
}

TEST(Access, RefusesWhatIsNotInTheTable) {
  for (const char* route : {"", "GET", "GET /", "get /devices", "GET /devices/", "GET /devices/d1", "PUT /devices",
                            "GET /devices ", "TRACE /audit"}) {
    const Decision decision = authorise(person(Role::admin), route);
    EXPECT_FALSE(decision.allowed) << route;
    EXPECT_EQ(decision.code, Code::not_found);
  }
}

TEST(Access, SaysWhichRoleIsNeeded) {
  const Decision decision = authorise(person(Role::viewer), "POST /rollouts/{id}/halt");
  EXPECT_EQ(decision.code, Code::permission_denied);
  EXPECT_THAT(decision.why, HasSubstr("needs the role operator; your token has viewer"));
  EXPECT_EQ(authorise(kNobody, "GET /devices").code, Code::unauthenticated);
  EXPECT_EQ(authorise(kNobody, "POST /device/checkin").code, Code::unauthenticated);
}

TEST(Access, GivesMetadataToThoseWhoHoldItsKeys) {
  EXPECT_TRUE(authorise_publication(person(Role::release_manager), "vision").allowed);
  EXPECT_FALSE(authorise_publication(person(Role::operator_), "vision").allowed);
  for (const char* role : {"root", "targets"}) {
    EXPECT_FALSE(authorise_publication(person(Role::release_manager), role).allowed);
    EXPECT_TRUE(authorise_publication(person(Role::admin), role).allowed);
  }
  for (const char* role : {"snapshot", "timestamp", "director"})
    EXPECT_FALSE(authorise_publication(person(Role::admin), role).allowed);
  EXPECT_FALSE(authorise_publication(kDevice, "vision").allowed);
  EXPECT_FALSE(authorise_publication(kNobody, "vision").allowed);
}

TEST(Role, GoesThroughTextUnchanged) {
  for (const Role role : kRoles) EXPECT_EQ(*role_from_text(to_text(role)), role);
  for (const char* text : {"", "Admin", "root", "operator_"}) EXPECT_FALSE(role_from_text(text)) << text;
}

}  // namespace
}  // namespace drover::auth
