// Deltas fetched, applied by the real drover-patch and by stand-ins for one that was taken over, from a server that
// says whatever it likes: a device ends up with the signed bytes, or with an error, and its base stays as it is.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <nlohmann/json.hpp>

#include "agent/fetch/fetcher.h"
#include "common/delta/delta.h"
#include "proto/wire/problem.h"
#include "tests/support/expect.h"
#include "tests/support/noise.h"
#include "tests/support/temp_folder.h"
#include "tests/support/watched_files.h"

namespace drover::agent {
namespace {

namespace asio = boost::asio;

std::string digest_of(const std::string& bytes) { return crypto::sha256(bytes).text(); }

std::string delta_between(const std::string& base, const std::string& target) {
  delta::MemorySink sink;
  EXPECT_TRUE(delta::make_delta(as_bytes(base), as_bytes(target), sink));
  return {sink.bytes.begin(), sink.bytes.end()};
}

// Answers by the path that is asked for; a path that it does not know is not found.
class FakeClient final : public net::HttpClient {
 public:
  struct Answer {
    int status = 200;
    std::string body;
    std::uint64_t cut_after = UINT64_MAX;  // bytes; then the connection breaks
  };
  std::map<std::string, Answer> answers;
  std::vector<std::string> asked;
  std::size_t largest_answer = 0;  // in memory, that somebody would take
  std::string question;            // the last for a plan

  asio::awaitable<Result<net::ClientResponse>> send(net::ClientRequest request) override {
    const std::string path = request.target.substr(0, request.target.find('?'));
    if (request.target.find("?have=") != std::string::npos) question = request.target;
    asked.push_back((request.method == net::Method::head ? "HEAD " : "") + path);
    if (request.sink == nullptr && request.method == net::Method::get)
      largest_answer = std::max(largest_answer, request.max_body);
    co_return answer(request, path);
  }
  void close() override {}
  int times(const std::string& path) const { return static_cast<int>(std::count(asked.begin(), asked.end(), path)); }

 private:
  Result<net::ClientResponse> answer(const net::ClientRequest& request, const std::string& path) {
    const auto found = answers.find(path);
    net::ClientResponse response;
    response.status = found == answers.end() ? 404 : found->second.status;
    if (response.status != 200) {
      response.body =
          R"({"type":"about:blank","title":"no","status":404,"code":"not_found","detail":"nothing is here"})";
      return response;
    }
    const Answer& given = found->second;
    response.headers.add("Content-Length", std::to_string(given.body.size()));
    if (request.method == net::Method::head) return response;
    if (request.sink == nullptr) {
      if (given.body.size() > request.max_body) return Error(Code::too_large, "a body over its bound");
      response.body = given.body;
      return response;
    }
    TRY(request.sink->begin(response));
    TRY(request.sink->write(std::string_view(given.body).substr(0, given.cut_after)));
    if (given.cut_after < given.body.size()) return Error(Code::unavailable, "the connection broke");
    return response;
  }
};

class DeltaFetch : public testing::Test {
 protected:
  DeltaFetch() {
    old_ = noise(300'000, 1);
    middle_ = changed(old_, 2);
    new_ = changed(middle_, 3);
    for (const std::string& folder : {layout_.blobs(), layout_.staging()}) EXPECT_TRUE(files_.make_folder(folder));
    folder_.write("blobs/" + Layout::hex(digest_of(old_)), old_);
    wanted_.digest = digest_of(new_);
    wanted_.size = new_.size();
    wanted_.bases = {digest_of(old_)};
    client_.answers[blob_path()] = {200, new_};
    serve(old_, new_);
  }
  static std::string changed(std::string bytes, unsigned seed) {
    return bytes.replace(seed * 50'000, 3000, noise(3000, seed));
  }
  std::string blob_path() const { return "/api/v1/blobs/" + wanted_.digest; }
  std::string plan_path() const { return "/api/v1/deltas/" + wanted_.digest; }
  static std::string delta_path(const std::string& base, const std::string& target) {
    return "/api/v1/deltas/" + digest_of(target) + "/" + digest_of(base);
  }
  // One more step of the way, and its delta.
  void serve(const std::string& base, const std::string& target) {
    const std::string delta = delta_between(base, target);
    plan_.steps.push_back({digest_of(base), digest_of(target), wire::kFirstCodec, delta.size(), target.size()});
    client_.answers[delta_path(base, target)] = {200, delta};
    tell_plan();
  }
  void tell_plan() { client_.answers[plan_path()] = {200, wire::encode(plan_).dump()}; }
  void chain() {
    plan_.steps.clear();
    serve(old_, middle_);
    serve(middle_, new_);
  }
  // A shell script in the decoder's place; $4 is the file that it is to make.
  void stand_in(const std::string& script) {
    patcher_ = folder_.write("stand-in", "#!/bin/sh\n" + script + "\n").string();
    ::chmod(patcher_.c_str(), 0755);
  }
  FetchOutcome fetch(std::vector<Wanted> files = {}) {
    if (!fetcher_)
      fetcher_.emplace(
          files_, clock_, layout_, client_, [] { return std::string("token"); }, patcher_);
    FetchJob job;
    job.files = files.empty() ? std::vector<Wanted>{wanted_} : std::move(files);
    job.deployment = "dep-1";
    job.whole_files = !metered_;
    asio::io_context io;
    auto done = asio::co_spawn(io, fetcher_->fetch(std::move(job)), asio::use_future);
    io.run();
    return done.get();
  }
  // The signed bytes are here, and nothing is left of how they came.
  void expect_here() {
    const auto blob = files_.read(layout_.blob(wanted_.digest), 1 << 20);
    ASSERT_OK(blob);
    EXPECT_EQ(digest_of(*blob), wanted_.digest);
    EXPECT_EQ(files_.info(layout_.blob(wanted_.digest))->mode & 0777, 0444u);
    expect_clean();
  }
  void expect_clean() {
    EXPECT_EQ(*files_.list(layout_.staging()), std::vector<std::string>());
    EXPECT_EQ(*files_.read(layout_.blob(digest_of(old_)), 1 << 20), old_) << "the base stays as it is";
  }
  void expect_missing(const FetchOutcome& outcome, const std::string& why) {
    ASSERT_CODE(outcome.status, Code::delta_missing);
    EXPECT_NE(outcome.status.error().message().find(why), std::string::npos) << outcome.status.error().message();
    EXPECT_FALSE(fs::exists(files_, layout_.blob(wanted_.digest)));
    EXPECT_EQ(client_.times(blob_path()), 0);
    expect_clean();
  }

  test::TempFolder folder_;
  test::WatchedFiles files_{fs::system_files(), [](const std::string&, const std::string&) { return Status(); }};
  Layout layout_{folder_.path().string()};
  ManualClock clock_{WallTime{}};
  FakeClient client_;
  std::string patcher_ = DROVER_BIN_DIR "/drover-patch";
  std::optional<Fetcher> fetcher_;
  std::string old_, middle_, new_;
  Wanted wanted_;
  wire::DeltaPlan plan_;
  bool metered_ = false;
};

TEST_F(DeltaFetch, a_file_comes_as_its_delta_and_what_it_saved_is_told) {
  const FetchOutcome outcome = fetch();
  ASSERT_OK(outcome.status);
  EXPECT_EQ(client_.times(blob_path()), 0);
  EXPECT_EQ(outcome.traffic.fetched, plan_.steps[0].bytes);
  EXPECT_EQ(outcome.traffic.saved, new_.size() - plan_.steps[0].bytes);
  expect_here();
}

TEST_F(DeltaFetch, a_chain_is_followed_and_its_middle_does_not_stay) {
  chain();
  const FetchOutcome outcome = fetch();
  ASSERT_OK(outcome.status);
  EXPECT_EQ(outcome.traffic.saved, new_.size() - plan_.steps[0].bytes - plan_.steps[1].bytes);
  expect_here();
}

TEST_F(DeltaFetch, a_chain_that_breaks_off_keeps_its_middle_and_what_it_has_of_the_next_delta) {
  chain();
  client_.answers[delta_path(middle_, new_)].cut_after = 1000;
  EXPECT_CODE(fetch().status, Code::unavailable);
  EXPECT_TRUE(fs::exists(files_, layout_.between(digest_of(middle_), plan_.steps[0].bytes)));
  const auto begun = files_.info(layout_.delta(digest_of(new_), digest_of(middle_)));
  ASSERT_OK(begun);
  EXPECT_EQ(begun->size, 1000u);
  client_.answers[delta_path(middle_, new_)].cut_after = UINT64_MAX;
  plan_.steps.erase(plan_.steps.begin());
  tell_plan();
  const FetchOutcome outcome = fetch();
  ASSERT_OK(outcome.status);
  EXPECT_EQ(client_.times(delta_path(old_, middle_)), 1);
  expect_here();
}

// What comes out of the decoder counts by its digest alone, whatever the decoder says.
TEST_F(DeltaFetch, a_decoder_that_lies_about_what_it_made_is_not_believed) {
  stand_in("head -c 300000 /dev/zero > \"$4\"; exit 0");
  metered_ = true;
  expect_missing(fetch(), "of no use");
}

TEST_F(DeltaFetch, a_decoder_that_makes_nothing_and_says_that_all_is_well_is_not_believed) {
  stand_in(": > \"$4\"; exit 0");
  metered_ = true;
  expect_missing(fetch(), "of no use");
}

TEST_F(DeltaFetch, a_decoder_that_crashes_costs_the_whole_file) {
  stand_in("kill -SEGV $$");
  ASSERT_OK(fetch().status);
  EXPECT_EQ(client_.times(blob_path()), 1);
  expect_here();
}

TEST_F(DeltaFetch, a_damaged_delta_is_fetched_once_more_and_then_the_whole_file) {
  std::string& delta = client_.answers[delta_path(old_, new_)].body;
  delta[delta.size() / 2] = static_cast<char>(delta[delta.size() / 2] ^ 1);
  ASSERT_OK(fetch().status);
  EXPECT_EQ(client_.times(delta_path(old_, new_)), 2);
  EXPECT_EQ(client_.times(blob_path()), 1);
  expect_here();
}

TEST_F(DeltaFetch, a_delta_that_was_damaged_twice_is_not_asked_for_in_this_deployment_again) {
  std::string& delta = client_.answers[delta_path(old_, new_)].body;
  delta[delta.size() / 2] = static_cast<char>(delta[delta.size() / 2] ^ 1);
  metered_ = true;
  expect_missing(fetch(), "of no use");
  expect_missing(fetch(), "damaged");
  EXPECT_EQ(client_.times(delta_path(old_, new_)), 2);
}

TEST_F(DeltaFetch, a_delta_of_another_size_than_the_server_says_is_no_delta) {
  plan_.steps[0].bytes += 1;
  tell_plan();
  metered_ = true;
  expect_missing(fetch(), "of no use");
}

TEST_F(DeltaFetch, a_way_that_leads_elsewhere_is_refused_before_a_byte_of_it_is_fetched) {
  plan_.steps[0].target = digest_of(middle_);
  tell_plan();
  metered_ = true;
  expect_missing(fetch(), "another file");
  EXPECT_EQ(client_.asked.size(), 1u);
}

TEST_F(DeltaFetch, a_plan_that_makes_no_sense_or_has_no_end_is_none) {
  metered_ = true;
  for (const std::string& body :
       {std::string("[1, 2"), std::string("{}"), std::string(wire::kMaxDeltaPlan + 1, ' ') + "{\"steps\":[]}"}) {
    client_.answers[plan_path()].body = body;
    expect_missing(fetch(), "makes no sense");
    EXPECT_EQ(client_.largest_answer, wire::kMaxDeltaPlan);
  }
}

TEST_F(DeltaFetch, a_server_that_knows_no_plans_is_asked_for_one_delta) {
  client_.answers.erase(plan_path());
  ASSERT_OK(fetch().status);
  EXPECT_EQ(client_.times("HEAD " + delta_path(old_, new_)), 1);
  EXPECT_EQ(client_.times(blob_path()), 0);
  expect_here();
}

TEST_F(DeltaFetch, without_a_delta_the_whole_file_comes_unless_that_is_forbidden) {
  plan_.steps.clear();
  tell_plan();
  metered_ = true;
  expect_missing(fetch(), "no delta");
  metered_ = false;
  ASSERT_OK(fetch().status);
  EXPECT_EQ(client_.times(blob_path()), 1);
  expect_here();
}

TEST_F(DeltaFetch, a_base_that_is_not_on_the_disk_is_not_named) {
  ASSERT_TRUE(files_.remove(layout_.blob(digest_of(old_))));
  metered_ = true;
  EXPECT_CODE(fetch().status, Code::delta_missing);
  EXPECT_TRUE(client_.asked.empty());
}

TEST_F(DeltaFetch, a_disk_without_room_for_both_files_and_the_delta_is_spared) {
  const std::uint64_t needed = new_.size() + plan_.steps[0].bytes + kDeltaReserve;
  files_.free = needed - 1;
  metered_ = true;
  expect_missing(fetch(), "bytes on the disk");
  files_.free = needed;
  ASSERT_OK(fetch().status);
  expect_here();
}

TEST_F(DeltaFetch, the_server_is_told_how_much_room_there_is) {
  files_.free = kDeltaReserve + 1'234'567;
  ASSERT_OK(fetch().status);
  EXPECT_NE(client_.question.find("&room=1234567"), std::string::npos) << client_.question;
}

TEST_F(DeltaFetch, a_chain_of_an_older_server_that_does_not_fit_gives_way_to_one_delta) {
  const std::uint64_t direct = plan_.steps[0].bytes;
  chain();
  files_.free = kDeltaReserve + new_.size() + direct;
  const FetchOutcome outcome = fetch();
  ASSERT_OK(outcome.status);
  EXPECT_EQ(client_.times(delta_path(old_, new_)), 1);
  EXPECT_EQ(client_.times(delta_path(old_, middle_)), 0);
  EXPECT_EQ(client_.times(blob_path()), 0);
  expect_here();
}

class PackedFetch : public DeltaFetch {
 protected:
  PackedFetch() {
    while (new_.size() < 400'000) new_ += "a line that comes " + std::to_string(new_.size()) + " times\n";
    wanted_.digest = digest_of(new_);
    wanted_.size = new_.size();
    wanted_.bases.clear();
    client_.answers[blob_path()] = {200, new_};
    plan_.steps.clear();
    serve("", new_);
  }
};

TEST_F(PackedFetch, what_has_no_earlier_version_comes_packed_and_that_is_no_saving_of_a_delta) {
  const FetchOutcome outcome = fetch();
  ASSERT_OK(outcome.status);
  EXPECT_EQ(client_.times(blob_path()), 0);
  EXPECT_EQ(outcome.traffic.fetched, plan_.steps[0].bytes);
  EXPECT_EQ(outcome.traffic.saved, 0u);
  expect_here();
}

TEST_F(PackedFetch, a_damaged_one_is_fetched_once_more_and_then_the_plain_file) {
  std::string& delta = client_.answers[delta_path("", new_)].body;
  delta[delta.size() / 2] = static_cast<char>(delta[delta.size() / 2] ^ 1);
  ASSERT_OK(fetch().status);
  EXPECT_EQ(client_.times(delta_path("", new_)), 2);
  EXPECT_EQ(client_.times(blob_path()), 1);
  expect_here();
}

TEST_F(PackedFetch, a_chain_may_begin_with_one_and_saves_nothing_even_when_it_breaks_off) {
  plan_.steps.clear();
  std::string before = new_;
  before.replace(1000, 10, "0123456789");
  serve("", before);
  serve(before, new_);
  client_.answers[delta_path(before, new_)].cut_after = 100;
  EXPECT_CODE(fetch().status, Code::unavailable);
  EXPECT_TRUE(fs::exists(files_, layout_.between(digest_of(before), plan_.steps[0].bytes, true)));
  client_.answers[delta_path(before, new_)].cut_after = UINT64_MAX;
  plan_.steps.erase(plan_.steps.begin());
  tell_plan();
  const FetchOutcome outcome = fetch();
  ASSERT_OK(outcome.status);
  EXPECT_EQ(outcome.traffic.saved, 0u);
  expect_here();
}

TEST_F(PackedFetch, a_link_that_carries_deltas_alone_does_not_ask_for_one_of_what_has_an_earlier_version) {
  metered_ = true;
  ASSERT_OK(fetch().status) << "without an earlier version it comes on any link";
  EXPECT_NE(client_.question.find(wire::kNothing), std::string::npos);
  ASSERT_TRUE(files_.remove(layout_.blob(wanted_.digest)));
  wanted_.bases = {digest_of(old_)};
  expect_missing(fetch(), "not here");
  EXPECT_EQ(client_.question.find(wire::kNothing), std::string::npos) << client_.question;
}

TEST_F(DeltaFetch, a_base_that_has_rotted_gives_no_file) {
  std::string rotten = old_;
  rotten[5] = static_cast<char>(rotten[5] ^ 1);
  folder_.write("blobs/" + Layout::hex(digest_of(old_)), rotten);
  ASSERT_OK(fetch().status);
  EXPECT_EQ(client_.times(blob_path()), 1);
  EXPECT_EQ(digest_of(*files_.read(layout_.blob(wanted_.digest), 1 << 20)), wanted_.digest);
}

TEST_F(DeltaFetch, a_device_that_cannot_confine_the_decoder_spends_no_more_bytes_on_deltas) {
  stand_in("exit 3");
  ASSERT_OK(fetch().status);
  ASSERT_TRUE(files_.remove(layout_.blob(wanted_.digest)));
  ASSERT_OK(fetch().status);
  EXPECT_EQ(client_.times(plan_path()), 1);
  EXPECT_EQ(client_.times(delta_path(old_, new_)), 1);
  expect_here();
}

}  // namespace
}  // namespace drover::agent
