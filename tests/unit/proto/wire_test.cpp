#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "proto/wire/deltas.h"
#include "proto/wire/device.h"
#include "proto/wire/problem.h"
#include "proto/wire/rollout.h"

namespace drover::wire {
namespace {

const WallTime kNoon{std::chrono::seconds(1'700'000'000)};

Report sample_report() {
  Report report{.device_id = "d00", .boot_id = "b", .events = {}, .installed = {}};
  report.events.push_back({.seq = 7,
                           .at = kNoon,
                           .deployment = "dep-1",
                           .model = "m",
                           .release = "1.0.0",
                           .step = Step::validate,
                           .outcome = Outcome::failed,
                           .code = Code::validate_golden,
                           .detail = "3 of 32 samples differ",
                           .bytes_fetched = 5'000'000'000,
                           .bytes_resumed = 12,
                           .evidence = R"({"verdict":"fail"})"});
  report.events.push_back(
      {.seq = 8, .at = kNoon, .deployment = "dep-2", .model = "m", .release = "2", .detail = {}, .evidence = {}});
  report.installed.push_back(
      {.model = "m", .release = "0.9", .package = "sha256:00", .release_counter = 3, .since = kNoon});
  return report;
}

TEST(ReportTest, comes_back_as_it_was_sent_with_sizes_beyond_32_bits) {
  const auto back = decode_report(encode(sample_report()).dump());
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(encode(*back), encode(sample_report()));
  EXPECT_EQ(back->events[0].bytes_fetched, 5'000'000'000U);
  EXPECT_EQ(back->events[0].code, Code::validate_golden);
}

TEST(ReportTest, a_gap_in_the_sequence_is_refused) {
  auto json = encode(sample_report());
  json["events"][1]["seq"] = 9;
  EXPECT_EQ(decode_report(json.dump()).error().message(), "/events/1/seq: must follow the event before it");
}

TEST(ReportTest, more_events_than_the_bound_are_refused) {
  Report report = sample_report();
  while (report.events.size() <= kMaxEventsPerReport) {
    report.events.push_back(report.events.back());
    ++report.events.back().seq;
  }
  EXPECT_FALSE(decode_report(encode(report).dump()));
}

TEST(DeltaPlanTest, comes_back_as_it_was_sent_and_is_bounded) {
  DeltaPlan plan;
  plan.steps.push_back({"sha256:aa", "sha256:bb", 2, 5'000'000'000, 9'000'000'000});
  const auto back = decode_delta_plan(encode(plan).dump());
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(encode(*back), encode(plan));
  while (plan.steps.size() <= kMaxDeltaSteps) plan.steps.push_back(plan.steps.front());
  EXPECT_FALSE(decode_delta_plan(encode(plan).dump()));
  EXPECT_FALSE(decode_delta_plan(R"({"steps":[{"base":"a","target":"b","codec":1,"bytes":-1,"target_bytes":1}]})"));
  EXPECT_TRUE(decode_delta_plan(R"({"steps":[],"newer":1})")) << "fields of newer versions are ignored";
}

TEST(DeltaProgressTest, comes_back_as_it_was_sent) {
  DeltaProgress progress;
  progress.state = "making";
  progress.wanted = 4;
  progress.bytes_total = 5'000'000'000;
  progress.packed.wanted = 3;
  progress.packed.whole_bytes = 6'000'000'000;
  const auto back = decode_delta_progress(encode(progress));
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(encode(*back), encode(progress));
  auto of_an_older_server = encode(progress);
  of_an_older_server.erase("packed");
  EXPECT_TRUE(decode_delta_progress(of_an_older_server));
}

TEST(SavingsTest, tell_the_share_of_updates_that_came_by_delta) {
  Savings savings;
  EXPECT_EQ(encode(savings)["delta_hit_rate"], 0.0);
  savings = {4, 3, 100, 900};
  EXPECT_EQ(encode(savings)["delta_hit_rate"], 0.75);
  const auto back = decode_savings(encode(savings));
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(encode(*back), encode(savings));
}

TEST(CheckinTest, the_idle_form_is_small_and_fields_of_newer_versions_are_ignored) {
  CheckinRequest request;
  request.identity_digest = "0123456789abcdef";
  request.assignment_version = 4;
  EXPECT_LT(encode(request).dump().size(), 80U);
  auto json = encode(request);
  json["from_the_future"] = {{"a", 1}};
  const auto back = decode_checkin_request(json.dump());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->assignment_version, 4);
  EXPECT_FALSE(back->report);
}

TEST(CheckinTest, an_answer_comes_back_as_it_was_sent) {
  CheckinAnswer answer;
  answer.poll_seconds = 30;
  answer.acked_seq = 9;
  answer.token = "v4.local.x";
  answer.token_expires = kNoon;
  answer.assignment = R"({"signed":{}})";
  answer.want_identity = true;
  const auto back = decode_checkin_answer(encode(answer).dump());
  ASSERT_TRUE(back);
  EXPECT_EQ(encode(*back), encode(answer));
}

TEST(CheckinTest, a_version_that_would_leave_no_next_one_is_refused) {
  EXPECT_FALSE(decode_checkin_request(R"({"identity_digest":"0","assignment_version":9223372036854775807})"));
}

TEST(CheckinTest, wrong_types_are_named) {
  EXPECT_EQ(decode_checkin_request(R"({"identity_digest":1})").error().message(), "/identity_digest: must be text");
  EXPECT_EQ(decode_checkin_answer(R"({"poll_seconds":0})").error().message(),
            "/poll_seconds: must lie between 1 and 604800");
}

TEST(IdentityTest, the_canonical_form_tells_devices_apart_and_is_stable) {
  const Attributes attributes = {{"region", "eu"}};
  EXPECT_EQ(canonical_identity("k", "x64", attributes), R"({"attributes":{"region":"eu"},"kind":"x64","name":"k"})");
  EXPECT_NE(canonical_identity("k", "x64", attributes), canonical_identity("k", "x64", {}));
}

std::string rollout(std::string_view stages) {
  return R"({"name":"n","model":"m","release":"1","group":"g","stages":)" + std::string(stages) + "}";
}

TEST(RolloutSpecTest, comes_back_as_it_was_sent) {
  const auto spec =
      decode_rollout_spec(rollout(R"([{"percent":25,"soak_seconds":5,"automatic":true},{"percent":100}])"));
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->stages[0].soak.count(), 5);
  EXPECT_EQ(encode(*decode_rollout_spec(encode(*spec).dump())), encode(*spec));
}

TEST(RolloutSpecTest, faults_are_named_with_their_place) {
  const auto fault = [](std::string_view stages) { return decode_rollout_spec(rollout(stages)).error().message(); };
  EXPECT_EQ(fault("[]"), "/stages: must hold at least one stage");
  EXPECT_EQ(fault("[{}]"), "/stages/0/percent: give either percent or count");
  EXPECT_EQ(fault(R"([{"percent":1,"count":1}])"), "/stages/0/percent: give either percent or count");
  EXPECT_EQ(fault(R"([{"percent":0}])"), "/stages/0/percent: must be above 0");
  EXPECT_EQ(fault(R"([{"percent":101}])"), "/stages/0/percent: must lie between 0.0 and 100.0");
  EXPECT_EQ(fault(R"([{"percent":50},{"percent":50}])"), "/stages: must grow: each stage contains the one before it");
  EXPECT_EQ(fault(R"([{"percent":50,"failure_treshold_percent":1}])"),
            "/stages/0/failure_treshold_percent: is not a field that is known here");
}

TEST(RolloutStatusTest, comes_back_as_it_was_sent) {
  RolloutStatus status;
  status.id = "r-1";
  status.spec = *decode_rollout_spec(rollout(R"([{"count":2},{"percent":100}])"));
  status.state = RolloutState::awaiting_promotion;
  status.created_at = kNoon;
  for (const StageSpec& stage : status.spec.stages)
    status.stages.push_back({.spec = stage, .state = "open", .opened_at = kNoon, .members = 8, .succeeded = 2});
  const auto back = decode_rollout_status(encode(status).dump());
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(encode(*back), encode(status));
}

TEST(ProblemTest, an_error_survives_the_trip_and_a_foreign_body_still_gives_one) {
  const Error error = decode_problem(409, encode_problem(Error(Code::conflict, "the stage has moved on")));
  EXPECT_EQ(error.code(), Code::conflict);
  EXPECT_EQ(error.message(), "the stage has moved on");
  EXPECT_EQ(decode_problem(502, "<html>").code(), Code::unavailable);
  EXPECT_EQ(decode_problem(404, "").code(), Code::not_found);
  EXPECT_EQ(encode_problem(Error(Code::internal, "bad \xff bytes")).find('\xff'), std::string::npos);
}

}  // namespace
}  // namespace drover::wire
