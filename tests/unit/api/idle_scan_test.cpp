#include "server/api/idle_scan.h"

#include <gtest/gtest.h>

namespace drover::api {
namespace {

TEST(IdleScan, ReadsTheBodyThatAgentsSend) {
  const auto body = scan_idle_checkin(R"({"assignment_version":12,"identity_digest":"0123456789abcdef","nonce":"aa"})");
  ASSERT_TRUE(body);
  EXPECT_EQ(body->assignment_version, 12);
  EXPECT_EQ(body->identity_digest, "0123456789abcdef");
}

TEST(IdleScan, OrderAndWhiteSpaceDoNotMatter) {
  EXPECT_TRUE(scan_idle_checkin("{ \"identity_digest\" : \"x\" ,\n\t\"assignment_version\": 0 }\n"));
}

TEST(IdleScan, EverythingElseTakesTheOrdinaryWay) {
  for (const char* body :
       {"", "{}", "[]", "{\"assignment_version\":1}", R"({"assignment_version":1,"identity_digest":"x","report":{}})",
        R"({"assignment_version":1,"identity_digest":"x","assignment_version":1})",
        R"({"assignment_version":-1,"identity_digest":"x"})", R"({"assignment_version":01,"identity_digest":"x"})",
        R"({"assignment_version":1.5,"identity_digest":"x"})", R"({"assignment_version":"1","identity_digest":"x"})",
        R"({"assignment_version":1,"identity_digest":"\u0041"})", R"({"assignment_version":1,"identity_digest":"x"} x)",
        R"({"assignment_version":1,"identity_digest":"x",})", R"({"assignment_version":1 "identity_digest":"x"})",
        R"({"assignment_version":9999999999999999999,"identity_digest":"x"})"})
    EXPECT_FALSE(scan_idle_checkin(body)) << body;
}

}  // namespace
}  // namespace drover::api
