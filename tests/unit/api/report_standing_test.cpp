#include <gtest/gtest.h>

#include "server/api/journey/outcome.h"

namespace drover::api {
namespace {

ReportStanding standing(std::uint64_t last, std::uint64_t counter, std::string_view digest = "new") {
  store::Device device;
  device.report_counter = last;
  device.report_digest = last == 0 ? "" : "old";
  wire::Report report;
  report.counter = counter;
  return standing_of_report(device, report, digest);
}

TEST(ReportStanding, what_goes_on_is_taken_with_gaps_too) {
  EXPECT_EQ(standing(0, 1), ReportStanding::next);
  EXPECT_EQ(standing(4, 5), ReportStanding::next);
  EXPECT_EQ(standing(4, 900), ReportStanding::next);
}

TEST(ReportStanding, the_same_once_more_is_a_lost_answer) {
  EXPECT_EQ(standing(4, 4, "old"), ReportStanding::repeated);
}

TEST(ReportStanding, an_older_one_and_another_one_under_a_used_number_are_stale) {
  EXPECT_EQ(standing(4, 3), ReportStanding::stale);
  EXPECT_EQ(standing(4, 3, "old"), ReportStanding::stale);
  EXPECT_EQ(standing(4, 4), ReportStanding::stale);
}

TEST(ReportStanding, who_never_counted_need_not_and_who_did_must_go_on) {
  EXPECT_EQ(standing(0, 0), ReportStanding::next);
  EXPECT_EQ(standing(4, 0), ReportStanding::stale);
}

}  // namespace
}  // namespace drover::api
