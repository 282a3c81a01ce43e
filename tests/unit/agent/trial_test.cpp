#include "agent/report/trial.h"

#include <gtest/gtest.h>

namespace drover::agent {
namespace {

using namespace std::chrono_literals;

constexpr const char* kNew = "sha256:new";
constexpr const char* kOld = "sha256:old";

class TrialTest : public testing::Test {
 protected:
  Trial trial(bool without_application = false) {
    return Trial("digits", kNew, {.deadline = 20s, .healthy_reports = 3, .max_restarts = 2}, MonoTime(20s),
                 without_application);
  }
  static Code code(const Trial& trial, std::chrono::seconds at = 1s) {
    const auto verdict = trial.verdict(MonoTime(at));
    return verdict ? verdict->code : Code::pending;
  }
};

TEST_F(TrialTest, is_confirmed_by_enough_good_reports_and_not_before) {
  Trial t = trial();
  t.health(kNew, true, "");
  t.health(kNew, true, "");
  EXPECT_EQ(code(t), Code::pending);
  t.health(kNew, true, "");
  EXPECT_EQ(code(t), Code::ok);
}

TEST_F(TrialTest, counts_only_what_is_said_of_the_new_package) {
  Trial t = trial();
  for (int i = 0; i < 10; ++i) t.health(kOld, true, "");
  for (int i = 0; i < 10; ++i) t.health(kOld, false, "the old one is not well");
  EXPECT_EQ(code(t), Code::pending);
}

TEST_F(TrialTest, one_complaint_is_a_hiccup_after_which_counting_begins_anew) {
  Trial t = trial();
  t.health(kNew, true, "");
  t.health(kNew, true, "");
  t.health(kNew, false, "warming up");
  t.health(kNew, true, "");
  EXPECT_EQ(code(t), Code::pending);
  t.health(kNew, true, "");
  t.health(kNew, true, "");
  EXPECT_EQ(code(t), Code::ok);
}

TEST_F(TrialTest, two_complaints_in_a_row_end_it_with_their_words) {
  Trial t = trial();
  t.health(kNew, false, "first");
  t.health(kNew, false, "accuracy fell");
  EXPECT_EQ(code(t), Code::unhealthy);
  EXPECT_EQ(t.verdict(MonoTime(1s))->detail, "accuracy fell");
}

TEST_F(TrialTest, good_and_bad_in_turn_is_not_good) {
  Trial t = trial();
  for (int i = 0; i < kMaxComplaints; ++i) {
    EXPECT_EQ(code(t), Code::pending);
    t.health(kNew, true, "");
    t.health(kNew, false, "again");
  }
  EXPECT_EQ(code(t), Code::unhealthy);
}

TEST_F(TrialTest, more_restarts_than_allowed_are_a_crash_loop) {
  Trial t = trial();
  t.connected();
  t.dropped();
  t.dropped();
  EXPECT_EQ(code(t), Code::pending) << "a restart or two to load the model is how some applications work";
  t.dropped();
  EXPECT_EQ(code(t), Code::app_crash_loop);
}

TEST_F(TrialTest, good_reports_before_a_restart_do_not_count) {
  Trial t = trial();
  t.health(kNew, true, "");
  t.health(kNew, true, "");
  t.dropped();
  t.health(kNew, true, "");
  EXPECT_EQ(code(t), Code::pending);
  t.health(kNew, true, "");
  t.health(kNew, true, "");
  EXPECT_EQ(code(t), Code::ok);
}

TEST_F(TrialTest, silence_until_the_deadline_fails_it) {
  Trial t = trial();
  EXPECT_EQ(code(t, 19s), Code::pending);
  EXPECT_EQ(code(t, 20s), Code::health_silence);
  t.health(kNew, true, "");
  t.health(kNew, true, "");
  EXPECT_EQ(code(t, 20s), Code::health_silence) << "too few good reports are silence too";
}

TEST_F(TrialTest, a_device_without_applications_is_confirmed_only_if_told_so) {
  EXPECT_EQ(code(trial(false), 20s), Code::health_silence);
  EXPECT_EQ(code(trial(true), 19s), Code::pending);
  EXPECT_EQ(code(trial(true), 20s), Code::ok);
  Trial spoken = trial(true);
  spoken.connected();
  EXPECT_EQ(code(spoken, 20s), Code::health_silence) << "there is an application, and it says nothing";
}

}  // namespace
}  // namespace drover::agent
