#include "server/release/expiry.h"

#include <gtest/gtest.h>

namespace drover::release {
namespace {

using std::chrono::days;
using std::chrono::hours;

const WallTime kNow{std::chrono::seconds(1'800'000'000)};

LeadTimes leads() { return {days(30), days(7), days(40), days(8)}; }

std::vector<ExpiryWarning> warned(const std::string& role, std::chrono::seconds left, bool online = false) {
  const RoleExpiry one{role, kNow + left, online};
  return expiry_warnings(std::span(&one, 1), leads(), kNow);
}

TEST(Expiry, IsNoNewsBeforeTheLeadTime) {
  EXPECT_TRUE(warned("root", days(30)).empty());
  EXPECT_TRUE(warned("mnist", days(300)).empty());
}

TEST(Expiry, IsAWarningThenUrgentThenOver) {
  ASSERT_EQ(warned("root", days(30) - std::chrono::seconds(1)).size(), 1u);
  EXPECT_EQ(warned("root", days(29))[0].severity, Severity::warning);
  EXPECT_EQ(warned("root", days(6))[0].severity, Severity::urgent);
  EXPECT_EQ(warned("root", std::chrono::seconds(1))[0].severity, Severity::urgent);
  EXPECT_EQ(warned("root", std::chrono::seconds(0))[0].severity, Severity::expired);
  EXPECT_EQ(warned("root", -days(9))[0].severity, Severity::expired);
}

TEST(Expiry, SaysWhatStopsAndWhatToRun) {
  const auto model = warned("mnist", days(10))[0];
  EXPECT_EQ(model.message, "mnist expires in 10 days; from then on no device takes anything new of mnist");
  EXPECT_EQ(model.command, "drover trust renew mnist --key KEY");
  EXPECT_EQ(warned("targets", hours(30))[0].message,
            "targets expires in 30 hours; from then on no device takes anything new, of any model");
}

TEST(Expiry, OfTheServersOwnRolesIsToldOnlyWhenRenewingFails) {
  EXPECT_TRUE(warned("snapshot", days(20), true).empty()) << "half of its life: renewed now";
  EXPECT_TRUE(warned("snapshot", days(10), true).empty());
  const auto late = warned("snapshot", days(9), true);
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[0].severity, Severity::warning);
  EXPECT_EQ(late[0].command, "");
  EXPECT_NE(late[0].message.find("log"), std::string::npos);
  EXPECT_EQ(warned("timestamp", hours(23), true)[0].severity, Severity::urgent);
  EXPECT_TRUE(warned("timestamp", days(2), true).empty());
}

TEST(Expiry, TheSoonestComesFirst) {
  const std::vector<RoleExpiry> roles = {
      {"b", kNow + days(9), false}, {"c", kNow + days(2), false}, {"a", kNow + days(9), false}};
  const auto all = expiry_warnings(roles, leads(), kNow);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].role + all[1].role + all[2].role, "cab");
}

}  // namespace
}  // namespace drover::release
