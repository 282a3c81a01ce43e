// The whole agent over real sockets, against a small server: each promise of a deployment, seen from outside.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/crypto/hash.h"
#include "common/rng/rng.h"
#include "tests/integration/agent/scene.h"

namespace drover::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using wire::Outcome;
using wire::Step;

std::string bytes_of(std::size_t size, unsigned seed = 1) {
  std::string bytes(size, '\0');
  SeededRng rng(seed);
  rng.fill({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  return bytes;
}

class AgentTest : public testing::Test {
 protected:
  Published release(const std::string& version, std::int64_t counter = 1, const PackageFiles& extra = {},
                    int deadline = 5) {
    return scene_.server().publish("digits", version, counter, small_package("model " + version, deadline, extra));
  }
  // Brings the device to version 1.
  Published settled() {
    const Published v1 = release("1.0.0");
    scene_.server().assign(v1, "dep-1");
    scene_.start();
    EXPECT_EQ(scene_.outcome("dep-1")->outcome, Outcome::succeeded);
    EXPECT_EQ(scene_.current(), v1.package);
    return v1;
  }
  void expect_outcome(const std::string& deployment, Outcome outcome, Code code, Step step) {
    const auto event = scene_.outcome(deployment);
    ASSERT_TRUE(event);
    EXPECT_EQ(wire::to_text(event->outcome), wire::to_text(outcome)) << event->detail;
    EXPECT_EQ(code_name(event->code), code_name(code)) << event->detail;
    EXPECT_EQ(wire::to_text(event->step), wire::to_text(step));
  }
  int finals(const std::string& deployment) {
    int count = 0;
    for (const wire::Event& event : scene_.server().events())
      count += event.deployment == deployment && wire::is_final(event.outcome);
    return count;
  }
  Scene scene_;
};

TEST_F(AgentTest, enrols_installs_validates_confirms_and_reports) {
  const Published v1 = release("1.0.0");
  scene_.server().assign(v1, "dep-1");
  scene_.start();
  expect_outcome("dep-1", Outcome::succeeded, Code::ok, Step::commit);
  EXPECT_EQ(scene_.current(), v1.package);
  EXPECT_EQ(scene_.current_file("model.onnx"), "model 1.0.0");
  EXPECT_THAT(scene_.app().switches(), ElementsAre(v1.package));
  ASSERT_EQ(scene_.server().installed().size(), 1u);
  EXPECT_EQ(scene_.server().installed()[0].release, "1.0.0");
  EXPECT_EQ(scene_.server().sessions(), 1);
  scene_.stop();
}

TEST_F(AgentTest, goes_to_the_next_release_and_keeps_the_one_before_on_its_disk) {
  const Published v1 = settled();
  const Published v2 = release("2.0.0", 2);
  scene_.server().assign(v2, "dep-2");
  expect_outcome("dep-2", Outcome::succeeded, Code::ok, Step::commit);
  EXPECT_EQ(scene_.current(), v2.package);
  EXPECT_TRUE(fs::exists(fs::system_files(), scene_.state() + "/packages/" + v1.package.substr(7)));
}

TEST_F(AgentTest, refuses_before_activation_what_fails_validation) {
  const Published v1 = settled();
  scene_.validator("echo '" + Scene::verdict(false, "validate_golden") + "'; exit 1");
  scene_.server().assign(release("2.0.0", 2), "dep-2");
  expect_outcome("dep-2", Outcome::failed, Code::validate_golden, Step::validate);
  EXPECT_EQ(scene_.current(), v1.package);
  EXPECT_THAT(scene_.outcome("dep-2")->evidence, HasSubstr("validate_golden"));
  EXPECT_THAT(scene_.app().switches(), ElementsAre(v1.package));
}

TEST_F(AgentTest, a_validator_that_crashes_hangs_or_is_not_there_is_told_apart) {
  settled();
  scene_.validator("kill -SEGV $$");
  scene_.server().assign(release("2.0.0", 2), "crash");
  expect_outcome("crash", Outcome::failed, Code::validate_crash, Step::validate);
  scene_.validator("echo nonsense");
  scene_.server().assign(release("2.0.1", 2), "nonsense");
  expect_outcome("nonsense", Outcome::failed, Code::validate_crash, Step::validate);
  scene_.validator("exec sleep 60");
  scene_.server().assign(release("2.0.2", 2), "hang");
  expect_outcome("hang", Outcome::failed, Code::validate_timeout, Step::validate);
}

TEST_F(AgentTest, follows_another_release_manager_and_refuses_the_removed_one_whatever_the_server_says) {
  settled();
  scene_.server().replace_manager("digits");
  const Published v2 = release("2.0.0", 2);
  scene_.server().assign(v2, "dep-2");
  expect_outcome("dep-2", Outcome::succeeded, Code::ok, Step::commit);
  scene_.server().let_removed_manager_sign("digits");
  scene_.server().assign(release("3.0.0", 3), "dep-3");
  expect_outcome("dep-3", Outcome::failed, Code::threshold_not_met, Step::sync);
  EXPECT_EQ(scene_.current(), v2.package);
}

TEST_F(AgentTest, a_deployment_under_way_goes_on_when_the_director_gets_another_key) {
  settled();
  FakeServer::Faults faults;
  faults.corrupt_blobs = true;
  faults.only_larger_than = 0;
  scene_.server().set(faults);  // it cannot get past its first step
  const Published v2 = release("2.0.0", 2);
  const std::size_t before = scene_.server().blob_requests().size();
  scene_.server().assign(v2, "dep-2");
  ASSERT_TRUE(scene_.run_until([&] { return scene_.server().blob_requests().size() > before; }));
  scene_.server().replace_director();
  scene_.server().set({});
  expect_outcome("dep-2", Outcome::succeeded, Code::ok, Step::commit);
  EXPECT_EQ(scene_.current(), v2.package);
  EXPECT_EQ(finals("dep-2"), 1);
}

TEST_F(AgentTest, comes_back_by_itself_when_the_application_is_not_well) {
  const Published v1 = settled();
  const Published v2 = release("2.0.0", 2);
  scene_.app().mood(v2.package, TestApp::Mood::unwell);
  scene_.server().assign(v2, "dep-2");
  expect_outcome("dep-2", Outcome::rolled_back, Code::unhealthy, Step::roll_back);
  EXPECT_EQ(scene_.current(), v1.package);
  EXPECT_THAT(scene_.app().switches(), ElementsAre(v1.package, v2.package, v1.package));
  EXPECT_EQ(scene_.server().installed()[0].package, v1.package);
}

TEST_F(AgentTest, comes_back_by_itself_when_the_application_falls_silent) {
  const Published v1 = settled();
  const Published v2 = release("2.0.0", 2, {}, 1);
  scene_.app().mood(v2.package, TestApp::Mood::silent);
  scene_.server().assign(v2, "dep-2");
  expect_outcome("dep-2", Outcome::rolled_back, Code::health_silence, Step::roll_back);
  EXPECT_EQ(scene_.current(), v1.package);
}

TEST_F(AgentTest, comes_back_by_itself_when_the_application_crashes_in_a_loop) {
  const Published v1 = settled();
  const Published v2 = release("2.0.0", 2);
  scene_.app().mood(v2.package, TestApp::Mood::crashing);
  scene_.server().assign(v2, "dep-2");
  expect_outcome("dep-2", Outcome::rolled_back, Code::app_crash_loop, Step::roll_back);
  EXPECT_EQ(scene_.current(), v1.package);
}

TEST_F(AgentTest, the_first_release_that_fails_leaves_the_slot_empty) {
  const Published v1 = release("1.0.0");
  scene_.app().mood(v1.package, TestApp::Mood::unwell);
  scene_.server().assign(v1, "dep-1");
  scene_.start();
  expect_outcome("dep-1", Outcome::rolled_back, Code::unhealthy, Step::roll_back);
  EXPECT_EQ(scene_.current(), "");
  EXPECT_TRUE(scene_.server().installed().empty());
}

TEST_F(AgentTest, is_sent_back_by_the_server_from_its_own_disk) {
  const Published v1 = settled();
  scene_.server().assign(release("2.0.0", 1), "dep-2");
  expect_outcome("dep-2", Outcome::succeeded, Code::ok, Step::commit);
  const std::size_t asked = scene_.server().blob_requests().size();
  scene_.server().assign(v1, "dep-3", true);
  expect_outcome("dep-3", Outcome::succeeded, Code::ok, Step::commit);
  EXPECT_EQ(scene_.current(), v1.package);
  EXPECT_EQ(scene_.outcome("dep-3")->bytes_fetched, 0u);
  EXPECT_LE(scene_.server().blob_requests().size(), asked + 1) << "at most the small release index";
}

TEST_F(AgentTest, a_counter_below_the_floor_is_refused) {
  settled();
  const Published v2 = release("2.0.0", 5);
  scene_.server().assign(v2, "dep-2");
  expect_outcome("dep-2", Outcome::succeeded, Code::ok, Step::commit);
  const Published old = release("1.5.0", 4);
  scene_.server().assign(old, "dep-3", true);
  expect_outcome("dep-3", Outcome::failed, Code::counter_below_floor, Step::sync);
  EXPECT_EQ(scene_.current(), v2.package);
}

TEST_F(AgentTest, a_release_that_the_managers_withdrew_is_refused) {
  const Published v1 = settled();
  const Published v2 = release("2.0.0", 2);
  scene_.server().withdraw(v2);
  scene_.server().assign(v2, "dep-2");
  expect_outcome("dep-2", Outcome::failed, Code::target_not_listed, Step::sync);
  EXPECT_EQ(scene_.current(), v1.package);
}

TEST_F(AgentTest, a_director_that_disagrees_with_the_managers_is_refused) {
  const Published v1 = settled();
  scene_.server().assign(release("2.0.0", 2), "dep-2");
  scene_.server().forge(FakeServer::Forgery::wrong_length);
  expect_outcome("dep-2", Outcome::failed, Code::target_mismatch, Step::sync);
  EXPECT_EQ(scene_.current(), v1.package);
}

TEST_F(AgentTest, forged_assignments_are_refused_told_and_never_acted_on) {
  const Published v1 = settled();
  const Published v2 = release("2.0.0", 2);
  const std::pair<FakeServer::Forgery, Code> forgeries[] = {{FakeServer::Forgery::wrong_device, Code::wrong_device},
                                                            {FakeServer::Forgery::other_key, Code::threshold_not_met},
                                                            {FakeServer::Forgery::expired, Code::metadata_expired}};
  for (const auto& [forgery, code] : forgeries) {
    const std::string deployment = "forged-" + std::string(code_name(code));
    scene_.server().assign(v2, deployment);
    scene_.server().forge(forgery);
    const auto told = [&, code = code] {
      for (const wire::Event& event : scene_.server().events())
        if (event.deployment == deployment && event.code == code && event.outcome == Outcome::progress) return true;
      return false;
    };
    EXPECT_TRUE(scene_.run_until(told)) << code_name(code);
    EXPECT_EQ(finals(deployment), 0);
    EXPECT_EQ(scene_.current(), v1.package);
    scene_.kill();  // else the next round would wait for the backoff
    scene_.start();
  }
}

TEST_F(AgentTest, a_halt_reaches_a_download_under_way) {
  const Published v1 = settled();
  scene_.stop();
  scene_.settings().max_rate = 64 * 1024;
  const Published v2 = release("2.0.0", 2, {{"weights", bytes_of(4 << 20)}});
  scene_.server().assign(v2, "dep-2");
  scene_.start();
  EXPECT_TRUE(scene_.run_until([&] {
    return fs::exists(fs::system_files(), scene_.state() + "/staging/" + v2.blobs.at("weights").substr(7) + ".part");
  }));
  scene_.server().assign_nothing();
  expect_outcome("dep-2", Outcome::aborted, Code::halted, Step::fetch);
  EXPECT_EQ(scene_.current(), v1.package);
}

TEST_F(AgentTest, a_halt_on_trial_brings_the_release_before_back) {
  const Published v1 = settled();
  const Published v2 = release("2.0.0", 2, {}, 25);
  scene_.app().mood(v2.package, TestApp::Mood::silent);
  scene_.server().assign(v2, "dep-2");
  EXPECT_TRUE(scene_.run_until([&] { return scene_.current() == v2.package; }));
  scene_.server().assign_nothing();
  expect_outcome("dep-2", Outcome::rolled_back, Code::halted, Step::roll_back);
  EXPECT_EQ(scene_.current(), v1.package);
}

TEST_F(AgentTest, a_killed_agent_resumes_its_download_and_pays_for_no_byte_twice) {
  settled();
  scene_.stop();
  scene_.settings().max_rate = 1 << 20;
  const std::string weights = bytes_of(3 << 20);
  const Published v2 = release("2.0.0", 2, {{"weights", weights}});
  const std::string part = scene_.state() + "/staging/" + v2.blobs.at("weights").substr(7) + ".part";
  scene_.server().assign(v2, "dep-2");
  scene_.start();
  EXPECT_TRUE(scene_.run_until([&] {
    const auto info = fs::system_files().info(part);
    return info && info->size > 1'000'000;
  }));
  scene_.kill();
  const std::uint64_t had = fs::system_files().info(part)->size;
  scene_.start();
  expect_outcome("dep-2", Outcome::succeeded, Code::ok, Step::commit);
  const wire::Event event = *scene_.outcome("dep-2");
  EXPECT_GE(event.bytes_resumed, had);
  EXPECT_LT(event.bytes_fetched, weights.size() + 10'000);
  EXPECT_EQ(scene_.current_file("weights"), weights);
}

TEST_F(AgentTest, a_connection_that_breaks_again_and_again_only_slows_it_down) {
  FakeServer::Faults faults;
  faults.cut_blobs_after = 700'000;
  scene_.server().set(faults);
  const std::string weights = bytes_of(2'000'000);
  const Published v1 = release("1.0.0", 1, {{"weights", weights}});
  scene_.server().assign(v1, "dep-1");
  scene_.start();
  expect_outcome("dep-1", Outcome::succeeded, Code::ok, Step::commit);
  EXPECT_EQ(scene_.current_file("weights"), weights);
  EXPECT_LT(scene_.outcome("dep-1")->bytes_fetched, weights.size() + 10'000);
}

TEST_F(AgentTest, a_server_restarted_in_the_middle_is_found_again) {
  scene_.settings().max_rate = 1 << 20;
  const std::string weights = bytes_of(2 << 20);
  const Published v1 = release("1.0.0", 1, {{"weights", weights}});
  scene_.server().assign(v1, "dep-1");
  scene_.start();
  const std::string part = scene_.state() + "/staging/" + v1.blobs.at("weights").substr(7) + ".part";
  EXPECT_TRUE(scene_.run_until([&] { return fs::exists(fs::system_files(), part); }));
  scene_.server().restart();
  expect_outcome("dep-1", Outcome::succeeded, Code::ok, Step::commit);
  EXPECT_EQ(scene_.current_file("weights"), weights);
}

TEST_F(AgentTest, a_server_without_ranges_or_with_another_etag_is_started_over) {
  for (const bool ignore : {true, false}) {
    FakeServer::Faults faults;
    faults.cut_blobs_after = 1'500'000;
    scene_.server().set(faults);
    const std::string name = ignore ? "ranges" : "etag";
    const std::string weights = bytes_of(2'000'000, ignore ? 1 : 2);
    const Published v1 = release(name, 1, {{"weights", weights}});
    scene_.server().assign(v1, name);
    scene_.start();
    EXPECT_TRUE(scene_.run_until([&] {
      const auto info =
          fs::system_files().info(scene_.state() + "/staging/" + v1.blobs.at("weights").substr(7) + ".part");
      return info && info->size >= 1'400'000;
    }));
    faults = FakeServer::Faults{};
    faults.ignore_ranges = ignore;
    faults.other_etag = !ignore;
    scene_.server().set(faults);
    expect_outcome(name, Outcome::succeeded, Code::ok, Step::commit);
    EXPECT_EQ(scene_.current_file("weights"), weights);
    EXPECT_GT(scene_.outcome(name)->bytes_fetched, weights.size());
    scene_.stop();
  }
}

TEST_F(AgentTest, bytes_of_another_length_or_digest_are_refused) {
  const Published v1 = settled();
  FakeServer::Faults faults;
  faults.add_to_length = 10;
  scene_.server().set(faults);
  scene_.server().assign(release("2.0.0", 2, {{"weights", bytes_of(100'000)}}), "longer");
  expect_outcome("longer", Outcome::failed, Code::size_mismatch, Step::fetch);
  EXPECT_EQ(scene_.current(), v1.package);
}

TEST_F(AgentTest, a_report_whose_acknowledgement_is_lost_is_told_again_and_counts_once) {
  FakeServer::Faults faults;
  faults.lose_acknowledgements = true;
  scene_.server().set(faults);
  scene_.server().assign(release("1.0.0"), "dep-1");
  scene_.start();
  expect_outcome("dep-1", Outcome::succeeded, Code::ok, Step::commit);
  const int before = scene_.server().checkins();
  EXPECT_TRUE(scene_.run_until([&] { return scene_.server().checkins() >= before + 2; }));
  scene_.server().set({});
  EXPECT_TRUE(scene_.run_until([&] { return scene_.server().checkins() >= before + 4; }));
  EXPECT_EQ(finals("dep-1"), 1);
}

TEST_F(AgentTest, a_session_that_the_server_forgot_is_opened_anew) {
  settled();
  FakeServer::Faults faults;
  faults.forget_sessions = true;
  scene_.server().set(faults);
  EXPECT_TRUE(scene_.run_until([&] { return scene_.server().sessions() == 2; }));
  scene_.server().assign(release("2.0.0", 2), "dep-2");
  expect_outcome("dep-2", Outcome::succeeded, Code::ok, Step::commit);
}

TEST_F(AgentTest, waits_until_an_operator_accepts_it) {
  FakeServer::Faults faults;
  faults.pending = true;
  scene_.server().set(faults);
  scene_.server().assign(release("1.0.0"), "dep-1");
  scene_.start();
  scene_.run_for(300ms);
  EXPECT_EQ(scene_.server().sessions(), 0);
  scene_.settings().poll_seconds = 1;
  scene_.stop();
  scene_.start();
  scene_.server().set({});
  expect_outcome("dep-1", Outcome::succeeded, Code::ok, Step::commit);
}

TEST_F(AgentTest, an_idle_device_says_little_and_opens_one_session) {
  settled();
  const int before = scene_.server().checkins();
  EXPECT_TRUE(scene_.run_until([&] { return scene_.server().checkins() >= before + 2; }));
  EXPECT_EQ(scene_.server().sessions(), 1);
  scene_.stop();
  scene_.start();
  EXPECT_TRUE(scene_.run_until([&] { return scene_.server().checkins() >= before + 4; }));
  EXPECT_EQ(scene_.server().sessions(), 1) << "the session outlives the process";
}

TEST_F(AgentTest, a_trial_that_expired_while_the_agent_was_dead_is_undone_without_network) {
  const Published v1 = settled();
  const Published v2 = release("2.0.0", 2, {}, 1);
  scene_.app().mood(v2.package, TestApp::Mood::silent);
  scene_.server().assign(v2, "dep-2");
  EXPECT_TRUE(scene_.run_until([&] { return scene_.current() == v2.package; }));
  scene_.kill();
  const MonoTime died = system_clock().mono();
  while (system_clock().mono() < died + 1100ms) scene_.app().poll();
  scene_.settings().server = "http://127.0.0.1:1";
  scene_.start();
  EXPECT_TRUE(scene_.run_until([&] { return scene_.current() == v1.package; }, 3s));
}

TEST_F(AgentTest, a_large_model_takes_no_more_memory_than_a_small_one) {
  const std::string weights = bytes_of(64 << 20);
  const Published v1 = release("1.0.0", 1, {{"weights", weights}});
  scene_.server().assign(v1, "dep-1");
  scene_.start();
  expect_outcome("dep-1", Outcome::succeeded, Code::ok, Step::commit);
  const std::uint64_t peak = scene_.peak_resident();
  RecordProperty("peak_resident", std::to_string(peak));
  EXPECT_GT(peak, 0u);
  EXPECT_LT(peak, 16u << 20);
}

TEST_F(AgentTest, works_for_several_models_one_after_the_other) {
  const Published digits = release("1.0.0");
  const Published faces = scene_.server().publish("faces", "7", 1, small_package("faces"));
  scene_.settings().confirm_without_application = true;
  scene_.server().assign(digits, "dep-d");
  scene_.server().assign(faces, "dep-f");
  scene_.start();
  expect_outcome("dep-d", Outcome::succeeded, Code::ok, Step::commit);
  expect_outcome("dep-f", Outcome::succeeded, Code::ok, Step::commit);
  EXPECT_EQ(scene_.current("digits"), digits.package);
  EXPECT_EQ(scene_.current("faces"), faces.package);
}

}  // namespace
}  // namespace drover::test
