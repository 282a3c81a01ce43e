#include "server/api/refusals.h"

#include <gtest/gtest.h>

namespace drover::api {
namespace {

auth::Principal someone(auth::Principal::Kind kind, const std::string& id) {
  auth::Principal who;
  who.kind = kind;
  who.id = who.name = id;
  return who;
}

int admitted(Refusals& refusals, const auth::Principal& who, std::string_view address, Code code, MonoTime now,
             int tries) {
  int count = 0;
  for (int i = 0; i < tries; ++i) count += refusals.admits(who, address, code, now) ? 1 : 0;
  return count;
}

const auth::Principal kNobody;

TEST(Refusals, AreAboutCredentialsRightsAndTrustAndNotAboutMistakes) {
  for (const Code code : {Code::unauthenticated, Code::permission_denied, Code::rate_limited, Code::gone,
                          Code::bad_signature, Code::threshold_not_met, Code::wrong_device})
    EXPECT_TRUE(Refusals::is_refusal(code)) << code_name(code);
  for (const Code code : {Code::not_found, Code::malformed, Code::conflict, Code::invalid_argument, Code::internal,
                          Code::pending, Code::validate_golden})
    EXPECT_FALSE(Refusals::is_refusal(code)) << code_name(code);
}

TEST(Refusals, OfStrangersHaveABudgetForEachAddressThatComesBack) {
  Refusals refusals;
  MonoTime now{};
  EXPECT_EQ(admitted(refusals, kNobody, "10.0.0.1", Code::unauthenticated, now, 100), Refusals::kOfStranger);
  EXPECT_EQ(admitted(refusals, kNobody, "10.0.0.2", Code::unauthenticated, now, 1), 1) << "others are not silenced";
  now += Throttle::kWindow;
  EXPECT_EQ(admitted(refusals, kNobody, "10.0.0.1", Code::unauthenticated, now, 1), 1);
}

TEST(Refusals, OfAllStrangersTogetherHaveABudgetAndPeopleAreHeardBesideThem) {
  Refusals refusals;
  int count = 0;
  for (int i = 0; i < 200; ++i)
    count += admitted(refusals, kNobody, "10.0.1." + std::to_string(i), Code::unauthenticated, {}, 100);
  EXPECT_EQ(count, Refusals::kOfStrangers);
  const auto person = someone(auth::Principal::Kind::person, "t-1");
  EXPECT_TRUE(refusals.admits(person, "10.0.0.1", Code::permission_denied, {}));
}

TEST(Refusals, OfADecommissionedDeviceAreWrittenOnceAnHour) {
  Refusals refusals;
  const auto device = someone(auth::Principal::Kind::device, "d1");
  EXPECT_EQ(admitted(refusals, device, "10.0.0.1", Code::gone, {}, 100), 1);
  EXPECT_EQ(admitted(refusals, device, "10.0.0.1", Code::gone, MonoTime{} + Refusals::kGoneEvery, 100), 1);
  EXPECT_EQ(admitted(refusals, device, "10.0.0.1", Code::bad_signature, {}, 100), Refusals::kOfStranger);
}

}  // namespace
}  // namespace drover::api
