// A device whose clock is wrong, and one whose memory went back: the whole agent over real sockets, with a clock of the
// test's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "agent/app/agent.h"
#include "tests/integration/agent/scene.h"
#include "tests/support/expect.h"

namespace drover::test {
namespace {

using namespace std::chrono_literals;
using agent::Agent;
using testing::HasSubstr;
using wire::Outcome;

// The machine's clock, off by so much.
class WrongClock final : public Clock {
 public:
  explicit WrongClock(std::chrono::seconds off) : off_(off) {}
  WallTime wall() const override { return system_clock().wall() + off_; }
  MonoTime mono() const override { return system_clock().mono(); }

 private:
  std::chrono::seconds off_;
};

const std::chrono::seconds kIn1970 = WallTime(1000s) - system_clock().wall();
const std::chrono::seconds kIn2100 = WallTime(std::chrono::seconds(4'102'444'800)) - system_clock().wall();

class ClockTest : public testing::Test {
 protected:
  ClockTest() { scene_.settings().confirm_without_application = true; }

  FakeServer& server() { return scene_.server(); }
  Published release(const std::string& version, std::int64_t counter = 1) {
    return server().publish("digits", version, counter, small_package("model " + version, 1));
  }
  void start(std::chrono::seconds off, bool synchronised = false) {
    clock_.emplace(off);
    Agent::World world{fs::system_files(), *clock_, system_rng(), [synchronised] { return synchronised; }};
    auto made = Agent::create(io_, scene_.settings(), std::move(world));
    ASSERT_OK(made);
    agent_ = std::move(*made);
    agent_->start();
  }
  void stop() {
    agent_->stop();
    io_.run();
    agent_.reset();
    io_.restart();
  }
  bool run_until(const std::function<bool()>& done, std::chrono::seconds limit = 20s) {
    const MonoTime end = system_clock().mono() + limit;
    while (!done() && system_clock().mono() < end) io_.run_for(10ms);
    return done();
  }
  std::vector<wire::Event> events_of(const std::string& deployment) {
    std::vector<wire::Event> found;
    for (const wire::Event& event : server().events())
      if (event.deployment == deployment) found.push_back(event);
    return found;
  }
  bool succeeded(const std::string& deployment) {
    const auto events = events_of(deployment);
    return !events.empty() && events.back().outcome == Outcome::succeeded;
  }
  bool told(Code code) {
    for (const wire::Event& event : server().events())
      if (event.code == code) return true;
    return false;
  }
  ~ClockTest() override {
    if (agent_) stop();
  }

  Scene scene_;
  boost::asio::io_context io_;
  std::optional<WrongClock> clock_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(ClockTest, a_device_in_1970_installs_and_says_that_its_clock_is_wrong) {
  server().assign(release("1.0.0"), "dep-1");
  start(kIn1970);
  ASSERT_TRUE(run_until([&] { return succeeded("dep-1") && told(Code::precondition_failed); }));
  // What it reports of later steps is dated by the time that it has learnt.
  EXPECT_GT(events_of("dep-1").back().at, system_clock().wall() - 1h);
}

TEST_F(ClockTest, a_device_in_2100_installs_too_and_says_so) {
  server().assign(release("1.0.0"), "dep-1");
  start(kIn2100);
  ASSERT_TRUE(run_until([&] { return succeeded("dep-1") && told(Code::precondition_failed); }));
  EXPECT_LT(events_of("dep-1").back().at, system_clock().wall() + 1h);
}

TEST_F(ClockTest, a_clock_that_was_in_2100_leaves_nothing_behind_once_it_is_right) {
  server().assign(release("1.0.0"), "dep-1");
  start(kIn2100);
  ASSERT_TRUE(run_until([&] { return succeeded("dep-1"); }));
  stop();
  server().assign(release("2.0.0", 2), "dep-2");
  start(0s, true);
  EXPECT_TRUE(run_until([&] { return succeeded("dep-2"); }));
}

TEST_F(ClockTest, a_device_whose_clock_is_believed_does_not_let_a_server_turn_it_back) {
  server().assign(release("1.0.0"), "dep-1");
  start(kIn2100, true);
  ASSERT_TRUE(run_until([&] { return told(Code::metadata_expired); }));
  EXPECT_FALSE(succeeded("dep-1"));
  EXPECT_EQ(scene_.current(), "");
}

TEST_F(ClockTest, without_time_the_answer_to_another_question_says_nothing) {
  server().set({.other_nonce = true});
  server().assign(release("1.0.0"), "dep-1");
  for (const std::chrono::seconds off : {kIn2100, kIn1970}) {
    start(off);
    const int before = server().checkins();
    ASSERT_TRUE(run_until([&] { return server().checkins() > before + 2 && told(Code::metadata_mismatch); }));
    EXPECT_EQ(scene_.current(), "");
    stop();
  }
}

// It was off for longer than its assignment is good for.
TEST_F(ClockTest, an_assignment_that_expired_before_it_began_is_renewed_and_nothing_has_failed) {
  server().first_assignment_life(0s);
  const Published v1 = release("1.0.0");
  server().assign(v1, "dep-1");
  scene_.settings().clock = "untrusted";
  start(kIn1970);  // it cannot tell: accepted by the nonce
  ASSERT_TRUE(run_until([&] { return server().renewals() > 0; })) << "the time that it has learnt says that it is over";
  EXPECT_TRUE(run_until([&] { return succeeded("dep-1"); }));
  for (const auto& event : events_of("dep-1")) EXPECT_EQ(event.code, Code::ok) << "nothing has failed meanwhile";
}

TEST_F(ClockTest, a_device_whose_disk_was_brought_back_from_a_copy_goes_on_behind_what_the_server_knows) {
  server().remember(500, 70);
  server().assign(release("1.0.0"), "dep-1");
  start(0s, true);
  ASSERT_TRUE(run_until([&] { return succeeded("dep-1"); }));
  EXPECT_EQ(server().stale_reports(), 1) << "one is refused, and then it goes on";
  EXPECT_EQ(server().report_counters().front(), 501u);
  EXPECT_GT(events_of("dep-1").front().seq, 70u) << "no event goes under a number that was used";
}

TEST_F(ClockTest, a_failed_installation_deletes_no_trusted_metadata) {
  scene_.validator("echo '" + Scene::verdict(false, "validate_golden") + "'; exit 1");
  server().assign(release("1.0.0"), "dep-1");
  start(0s, true);
  ASSERT_TRUE(run_until([&] { return told(Code::validate_golden); }));
  for (const char* role : {"root", "timestamp", "snapshot", "targets", "digits"})
    EXPECT_TRUE(std::filesystem::exists(scene_.state() + "/metadata/" + role + ".json")) << role;
}

TEST_F(ClockTest, counters_of_reports_grow_over_restarts_too) {
  server().assign(release("1.0.0"), "dep-1");
  start(0s, true);
  ASSERT_TRUE(run_until([&] { return succeeded("dep-1"); }));
  stop();
  server().assign(release("2.0.0", 2), "dep-2");
  start(0s, true);
  ASSERT_TRUE(run_until([&] { return succeeded("dep-2"); }));
  const auto counters = server().report_counters();
  EXPECT_TRUE(std::is_sorted(counters.begin(), counters.end(), std::less_equal<>()));
  EXPECT_EQ(server().stale_reports(), 0);
}

}  // namespace
}  // namespace drover::test
