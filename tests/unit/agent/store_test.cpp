#include "agent/store/store.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "agent/store/codec.h"
#include "tests/support/temp_folder.h"

namespace drover::agent {
namespace {

using namespace std::chrono_literals;
using update::Event;
using update::Step;

class StoreTest : public testing::Test {
 protected:
  StoreTest() { reopen(); }
  void reopen() {
    store_.reset();
    auto opened = Store::open((folder_ / "agent.db").string());
    ASSERT_TRUE(opened) << opened.error().message();
    store_ = std::move(*opened);
  }
  update::Target target(const std::string& deployment) {
    update::Target made;
    made.model = "digits";
    made.release = "1.0.0";
    made.deployment = deployment;
    made.package = "sha256:" + deployment;
    made.release_counter = 3;
    return made;
  }
  void assign(const std::string& deployment) {
    Event event;
    event.kind = Event::Kind::assigned;
    event.target = target(deployment);
    ASSERT_TRUE(store_->apply(update::decide(store_->state(), event), kNow));
  }
  void feed(Event::Kind kind, Code code = Code::ok) {
    Event event;
    event.kind = kind;
    event.code = code;
    event.detail = "so it went";
    ASSERT_TRUE(store_->apply(update::decide(store_->state(), event), kNow));
  }
  void feed_until(Step step) {
    for (int i = 0; i < 20 && store_->state().step != step; ++i) feed(Event::Kind::done);
    ASSERT_EQ(store_->state().step, step);
  }
  void progress(int times) {
    update::Report report;
    report.outcome = wire::Outcome::progress;
    for (int i = 0; i < times; ++i) ASSERT_TRUE(store_->report(store_->state().target, report, kNow));
  }

  static constexpr WallTime kNow{1'000'000s};
  drover::test::TempFolder folder_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreTest, a_new_store_is_idle_and_empty) {
  EXPECT_EQ(store_->state(), update::State());
  EXPECT_TRUE(store_->slots().empty());
  EXPECT_EQ(store_->accepted().version, 0);
  EXPECT_TRUE(store_->pending()->empty());
  EXPECT_FALSE(store_->stopped_cleanly());
}

TEST_F(StoreTest, the_state_is_the_same_after_reopening) {
  assign("dep-1");
  feed_until(Step::activate);
  const update::State before = store_->state();
  reopen();
  EXPECT_EQ(store_->state(), before);
}

TEST_F(StoreTest, a_committed_release_is_in_its_slot_with_its_reports) {
  assign("dep-1");
  feed_until(Step::idle);
  reopen();
  const update::Slot* slot = store_->slot("digits");
  ASSERT_NE(slot, nullptr);
  EXPECT_EQ(slot->current.package, "sha256:dep-1");
  EXPECT_EQ(slot->current.since, kNow);
  EXPECT_EQ(slot->floor, 3);
  EXPECT_EQ(slot->last_deployment, "dep-1");
  const auto events = store_->pending();
  ASSERT_TRUE(events);
  ASSERT_FALSE(events->empty());
  EXPECT_EQ(events->front().seq, 1u);
  EXPECT_EQ(events->back().outcome, wire::Outcome::succeeded);
  EXPECT_EQ(installed(store_->slots()).size(), 1u);
}

TEST_F(StoreTest, a_failed_deployment_is_remembered_and_its_slot_stays_as_it_was) {
  assign("dep-1");
  feed_until(Step::idle);
  assign("dep-2");
  feed(Event::Kind::failed, Code::target_mismatch);
  EXPECT_EQ(store_->slot("digits")->current.package, "sha256:dep-1");
  EXPECT_EQ(store_->slot("digits")->last_deployment, "dep-2");
}

TEST_F(StoreTest, numbers_of_events_are_never_used_again) {
  assign("dep-1");
  const std::uint64_t last = store_->pending()->back().seq;
  ASSERT_TRUE(store_->acknowledge(last));
  EXPECT_TRUE(store_->pending()->empty());
  reopen();
  progress(1);
  EXPECT_EQ(store_->pending()->front().seq, last + 1);
}

TEST_F(StoreTest, the_outbox_drops_the_oldest_progress_first_and_never_what_is_final) {
  assign("dep-1");
  feed(Event::Kind::failed, Code::target_mismatch);
  progress(static_cast<int>(kMaxOutbox) + 50);
  EXPECT_EQ(*store_->pending_count(), static_cast<std::int64_t>(kMaxOutbox));
  const auto events = store_->pending();
  EXPECT_EQ(events->front().outcome, wire::Outcome::failed) << "the started event before it was dropped";
  EXPECT_EQ(events->size(), 1u) << "a batch has no gaps";
  ASSERT_TRUE(store_->acknowledge(events->back().seq));
  EXPECT_EQ(store_->pending()->size(), wire::kMaxEventsPerReport);
}

TEST_F(StoreTest, a_batch_stays_within_what_the_server_takes) {
  assign("dep-1");
  update::Report report;
  report.outcome = wire::Outcome::progress;
  report.evidence = "\"" + std::string(wire::kMaxEvidence - 2, '\\') + "\"";
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(store_->report(target("dep-1"), report, kNow));
  wire::Report batch;
  batch.events = *store_->pending();
  EXPECT_GE(batch.events.size(), 2u);
  wire::CheckinRequest request;
  request.report.emplace();
  request.report->payload = wire::encode(batch).dump();
  EXPECT_LT(wire::encode(request).dump().size(), wire::kMaxCheckinBody);
}

TEST_F(StoreTest, evidence_that_is_too_long_is_left_out_and_words_are_cut) {
  assign("dep-1");
  update::Report report;
  report.evidence = std::string(wire::kMaxEvidence + 1, 'x');
  report.detail = std::string(wire::kMaxDetail - 1, 'x') + "\xc3\xa9";  // e with an accent, two bytes
  ASSERT_TRUE(store_->report(target("dep-1"), report, kNow));
  const wire::Event event = store_->pending()->back();
  EXPECT_EQ(event.evidence, "");
  EXPECT_EQ(event.detail, std::string(wire::kMaxDetail - 1, 'x'));
}

TEST_F(StoreTest, assignment_session_and_time_survive) {
  Accepted accepted;
  accepted.version = 7;
  accepted.document = "signed bytes";
  accepted.targets.push_back(target("dep-7"));
  ASSERT_TRUE(store_->accept(accepted));
  Session session;
  session.token = "t";
  session.expires = kNow;
  session.poll_seconds = 9;
  ASSERT_TRUE(store_->save(session));
  ASSERT_TRUE(store_->raise_time_floor(kNow));
  ASSERT_TRUE(store_->save_reported("digits 1"));
  reopen();
  EXPECT_EQ(store_->accepted().version, 7);
  EXPECT_EQ(store_->accepted().document, "signed bytes");
  ASSERT_EQ(store_->accepted().targets.size(), 1u);
  EXPECT_EQ(store_->accepted().targets[0], target("dep-7"));
  EXPECT_EQ(store_->session().token, "t");
  EXPECT_EQ(store_->session().poll_seconds, 9);
  EXPECT_EQ(store_->time_floor(), kNow);
  EXPECT_EQ(store_->reported(), "digits 1");
}

TEST_F(StoreTest, the_time_floor_only_grows_and_in_steps) {
  ASSERT_TRUE(store_->raise_time_floor(kNow));
  ASSERT_TRUE(store_->raise_time_floor(kNow - 10h));
  ASSERT_TRUE(store_->raise_time_floor(kNow + 1s));
  EXPECT_EQ(store_->time_floor(), kNow);
  ASSERT_TRUE(store_->raise_time_floor(kNow + kTimeFloorStep));
  EXPECT_EQ(store_->time_floor(), kNow + kTimeFloorStep);
}

TEST_F(StoreTest, a_report_counter_is_given_once_whatever_happens) {
  EXPECT_EQ(*store_->next_report_counter(), 1u);
  reopen();
  EXPECT_EQ(*store_->next_report_counter(), 2u);
}

// The disk was brought back from a copy: the server knows reports up to 40 and events up to 7.
TEST_F(StoreTest, what_is_pending_goes_behind_what_the_server_knows) {
  for (const char* name : {"dep-1", "dep-2", "dep-3"}) ASSERT_TRUE(store_->report(target(name), {}, kNow));
  ASSERT_TRUE(store_->acknowledge(1));
  ASSERT_TRUE(store_->go_on_above(40, 7));
  auto events = store_->pending();
  ASSERT_TRUE(events);
  ASSERT_EQ(events->size(), 2u);
  EXPECT_EQ((*events)[0].deployment, "dep-2");
  EXPECT_EQ((*events)[0].seq, 8u);
  EXPECT_EQ((*events)[1].seq, 9u);
  reopen();
  ASSERT_TRUE(store_->report(target("dep-4"), {}, kNow));
  EXPECT_EQ(store_->pending()->back().seq, 10u);
  EXPECT_EQ(*store_->next_report_counter(), 41u);
}

TEST_F(StoreTest, with_nothing_pending_too_what_comes_goes_behind_it) {
  ASSERT_TRUE(store_->go_on_above(5, 100));
  ASSERT_TRUE(store_->report(target("dep-1"), {}, kNow));
  EXPECT_EQ(store_->pending()->front().seq, 101u);
}

TEST_F(StoreTest, what_is_ahead_of_the_server_stays_where_it_is) {
  ASSERT_TRUE(store_->report(target("dep-1"), {}, kNow));
  ASSERT_TRUE(store_->acknowledge(1));
  ASSERT_TRUE(store_->report(target("dep-2"), {}, kNow));
  ASSERT_TRUE(store_->go_on_above(9, 1));
  EXPECT_EQ(store_->pending()->front().seq, 2u);
}

TEST_F(StoreTest, another_key_is_another_device_and_has_no_session_yet) {
  ASSERT_TRUE(store_->save_device_id("d1"));
  ASSERT_TRUE(store_->save(Session{.token = "t", .expires = kNow, .poll_seconds = 9}));
  ASSERT_TRUE(store_->save_device_id("d1"));
  EXPECT_EQ(store_->session().token, "t");
  ASSERT_TRUE(store_->save_device_id("d2"));
  EXPECT_EQ(store_->session().token, "");
  reopen();
  EXPECT_EQ(store_->session().token, "");
  EXPECT_EQ(store_->device_id(), "d2");
}

TEST_F(StoreTest, a_stop_in_good_order_is_known_once) {
  ASSERT_TRUE(store_->mark_clean_stop());
  reopen();
  EXPECT_TRUE(store_->stopped_cleanly());
  reopen();
  EXPECT_FALSE(store_->stopped_cleanly()) << "this time it was not said";
}

TEST_F(StoreTest, traffic_begins_anew_with_each_deployment) {
  assign("dep-1");
  Traffic traffic;
  traffic.fetched = 10;
  traffic.resumed = 4;
  ASSERT_TRUE(store_->save_done(traffic));
  reopen();
  EXPECT_EQ(store_->traffic_done().fetched, 10u);
  EXPECT_EQ(store_->traffic().resumed, 4u);
  feed(Event::Kind::failed, Code::target_mismatch);
  EXPECT_EQ(store_->pending()->back().bytes_fetched, 10u);
  assign("dep-2");
  EXPECT_EQ(store_->traffic_done().fetched, 0u);
  EXPECT_EQ(store_->pending()->back().bytes_fetched, 0u);
}

TEST_F(StoreTest, another_process_may_look_on_without_changing_anything) {
  assign("dep-1");
  ASSERT_TRUE(store_->mark_clean_stop());
  {
    const auto looker = Store::open_to_read((folder_ / "agent.db").string());
    ASSERT_TRUE(looker) << looker.error().message();
    EXPECT_EQ((*looker)->state(), store_->state());
  }
  reopen();
  EXPECT_TRUE(store_->stopped_cleanly());
}

TEST_F(StoreTest, a_file_of_something_else_is_refused) {
  EXPECT_FALSE(Store::open(folder_.write("other.db", std::string(5000, 'x')).string()));
}

TEST(Codec, fields_of_other_versions_are_passed_over_or_take_defaults) {
  const auto state = decode_state(R"({"version":9,"step":"fetch","colour":"blue"})");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->step, Step::fetch);
  EXPECT_EQ(decode_state(R"({"step":"dance"})").error().code(), Code::malformed);
  EXPECT_EQ(decode_slot("{}").error().code(), Code::malformed);
}

TEST(Codec, a_state_reads_back_as_it_was) {
  update::State state;
  state.step = Step::roll_back;
  state.target.model = "m";
  state.target.rollback = true;
  state.previous = "sha256:p";
  state.attempts = 2;
  state.starts = 3;
  state.refetches = 1;
  state.confirmation = {.deadline = 5s, .healthy_reports = 6, .max_restarts = 7};
  state.trial_began = {"boot", std::chrono::nanoseconds(123456789012345)};
  state.code = Code::unhealthy;
  state.detail = "caf\xc3\xa9";
  EXPECT_EQ(*decode_state(encode(state)), state);
}

}  // namespace
}  // namespace drover::agent
