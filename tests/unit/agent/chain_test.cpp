#include "agent/fetch/chain.h"

#include <gtest/gtest.h>

#include "agent/store/layout.h"
#include "common/crypto/hash.h"
#include "common/delta/format.h"

namespace drover::agent {
namespace {

std::string name(const std::string& text) { return crypto::sha256(text).text(); }

constexpr std::uint64_t kSize = 1'000'000;

class ChainTest : public testing::Test {
 protected:
  ChainTest() {
    wanted_.digest = name("new");
    wanted_.size = kSize;
    wanted_.bases = {name("old")};
    held_ = {Held{name("old"), "/blobs/old", kSize, 0, false}};
    step("old", "middle", 1000);
    step("middle", "new", 2000);
  }
  void step(const std::string& from, const std::string& to, std::uint64_t bytes) {
    plan_.steps.push_back({name(from), name(to), delta::kVersion, bytes, kSize});
  }
  void expect_refused(const std::string& why) {
    const Status status = check_plan(plan_, wanted_, held_);
    ASSERT_FALSE(status) << why;
    EXPECT_EQ(status.error().code(), Code::delta_missing);
    EXPECT_NE(status.error().message().find(why), std::string::npos) << status.error().message();
  }

  Wanted wanted_;
  std::vector<Held> held_;
  wire::DeltaPlan plan_;
};

TEST_F(ChainTest, a_chain_from_what_is_held_to_what_is_wanted_is_good) {
  EXPECT_TRUE(check_plan(plan_, wanted_, held_));
}

TEST_F(ChainTest, may_start_in_the_middle_when_that_was_made_before) {
  held_.push_back({name("middle"), "/staging/middle", kSize, 1000, true});
  plan_.steps.erase(plan_.steps.begin());
  EXPECT_TRUE(check_plan(plan_, wanted_, held_));
}

TEST_F(ChainTest, may_start_from_nothing_when_nothing_was_offered) {
  plan_.steps = {{std::string(wire::kNothing), name("new"), delta::kVersion, 1000, kSize}};
  expect_refused("not here");
  held_.push_back(nothing_held());
  EXPECT_TRUE(check_plan(plan_, wanted_, held_));
  EXPECT_TRUE(held_.back().packed);
}

TEST_F(ChainTest, a_packed_file_is_a_whole_file_to_a_link_that_carries_deltas_alone) {
  EXPECT_TRUE(may_come_packed(wanted_, true));
  EXPECT_FALSE(may_come_packed(wanted_, false));
  wanted_.bases.clear();
  EXPECT_TRUE(may_come_packed(wanted_, false)) << "what has no earlier version comes whole on any link";
}

TEST_F(ChainTest, no_steps_are_no_delta) {
  plan_.steps.clear();
  expect_refused("no delta");
}

TEST_F(ChainTest, what_does_not_fit_together_is_refused) {
  plan_.steps[0].base = name("stranger");
  expect_refused("not here");
  plan_.steps[0].base = name("old");
  plan_.steps[1].base = name("stranger");
  expect_refused("follow each other");
  plan_.steps[1].base = name("middle");
  plan_.steps[1].target = name("stranger");
  expect_refused("another file");
  plan_.steps[1].target = "nonsense/../..";
  expect_refused("no file");
}

TEST_F(ChainTest, sizes_that_make_no_sense_are_refused) {
  plan_.steps[0].target_bytes = kSize * wire::kMaxBetween;
  EXPECT_TRUE(check_plan(plan_, wanted_, held_));
  plan_.steps[0].target_bytes = kSize * wire::kMaxBetween + 1;
  expect_refused("sensible size");
  plan_.steps[0].target_bytes = kSize;
  plan_.steps[1].target_bytes = kSize - 1;
  expect_refused("another file");
  plan_.steps[1].target_bytes = kSize;
  plan_.steps[1].bytes = 0;
  expect_refused("sensible size");
  plan_.steps[1].bytes = 2000;
  plan_.steps[0].target_bytes = 0;
  expect_refused("sensible size");
}

TEST_F(ChainTest, more_bytes_than_the_file_are_refused_even_if_their_sum_overflows) {
  plan_.steps[0].bytes = kSize - 2000;
  expect_refused("no smaller");
  plan_.steps[0].bytes = UINT64_MAX - 1;
  expect_refused("no smaller");
}

TEST_F(ChainTest, versions_that_are_not_decoded_here_are_refused) {
  for (const std::int64_t codec :
       {std::int64_t{delta::kVersion} + 1, std::int64_t{delta::kOldestVersion} - 1, INT64_MIN}) {
    plan_.steps[0].codec = codec;
    expect_refused("version");
  }
}

TEST_F(ChainTest, the_question_names_what_is_held_and_what_can_be_decoded) {
  held_.push_back({name("middle"), "/x", 1, 1, true});
  const std::string target = plan_target(wanted_, held_, 5000);
  EXPECT_TRUE(
      target.starts_with("/api/v1/deltas/" + name("new") + "?have=" + name("old") + "," + name("middle") + "&codecs="));
  EXPECT_TRUE(target.ends_with(std::to_string(delta::kVersion) + "&room=5000")) << target;
}

TEST_F(ChainTest, the_question_names_no_more_files_than_a_server_takes) {
  for (int i = 0; i < 40; ++i) held_.push_back({name(std::to_string(i)), "/x", 1, 1, true});
  const std::string target = plan_target(wanted_, held_, 0);
  std::size_t named = 0;
  for (std::size_t at = target.find("sha256:"); at != std::string::npos; at = target.find("sha256:", at + 1)) ++named;
  EXPECT_EQ(named, 1 + wire::kMaxHeldFiles);
}

TEST_F(ChainTest, the_first_version_is_asked_for_as_servers_that_know_no_other_want_it) {
  plan_.steps[0].codec = 1;
  EXPECT_EQ(step_target(plan_.steps[0]), "/api/v1/deltas/" + name("middle") + "/" + name("old"));
  plan_.steps[0].codec = 2;
  EXPECT_TRUE(step_target(plan_.steps[0]).ends_with("?codec=2"));
}

TEST_F(ChainTest, needs_room_for_two_files_and_a_delta_at_once) {
  plan_.steps[0].target_bytes = 500;
  EXPECT_EQ(room_for(plan_), 500 + 2000 + kSize);
  plan_.steps.erase(plan_.steps.begin());
  EXPECT_EQ(room_for(plan_), 2000 + kSize);
}

TEST(Between, is_named_by_its_digest_and_its_price) {
  const Layout layout("/state");
  const std::string path = layout.between(name("middle"), 1234);
  const auto held = parse_between(layout.staging(), path.substr(layout.staging().size() + 1));
  ASSERT_TRUE(held);
  EXPECT_EQ(held->digest, name("middle"));
  EXPECT_EQ(held->paid, 1234u);
  EXPECT_EQ(held->file, path);
  EXPECT_TRUE(held->between);
  EXPECT_FALSE(held->packed);
  const std::string packed = layout.between(name("middle"), 99, true);
  const auto from_nothing = parse_between(layout.staging(), packed.substr(layout.staging().size() + 1));
  ASSERT_TRUE(from_nothing);
  EXPECT_TRUE(from_nothing->packed);
  EXPECT_EQ(from_nothing->paid, 99u);
  EXPECT_EQ(from_nothing->file, packed);
  const std::string hex = Layout::hex(name("middle"));
  for (const std::string& other : {std::string("x.between"), std::string("x.1.between"), std::string(".between"),
                                   std::string("abc.part"), hex + ".12x.between", hex + "..between", hex + ".p.between",
                                   hex + ".pp1.between", hex + ".-1.between", hex + ".99999999999999999999.between"})
    EXPECT_FALSE(parse_between(layout.staging(), other)) << other;
}

}  // namespace
}  // namespace drover::agent
