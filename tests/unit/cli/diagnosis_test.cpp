#include "server/cli/trust/diagnosis.h"

#include <gtest/gtest.h>

namespace drover::cli {
namespace {

using std::chrono::days;

const WallTime kNow{std::chrono::seconds(1'800'000'000)};

RoleState role(std::string name, int threshold, std::vector<std::string> keys, days left = days(300)) {
  return {std::move(name), threshold, std::move(keys), 1, kNow + left};
}

// Two of three for each role, nobody in two, young online keys: nothing to say.
Patient healthy() {
  Patient out;
  out.now = kNow;
  out.roles = {role("root", 2, {"r1", "r2", "r3"}), role("targets", 2, {"t1", "t2", "t3"}),
               role("mnist", 2, {"m1", "m2", "m3"})};
  out.online = {{"snapshot", "s", kNow - days(10), false}, {"director", "d", kNow - days(10), false}};
  return out;
}

Finding only(const Patient& patient) {
  const auto found = diagnose(patient);
  EXPECT_EQ(found.size(), 1u);
  return found.empty() ? Finding{} : found.front();
}

TEST(Diagnosis, OfAHealthyFleetIsEmpty) { EXPECT_TRUE(diagnose(healthy()).empty()); }

TEST(Diagnosis, WarnsBeforeAnExpiryWithTheCommandForTheKeysThatAreThere) {
  Patient patient = healthy();
  patient.roles[1].expires = kNow + days(29);
  EXPECT_EQ(only(patient).code, "expires_soon");
  EXPECT_EQ(only(patient).command, "drover trust renew targets --key KEY --out targets-change.json");
  patient.mine = {{"keys/t2.key", "t2"}, {"keys/r1.key", "r1"}};
  EXPECT_EQ(only(patient).command, "drover trust renew targets --key keys/t2.key --out targets-change.json");
  patient.mine.push_back({"keys/t3.key", "t3"});
  EXPECT_EQ(only(patient).command, "drover trust renew targets --key keys/t2.key --key keys/t3.key");
  patient.warn = days(10);
  EXPECT_TRUE(diagnose(patient).empty());
}

TEST(Diagnosis, WhatHasExpiredIsBrokenAndComesFirst) {
  Patient patient = healthy();
  patient.roles[0].expires = kNow + days(1);
  patient.roles[2].expires = kNow;
  const auto found = diagnose(patient);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].role, "mnist");
  EXPECT_EQ(found[0].level, Level::broken);
  EXPECT_EQ(found[1].level, Level::warning);
}

TEST(Diagnosis, NamesSinglePointsOfFailure) {
  Patient patient = healthy();
  patient.roles[0] = role("root", 1, {"r1"});
  EXPECT_EQ(only(patient).code, "single_key");
  EXPECT_EQ(only(patient).command.substr(0, 38), "drover trust root add-key SECOND.pub T");
  patient.roles[0] = role("root", 1, {"r1", "r2"});
  EXPECT_EQ(only(patient).code, "one_key_enough");
  EXPECT_EQ(only(patient).command, "drover trust root threshold 2 --key KEY");
  patient.roles[0] = role("root", 2, {"r1", "r2"});
  EXPECT_EQ(only(patient).code, "no_spare_key");
  patient = healthy();
  patient.roles[2] = role("mnist", 1, {"m1", "m2"});
  EXPECT_EQ(only(patient).command, "drover trust manager threshold mnist 2 --key KEY --out targets-change.json");
}

TEST(Diagnosis, OneKeyInTwoRolesIsNamedUnlessBothAreModels) {
  Patient patient = healthy();
  patient.roles.push_back(role("faces", 2, {"m1", "m2", "f"}));
  EXPECT_TRUE(diagnose(patient).empty()) << "one person who makes two models";
  patient.roles[1] = role("targets", 2, {"r1", "t2", "t3"});
  EXPECT_EQ(only(patient).code, "shared_key");
  EXPECT_EQ(only(patient).message, "key r1 stands in root and targets: whoever has it has all of them");
  patient = healthy();
  patient.online[1].keyid = "m1";
  EXPECT_EQ(only(patient).code, "shared_key");
}

TEST(Diagnosis, OfOnlineKeysTellsAgeAndRotationsThatWereNotFinished) {
  Patient patient = healthy();
  patient.online[0].made = kNow - days(366);
  EXPECT_EQ(only(patient).code, "old_online_key");
  EXPECT_EQ(only(patient).message, "the server's snapshot key is 366 d old");
  patient.online[0] = {"snapshot", "s", kNow, true};
  EXPECT_EQ(only(patient).code, "unfinished_rotation");
}

TEST(Diagnosis, AModelWithoutReleasesIsNotIll) {
  Patient patient = healthy();
  patient.roles[2].expires.reset();
  EXPECT_TRUE(diagnose(patient).empty());
}

}  // namespace
}  // namespace drover::cli
