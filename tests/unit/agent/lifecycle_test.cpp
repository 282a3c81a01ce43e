// The device's life-cycle: one scenario for each path through the table, then the table as a whole.
#include "agent/update/lifecycle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace drover::update {
namespace {

using namespace std::chrono_literals;
using Kind = Event::Kind;

Target a_target() {
  return {.model = "digits",
          .release = "2.0.0",
          .deployment = "dep-2",
          .package = "sha256:new",
          .index = "sha256:index",
          .index_size = 100,
          .release_counter = 2,
          .rollback = false};
}

Event make_event(Kind kind) {
  Event event;
  event.kind = kind;
  return event;
}
Event assigned(std::string previous = "sha256:old") {
  Event event = make_event(Kind::assigned);
  event.target = a_target();
  event.previous = std::move(previous);
  return event;
}
Event done() { return make_event(Kind::done); }
Event failed(Code code, bool retryable = false) {
  Event event = make_event(Kind::failed);
  event.code = code;
  event.detail = "it went wrong";
  event.retryable = retryable;
  return event;
}
Event progressed(Code code) {
  Event event = failed(code, true);
  event.progressed = true;
  return event;
}
Event withdrawn(Code code) {
  Event event = make_event(Kind::withdrawn);
  event.code = code;
  return event;
}
Event restarted(std::string boot = "boot-1", std::chrono::nanoseconds since_boot = 1s) {
  Event event = make_event(Kind::restarted);
  event.now = {std::move(boot), since_boot};
  return event;
}
Event stopped_and_restarted() {
  Event event = restarted();
  event.clean = true;
  return event;
}
Event validated() {
  Event event = done();
  event.confirmation = {.deadline = 20s, .healthy_reports = 3, .max_restarts = 2};
  event.now = {"boot-1", 0s};
  event.evidence = R"({"verdict":"pass"})";
  return event;
}

// The way from idle to `step` when all goes well.
std::vector<Event> up_to(Step step) {
  std::vector<Event> events{assigned()};
  const Step order[] = {Step::sync,     Step::preflight, Step::fetch,   Step::verify, Step::stage,
                        Step::validate, Step::activate,  Step::confirm, Step::commit};
  for (const Step next : order) {
    if (next == step) return events;
    events.push_back(next == Step::validate ? validated() : done());
  }
  return events;
}
std::vector<Event> then(std::vector<Event> events, std::initializer_list<Event> more) {
  events.insert(events.end(), more);
  return events;
}
std::vector<Event> rolling_back() { return then(up_to(Step::confirm), {failed(Code::unhealthy)}); }

struct Ran {
  State state;
  std::string steps;    // every state entered, in order
  std::string reports;  // "step outcome code" in order
  int records = 0;
  int finishes = 0;
  int waits = 0;
  std::set<std::size_t> rows;
};

Ran run(const std::vector<Event>& events) {
  Ran ran;
  for (const Event& event : events) {
    ran.rows.insert(row_for(ran.state, event));
    Decision decision = decide(ran.state, event);
    if (!ran.steps.empty()) ran.steps += ' ';
    ran.steps += to_text(decision.next.step);
    for (const Report& report : decision.reports) {
      if (!ran.reports.empty()) ran.reports += ", ";
      ran.reports += std::string(wire::to_text(report.step)) + ' ' + std::string(wire::to_text(report.outcome));
      if (report.code != Code::ok) ran.reports += ' ' + std::string(code_name(report.code));
    }
    ran.records += decision.record;
    ran.finishes += decision.finished;
    ran.waits += decision.wait;
    ran.state = decision.next;
  }
  return ran;
}

struct Scenario {
  std::string name;
  std::vector<Event> events;
  std::string steps;
  std::string reports;
  int records = 0;
  int finishes = 1;
};
void PrintTo(const Scenario& scenario, std::ostream* out) { *out << scenario.name; }

constexpr const char* kToFetch = "sync preflight fetch";
constexpr const char* kToValidate = "sync preflight fetch verify stage validate";
constexpr const char* kToConfirm = "sync preflight fetch verify stage validate activate confirm";
constexpr const char* kStartedFetch = "sync started, fetch started";
constexpr const char* kStartedValidate = "sync started, fetch started, validate started";
constexpr const char* kStartedConfirm =
    "sync started, fetch started, validate started, validate progress, confirm started";

std::vector<Event> exhausted(std::vector<Event> events, const Event& event, int times) {
  for (int i = 0; i < times; ++i) events.push_back(event);
  return events;
}
std::string repeated(const std::string& first, const std::string& step, int times, const std::string& last) {
  std::string text = first;
  for (int i = 0; i < times; ++i) text += " " + step;
  return text + " " + last;
}

// tidy: long because it is one table, a record for each scenario.
std::vector<Scenario> scenarios() {
  const std::string confirm = kToConfirm, validate = kToValidate, fetch = kToFetch;
  const std::string started = kStartedConfirm, until_fetch = kStartedFetch, until_validate = kStartedValidate;
  Event held_already = assigned("sha256:new");
  return {
      {"a_good_release_is_committed", then(up_to(Step::commit), {done()}), confirm + " commit idle",
       started + ", commit succeeded", 1},
      {"the_first_release_of_a_device_is_committed",
       [] {
         auto events = then(up_to(Step::commit), {done()});
         events[0].previous.clear();
         return events;
       }(),
       confirm + " commit idle", started + ", commit succeeded", 1},
      {"what_the_slot_holds_already_is_only_recorded",
       {held_already, done(), done()},
       "sync commit idle",
       "sync started, commit succeeded",
       1},

      {"disagreement_of_director_and_releases_is_refused", then(up_to(Step::sync), {failed(Code::target_mismatch)}),
       "sync idle", "sync started, sync failed target_mismatch"},
      {"a_server_that_cannot_be_reached_is_tried_again",
       then(up_to(Step::sync), {failed(Code::unavailable, true), done()}), "sync sync preflight", "sync started", 0, 0},
      {"sync_is_given_up_in_the_end", exhausted(up_to(Step::sync), failed(Code::unavailable, true), 10),
       repeated("sync", "sync", 9, "idle"), "sync started, sync failed unavailable"},
      {"no_room_on_the_disk_is_told", then(up_to(Step::preflight), {failed(Code::preflight_disk)}),
       "sync preflight idle", "sync started, preflight failed preflight_disk"},
      {"a_download_that_breaks_is_resumed", then(up_to(Step::fetch), {failed(Code::fetch_failed, true), done()}),
       fetch + " fetch verify", until_fetch, 0, 0},
      {"a_download_that_never_gains_is_given_up", exhausted(up_to(Step::fetch), failed(Code::fetch_failed, true), 12),
       repeated(fetch, "fetch", 11, "idle"), until_fetch + ", fetch failed fetch_attempts_exhausted"},
      {"a_download_that_gains_a_little_each_time_goes_on",
       then(exhausted(up_to(Step::fetch), progressed(Code::fetch_failed), 40), {done()}),
       repeated(fetch, "fetch", 40, "verify"), until_fetch, 0, 0},
      {"a_body_of_the_wrong_size_is_refused_at_once", then(up_to(Step::fetch), {failed(Code::size_mismatch)}),
       fetch + " idle", until_fetch + ", fetch failed size_mismatch"},
      {"bytes_that_rotted_on_the_disk_are_fetched_once_more",
       then(up_to(Step::verify), {failed(Code::digest_mismatch, true), done(), done()}),
       fetch + " verify fetch verify stage", until_fetch, 0, 0},
      {"bytes_that_rot_again_are_refused",
       then(up_to(Step::verify), {failed(Code::digest_mismatch, true), done(), failed(Code::digest_mismatch, true),
                                  failed(Code::digest_mismatch, true)}),
       fetch + " verify fetch verify verify idle", until_fetch + ", verify failed digest_mismatch"},
      {"an_unsafe_path_is_refused", then(up_to(Step::stage), {failed(Code::unsafe_path)}), fetch + " verify stage idle",
       until_fetch + ", stage failed unsafe_path"},
      {"a_model_that_fails_its_golden_set_never_runs", then(up_to(Step::validate), {failed(Code::validate_golden)}),
       validate + " idle", until_validate + ", validate failed validate_golden"},
      {"validation_is_not_tried_twice", then(up_to(Step::validate), {failed(Code::validate_timeout, true)}),
       validate + " idle", until_validate + ", validate failed validate_timeout"},
      {"a_link_that_cannot_be_flipped_is_tried_again", then(up_to(Step::activate), {failed(Code::io, true), done()}),
       validate + " activate activate confirm", started, 0, 0},
      {"an_activation_that_fails_is_undone", then(up_to(Step::activate), {failed(Code::activate_failed), done()}),
       validate + " activate roll_back idle",
       "sync started, fetch started, validate started, validate progress, roll_back rolled_back activate_failed"},

      {"an_unhealthy_application_brings_the_old_release_back", then(rolling_back(), {done()}),
       confirm + " roll_back idle", started + ", roll_back rolled_back unhealthy"},
      {"silence_of_the_application_brings_the_old_release_back",
       then(up_to(Step::confirm), {failed(Code::health_silence), done()}), confirm + " roll_back idle",
       started + ", roll_back rolled_back health_silence"},
      {"a_crash_loop_of_the_application_brings_the_old_release_back",
       then(up_to(Step::confirm), {failed(Code::app_crash_loop), done()}), confirm + " roll_back idle",
       started + ", roll_back rolled_back app_crash_loop"},
      {"a_commit_that_fails_is_tried_again", then(up_to(Step::commit), {failed(Code::io, true), done()}),
       confirm + " commit commit idle", started + ", commit succeeded", 1},
      {"a_commit_that_finds_another_link_is_undone", then(up_to(Step::commit), {failed(Code::activate_failed), done()}),
       confirm + " commit roll_back idle", started + ", roll_back rolled_back activate_failed"},
      {"a_rollback_that_fails_is_tried_again", then(rolling_back(), {failed(Code::io, true), done()}),
       confirm + " roll_back roll_back idle", started + ", roll_back rolled_back unhealthy"},
      {"a_rollback_that_never_works_is_told_and_ended", exhausted(rolling_back(), failed(Code::io, true), 10),
       repeated(confirm + " roll_back", "roll_back", 9, "idle"), started + ", roll_back failed attempts_exhausted"},

      {"a_halt_before_the_trial_ends_the_deployment", then(up_to(Step::fetch), {withdrawn(Code::halted)}),
       fetch + " idle", until_fetch + ", fetch aborted halted"},
      {"a_newer_assignment_ends_the_deployment", then(up_to(Step::validate), {withdrawn(Code::superseded)}),
       validate + " idle", until_validate + ", validate aborted superseded"},
      {"a_halt_on_trial_brings_the_old_release_back", then(up_to(Step::confirm), {withdrawn(Code::halted), done()}),
       confirm + " roll_back idle", started + ", roll_back rolled_back halted"},
      {"a_halt_during_activation_brings_the_old_release_back",
       then(up_to(Step::activate), {withdrawn(Code::superseded), done()}), validate + " activate roll_back idle",
       "sync started, fetch started, validate started, validate progress, roll_back rolled_back superseded"},
      {"a_halt_comes_too_late_for_a_commit", then(up_to(Step::commit), {withdrawn(Code::halted), done()}),
       confirm + " commit commit idle", started + ", commit succeeded", 1},
      {"a_halt_does_not_disturb_a_rollback", then(rolling_back(), {withdrawn(Code::halted), done()}),
       confirm + " roll_back roll_back idle", started + ", roll_back rolled_back unhealthy"},

      {"an_agent_killed_while_fetching_goes_on", then(up_to(Step::fetch), {restarted(), done()}),
       fetch + " fetch verify", until_fetch, 0, 0},
      {"a_crash_loop_of_the_agent_ends_the_deployment", exhausted(up_to(Step::stage), restarted(), 5),
       repeated(fetch + " verify stage", "stage", 4, "idle"), until_fetch + ", stage failed agent_crash_loop"},
      {"stops_in_good_order_are_no_crash_loop", exhausted(up_to(Step::stage), stopped_and_restarted(), 20),
       repeated(fetch + " verify stage", "stage", 19, "stage"), until_fetch, 0, 0},
      {"one_reboot_during_validation_is_forgiven", then(up_to(Step::validate), {restarted("boot-2"), validated()}),
       validate + " validate activate", until_validate + ", validate progress", 0, 0},
      {"two_reboots_during_validation_are_the_models_fault",
       then(up_to(Step::validate), {restarted("boot-2"), restarted("boot-3")}), validate + " validate idle",
       until_validate + ", validate failed validate_rebooted"},
      {"an_expired_trial_is_undone_before_anything_else",
       then(up_to(Step::confirm), {restarted("boot-1", 20s), done()}), confirm + " roll_back idle",
       started + ", roll_back rolled_back health_silence"},
      {"a_trial_goes_on_when_the_agent_comes_back_in_time",
       then(up_to(Step::confirm), {restarted("boot-1", 19s), done()}), confirm + " confirm commit", started, 0, 0},
      {"a_trial_begins_anew_after_a_reboot", then(up_to(Step::confirm), {restarted("boot-2", 500s), done()}),
       confirm + " confirm commit", started, 0, 0},
      {"a_device_that_reboots_again_and_again_on_trial_goes_back",
       then(up_to(Step::confirm),
            {restarted("boot-2"), restarted("boot-3"), restarted("boot-4"), restarted("boot-5"), done()}),
       confirm + " confirm confirm confirm roll_back idle", started + ", roll_back rolled_back agent_crash_loop"},
      {"a_commit_is_finished_after_a_crash", then(up_to(Step::commit), {restarted(), done()}),
       confirm + " commit commit idle", started + ", commit succeeded", 1},
      {"a_commit_that_kills_the_agent_is_undone", then(exhausted(up_to(Step::commit), restarted(), 5), {done()}),
       repeated(confirm + " commit", "commit", 4, "roll_back") + " idle",
       started + ", roll_back rolled_back agent_crash_loop"},
      {"a_rollback_is_finished_after_a_crash", then(rolling_back(), {restarted(), done()}),
       confirm + " roll_back roll_back idle", started + ", roll_back rolled_back unhealthy"},
      {"a_rollback_that_kills_the_agent_ends", exhausted(rolling_back(), restarted(), 10),
       repeated(confirm + " roll_back", "roll_back", 9, "idle"), started + ", roll_back failed agent_crash_loop"},
      {"an_idle_device_restarts_and_stays_idle", {restarted()}, "idle", "", 0, 0},
  };
}

class Path : public testing::TestWithParam<Scenario> {};

TEST_P(Path, goes_as_written) {
  const Scenario& scenario = GetParam();
  const Ran ran = run(scenario.events);
  EXPECT_EQ(ran.steps, scenario.steps);
  EXPECT_EQ(ran.reports, scenario.reports);
  EXPECT_EQ(ran.records, scenario.records);
  EXPECT_EQ(ran.finishes, scenario.finishes);
}
INSTANTIATE_TEST_SUITE_P(Scenario, Path, testing::ValuesIn(scenarios()),
                         [](const auto& scenario) { return scenario.param.name; });

TEST(Lifecycle, every_row_of_the_table_is_taken_by_a_scenario) {
  std::set<std::size_t> taken;
  for (const Scenario& scenario : scenarios()) taken.merge(run(scenario.events).rows);
  const auto rows = table();
  for (std::size_t i = 0; i < rows.size(); ++i)
    EXPECT_TRUE(taken.contains(i)) << "row " << i << ": " << to_text(rows[i].from.front()) << ", guard "
                                   << rows[i].guard << ", " << rows[i].effects;
}

TEST(Lifecycle, every_pair_of_state_and_event_is_decided_or_knowingly_ignored) {
  std::string ignored;
  for (std::size_t step = 0; step < kSteps; ++step)
    for (const Kind kind : {Kind::assigned, Kind::done, Kind::failed, Kind::withdrawn, Kind::restarted}) {
      State state;
      state.step = static_cast<Step>(step);
      state.target = a_target();
      const Decision decision = decide(state, make_event(kind));
      if (decision.taken) continue;
      EXPECT_EQ(decision.next, state);
      EXPECT_TRUE(decision.reports.empty());
      ignored += std::string(to_text(state.step)) + ":" + std::to_string(static_cast<int>(kind)) + " ";
    }
  EXPECT_EQ(ignored,
            "idle:1 idle:2 idle:3 idle:4 "                                        // nothing is under way
            "sync:0 preflight:0 fetch:0 verify:0 stage:0 validate:0 activate:0 "  // one deployment at a time
            "confirm:0 commit:0 commit:3 roll_back:0 roll_back:3 ");              // finished first
}

TEST(Lifecycle, whatever_happens_a_deployment_ends_and_tells_so_exactly_once) {
  // Every event at every point of the straight way, then the same event for ever, then `done` for ever.
  for (std::size_t step = 1; step < kSteps - 1; ++step)
    for (const Event& event : {failed(Code::io, true), failed(Code::io), withdrawn(Code::halted), restarted()}) {
      auto events = up_to(static_cast<Step>(step));
      for (int i = 0; i < 60; ++i) events.push_back(event);
      for (int i = 0; i < 12; ++i) events.push_back(validated());
      const Ran ran = run(events);
      EXPECT_EQ(ran.state.step, Step::idle) << "from " << to_text(static_cast<Step>(step));
      EXPECT_EQ(ran.finishes, 1) << "from " << to_text(static_cast<Step>(step));
    }
}

TEST(Lifecycle, the_terms_of_the_trial_are_written_before_the_link_is_flipped) {
  const State state = run(up_to(Step::activate)).state;
  EXPECT_EQ(state.confirmation.deadline, 20s);
  EXPECT_EQ(state.confirmation.healthy_reports, 3);
  EXPECT_EQ(state.trial_began.boot, "boot-1");
}

TEST(Lifecycle, the_device_starts_too_often_on_trial_only_after_three_free_ones) {
  auto events = up_to(Step::confirm);
  for (int i = 0; i < 3; ++i) events.push_back(restarted("boot-" + std::to_string(i + 2)));
  EXPECT_EQ(run(events).state.step, Step::confirm);
  events.push_back(restarted("boot-9"));
  const State state = run(events).state;
  EXPECT_EQ(state.step, Step::roll_back);
  EXPECT_EQ(state.code, Code::agent_crash_loop);
}

TEST(Lifecycle, evidence_travels_with_the_verdict) {
  const Decision good = decide(run(up_to(Step::validate)).state, validated());
  ASSERT_EQ(good.reports.size(), 1u);
  EXPECT_EQ(good.reports[0].evidence, R"({"verdict":"pass"})");
  Event bad = failed(Code::validate_golden);
  bad.evidence = R"({"verdict":"fail"})";
  const Decision refused = decide(run(up_to(Step::validate)).state, bad);
  ASSERT_EQ(refused.reports.size(), 1u);
  EXPECT_EQ(refused.reports[0].evidence, R"({"verdict":"fail"})");
}

TEST(Lifecycle, a_step_begins_with_fresh_counters) {
  const State state = run(then(up_to(Step::fetch), {failed(Code::fetch_failed, true), restarted(), done()})).state;
  EXPECT_EQ(state.step, Step::verify);
  EXPECT_EQ(state.attempts, 0);
  EXPECT_EQ(state.starts, 0);
}

TEST(Lifecycle, step_names_read_back) {
  for (std::size_t step = 0; step < kSteps; ++step)
    EXPECT_EQ(step_from_text(to_text(static_cast<Step>(step))), static_cast<Step>(step));
  EXPECT_FALSE(step_from_text("sunk"));
}

TEST(Backoff, grows_to_its_cap_and_is_random_within_half) {
  EXPECT_GE(backoff(1, 0), 1s);
  EXPECT_LT(backoff(1, UINT64_MAX), 2s);
  EXPECT_GE(backoff(100, 0), 300s);
  EXPECT_LT(backoff(100, UINT64_MAX), 600s);
  for (int attempts = 0; attempts < 100; ++attempts) EXPECT_LE(backoff(attempts, 7), backoff(attempts + 1, 7) + 7ms);
}

}  // namespace
}  // namespace drover::update
