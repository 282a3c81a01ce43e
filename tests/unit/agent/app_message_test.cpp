#include "agent/report/app_message.h"

#include <gtest/gtest.h>

#include "agent/report/reports.h"
#include "common/base/bytes.h"

namespace drover::agent {
namespace {

TEST(AppMessage, reads_hello_and_health) {
  const auto hello = parse_app_message(R"({"type":"hello","model":"digits","package":""})");
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->type, AppMessage::Type::hello);
  EXPECT_EQ(hello->model, "digits");
  const auto health =
      parse_app_message(R"({"type":"health","model":"digits","package":"sha256:a","ok":false,"detail":"hot","x":1})");
  ASSERT_TRUE(health);
  EXPECT_EQ(health->type, AppMessage::Type::health);
  EXPECT_FALSE(health->ok);
  EXPECT_EQ(health->detail, "hot");
}

TEST(AppMessage, health_without_ok_is_no_health) {
  EXPECT_EQ(parse_app_message(R"({"type":"health","model":"m","package":"p"})").error().code(), Code::malformed);
  EXPECT_EQ(parse_app_message(R"({"type":"health","model":"m","ok":"yes"})").error().code(), Code::malformed);
}

TEST(AppMessage, refuses_what_is_no_message) {
  EXPECT_EQ(parse_app_message("").error().code(), Code::malformed);
  EXPECT_EQ(parse_app_message("[]").error().code(), Code::malformed);
  EXPECT_EQ(parse_app_message(R"({"type":"hello"})").error().code(), Code::malformed);
  EXPECT_EQ(parse_app_message(R"({"type":"dance"})").error().code(), Code::unsupported);
  EXPECT_EQ(parse_app_message(std::string(kMaxAppLine + 1, ' ')).error().code(), Code::too_large);
}

TEST(AppMessage, metrics_of_tomorrow_are_let_pass) {
  EXPECT_EQ(parse_app_message(R"({"type":"metric","name":"latency","value":3})")->type, AppMessage::Type::metric);
}

TEST(AppMessage, what_the_agent_says_is_one_line) {
  const std::string line = switch_line("digits", "sha256:a", "/state/current/digits");
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_NE(line.find(R"("type":"switch")"), std::string::npos);
  EXPECT_EQ(welcome_line(), "{\"type\":\"welcome\"}\n");
}

TEST(Reports, are_signed_by_the_device_over_context_and_payload) {
  SeededRng rng(1);
  const auto signer = crypto::make_signer(crypto::KeyPair::generate(rng));
  const crypto::PublicKey key = *crypto::ed25519_key(signer->public_half());
  wire::Report report;
  report.device_id = "d1";
  report.counter = 7;
  const auto made = sign_report(report, *signer);
  ASSERT_TRUE(made);
  const wire::SignedReport& signed_report = *made;
  ASSERT_TRUE(wire::decode_report(signed_report.payload));
  EXPECT_EQ(wire::decode_report(signed_report.payload)->counter, 7u) << "it is among what is signed";
  EXPECT_TRUE(wire::decode_report(signed_report.payload));
  const std::string text = std::string(wire::kReportContext) + signed_report.payload;
  EXPECT_TRUE(crypto::verify(key, as_bytes(text), *from_hex(signed_report.signature)));
  EXPECT_FALSE(crypto::verify(key, as_bytes(signed_report.payload), *from_hex(signed_report.signature)));
}

}  // namespace
}  // namespace drover::agent
