// Changes of trust: what they change, what must follow, whose signatures they want.
#include "server/cli/trust/change.h"

#include <gtest/gtest.h>

#include "server/cli/trust/describe.h"
#include "server/cli/trust/edits.h"
#include "tests/support/expect.h"

namespace drover::cli {
namespace {

const WallTime kNow{std::chrono::seconds(1'800'000'000)};
const WallTime kThen = kNow + std::chrono::days(100);   // when the present metadata expires
const WallTime kLater = kNow + std::chrono::days(365);  // and what is signed anew

// Root: a, b (1 of 2). Targets: t (1 of 1). mnist: alice, bob (1 of 2), signed by alice. faces: bob, no release yet.
class TrustChange : public ::testing::Test {
 protected:
  TrustChange() {
    tuf::Document root = tuf::make_root(kThen);
    for (const char* name : {"a", "b"}) EXPECT_OK(tuf::add_root_key(root, "root", key(name)));
    EXPECT_OK(tuf::add_root_key(root, "targets", key("t")));
    EXPECT_OK(tuf::add_root_key(root, "snapshot", key("snapshot")));
    EXPECT_OK(tuf::add_root_key(root, "timestamp", key("timestamp")));
    EXPECT_OK(root.sign(pair("a")));
    tuf::Document targets = tuf::make_targets(kThen);
    EXPECT_OK(tuf::set_delegation(targets, tuf::director_delegation(key("director"))));
    EXPECT_OK(tuf::set_delegation(targets, tuf::model_delegation("mnist", {key("alice"), key("bob")}, 1)));
    EXPECT_OK(tuf::set_delegation(targets, tuf::model_delegation("faces", {key("bob")}, 1)));
    EXPECT_OK(targets.sign(pair("t")));
    tuf::Document mnist = tuf::make_targets(kThen);
    EXPECT_OK(tuf::add_target(mnist, "mnist/1", tuf::Target{5, {{"sha256", std::string(64, 'a')}}, nullptr}));
    EXPECT_OK(mnist.sign(pair("alice")));
    present_.roots.push_back(root);
    present_.targets = targets;
    present_.load = [mnist](const std::string& model) {
      return model == "mnist" ? std::optional(mnist) : std::optional<tuf::Document>();
    };
  }

  static crypto::KeyPair pair(std::string_view name) {
    crypto::Seed seed{};
    std::copy(name.begin(), name.end(), seed.begin());
    return crypto::KeyPair::from_seed(seed);
  }
  static tuf::Key key(std::string_view name) { return tuf::make_key(pair(name).public_key()); }
  static void sign(Change& change, std::initializer_list<const char*> names) {
    for (const std::string& role : change.roles())
      for (const char* name : names) EXPECT_OK(change.file(role).sign(pair(name)));
  }
  static std::vector<std::string> roles(const Change& change) { return change.roles(); }

  Present present_;
};

using Names = std::vector<std::string>;

TEST_F(TrustChange, ARootKeyComesInWithTheKeysBeforeAndAfter) {
  Change change(present_);
  ASSERT_OK(edit_root_role(change, "root", {{key("c")}, {}, 2}, kLater));
  ASSERT_OK(change.follow(kNow, kLater));
  EXPECT_EQ(roles(change), Names{"root"});
  EXPECT_EQ(change.file("root").version(), 2);
  EXPECT_EQ(*change.file("root").expires(), kLater);
  sign(change, {"a"});
  EXPECT_FALSE(*change.complete()) << "the new root wants two of its own";
  const auto needed = change.needed();
  ASSERT_EQ(needed->size(), 2u);
  EXPECT_TRUE((*needed)[0].state.complete());
  EXPECT_EQ((*needed)[0].by + ", " + (*needed)[1].by, "root 1, root 2");
  sign(change, {"c"});
  EXPECT_TRUE(*change.complete());
}

TEST_F(TrustChange, AKeyThatLeavesRootIsNoMoreWorthASignatureOfTheNewOne) {
  Change change(present_);
  ASSERT_OK(edit_root_role(change, "root", {{}, {key("a").id}, {}}, kLater));
  sign(change, {"a"});
  EXPECT_FALSE(*change.complete());
  sign(change, {"b"});
  EXPECT_TRUE(*change.complete());
}

TEST_F(TrustChange, ATargetsKeyThatLeavesTakesTargetsAlong) {
  Change change(present_);
  ASSERT_OK(edit_root_role(change, "targets", {{key("u")}, {key("t").id}, {}}, kLater));
  ASSERT_OK(change.follow(kNow, kLater));
  EXPECT_EQ(roles(change), (Names{"root", "targets"}));
  EXPECT_EQ(*change.file("targets").expires(), kThen) << "nobody asked for another expiry";
  sign(change, {"a", "t"});
  EXPECT_FALSE(*change.complete());
  sign(change, {"u"});
  EXPECT_TRUE(*change.complete());
}

TEST_F(TrustChange, AManagerWhoLeavesTakesAlongWhatCountedOnThem) {
  Change change(present_);
  ASSERT_OK(edit_managers(change, "mnist", {{}, {key("alice").id}, {}}, kLater));
  ASSERT_OK(change.follow(kNow, kLater));
  EXPECT_EQ(roles(change), (Names{"targets", "mnist"}));
  sign(change, {"t", "alice"});
  EXPECT_FALSE(*change.complete());
  sign(change, {"bob"});
  EXPECT_TRUE(*change.complete());
  EXPECT_OK(parse_targets(change.file("mnist")));
  EXPECT_TRUE(parse_targets(change.file("mnist"))->targets.contains("mnist/1")) << "its releases stay";
}

TEST_F(TrustChange, AManagerOnWhomNothingCountsTakesNothingAlong) {
  Change change(present_);
  ASSERT_OK(edit_managers(change, "mnist", {{}, {key("bob").id}, {}}, kLater));
  ASSERT_OK(change.follow(kNow, kLater));
  EXPECT_EQ(roles(change), Names{"targets"});
}

TEST_F(TrustChange, AHigherThresholdTakesTheModelAlong) {
  Change change(present_);
  ASSERT_OK(edit_managers(change, "mnist", {{}, {}, 2}, kLater));
  ASSERT_OK(change.follow(kNow, kLater));
  EXPECT_EQ(roles(change), (Names{"targets", "mnist"}));
}

TEST_F(TrustChange, WhatHasExpiredMeanwhileGetsANewDate) {
  Change change(present_);
  ASSERT_OK(edit_managers(change, "mnist", {{}, {key("alice").id}, {}}, kLater));
  ASSERT_OK(change.follow(kThen, kLater));
  EXPECT_EQ(*change.file("mnist").expires(), kLater);
}

TEST_F(TrustChange, ThresholdsThatTheKeysDoNotFitAreRefused) {
  Change change(present_);
  EXPECT_CODE(edit_root_role(change, "root", {{}, {}, 3}, kLater), Code::invalid_argument);
  EXPECT_CODE(edit_root_role(change, "targets", {{}, {key("t").id}, {}}, kLater), Code::invalid_argument);
  EXPECT_CODE(edit_managers(change, "faces", {{}, {key("bob").id}, {}}, kLater), Code::invalid_argument);
  EXPECT_CODE(edit_managers(change, "mnist", {{key("bob")}, {}, {}}, kLater), Code::already_exists);
  EXPECT_CODE(edit_managers(change, "mnist", {{}, {key("carol").id}, {}}, kLater), Code::not_found);
  EXPECT_CODE(edit_managers(change, "nobody", {{key("carol")}, {}, {}}, kLater), Code::not_found);
  EXPECT_CODE(edit_managers(change, "director", {{key("carol")}, {}, {}}, kLater), Code::not_found);
  EXPECT_TRUE(change.roles().empty()) << "nothing was begun";
}

TEST_F(TrustChange, AKeyIsReplacedWhereverItStands) {
  Change change(present_);
  EXPECT_EQ(*roles_of_key(change, key("bob").id), (Names{"mnist", "faces"}));
  ASSERT_OK(replace_key(change, key("bob").id, key("bob-2"), kLater));
  ASSERT_OK(change.follow(kNow, kLater));
  EXPECT_EQ(roles(change), Names{"targets"}) << "alice's signature on mnist still counts";
  EXPECT_TRUE(roles_of_key(change, key("bob").id)->empty());
  EXPECT_EQ(*roles_of_key(change, key("bob-2").id), (Names{"mnist", "faces"}));
}

TEST_F(TrustChange, OnlineKeysGoIntoRootAndTargets) {
  Change change(present_);
  ASSERT_OK(set_online_key(change, "snapshot", key("s2"), kLater));
  ASSERT_OK(set_online_key(change, "director", key("d2"), kLater));
  ASSERT_OK(change.follow(kNow, kLater));
  EXPECT_EQ(roles(change), (Names{"root", "targets"}));
  EXPECT_EQ(change.root()->roles.find("snapshot")->second.keyids, Names{key("s2").id});
  EXPECT_EQ(change.root()->roles.find("timestamp")->second.keyids, Names{key("timestamp").id});
  EXPECT_EQ(change.targets()->delegation("director")->keys.keyids, Names{key("d2").id});
  EXPECT_FALSE(change.root()->keys.contains(key("snapshot").id));
}

TEST_F(TrustChange, IsReadAsItWasWritten) {
  Change change(present_);
  ASSERT_OK(edit_managers(change, "mnist", {{}, {key("alice").id}, {}}, kLater));
  ASSERT_OK(change.follow(kNow, kLater));
  sign(change, {"t"});
  auto again = Change::decode(change.encode());
  ASSERT_OK(again);
  EXPECT_EQ(again->encode(), change.encode());
  EXPECT_EQ(*describe_change(*again), *describe_change(change));
  EXPECT_OK(verify_present(again->present(), &present_.roots.back()));
}

TEST_F(TrustChange, CopiesThatWereSignedApartAreMerged) {
  Change change(present_);
  ASSERT_OK(edit_root_role(change, "root", {{}, {}, 2}, kLater));
  Change other = *Change::decode(change.encode());
  sign(change, {"a"});
  sign(other, {"b"});
  EXPECT_OK(change.merge(other));
  EXPECT_TRUE(*change.complete());
  Change different(present_);
  ASSERT_OK(edit_root_role(different, "root", {{key("c")}, {}, {}}, kLater));
  EXPECT_CODE(change.merge(different), Code::metadata_mismatch);
}

TEST_F(TrustChange, AFileThatIsNoneIsRefusedInWords) {
  EXPECT_CODE(Change::decode(present_.roots[0].encode()), Code::invalid_argument);
  EXPECT_CODE(Change::decode("{"), Code::invalid_argument);
  EXPECT_CODE(Change::decode(R"({"drover":"trust-change","version":1,"files":{},"present":{}})"), Code::malformed);
  EXPECT_CODE(Change::decode(R"({"drover":"trust-change","version":2,"files":{},"present":{}})"), Code::unsupported);
  Change change(present_);
  ASSERT_OK(edit_root_role(change, "root", {{}, {}, 2}, kLater));
  Json json = Json::parse(change.encode());
  json["files"]["root"]["signed"]["version"] = 3;
  EXPECT_CODE(Change::decode(json.dump()), Code::metadata_mismatch);
}

// --- what the file says of the present is not simply believed
// ---------------------------------------------------------

TEST_F(TrustChange, APresentThatIsNotSignedIsRefused) {
  EXPECT_OK(verify_present(present_, nullptr));
  Present forged = present_;
  ASSERT_OK(tuf::set_delegation(*forged.targets, tuf::model_delegation("mnist", {key("mallory")}, 1)));
  ASSERT_OK(forged.targets->sign(pair("mallory")));
  EXPECT_CODE(verify_present(forged, nullptr), Code::threshold_not_met);
  forged = present_;
  tuf::Document mnist = tuf::make_targets(kThen);
  ASSERT_OK(mnist.sign(pair("mallory")));
  forged.models["mnist"] = mnist;
  EXPECT_CODE(verify_present(forged, nullptr), Code::threshold_not_met);
}

TEST_F(TrustChange, TheRootsAreWalkedFromThePinnedOne) {
  Change change(present_);
  ASSERT_OK(edit_root_role(change, "root", {{key("c")}, {}, {}}, kLater));
  sign(change, {"a"});
  Present next = present_;
  next.roots.push_back(change.file("root"));
  EXPECT_OK(verify_present(next, &present_.roots[0]));
  next.roots.erase(next.roots.begin());
  EXPECT_OK(verify_present(next, &present_.roots[0])) << "pinned: one before";
  EXPECT_CODE(verify_present(present_, &next.roots[0]), Code::metadata_rollback);

  tuf::Document other = present_.roots[0];
  other.edit()["expires"] = format_time(kLater);
  ASSERT_OK(other.sign(pair("a")));
  EXPECT_CODE(verify_present(present_, &other), Code::metadata_mismatch);
  tuf::Document foreign = tuf::make_root(kThen);
  for (const char* role : {"root", "targets", "snapshot", "timestamp"})
    ASSERT_OK(tuf::add_root_key(foreign, role, key("mallory")));
  ASSERT_OK(foreign.sign(pair("mallory")));
  EXPECT_CODE(verify_present(next, &foreign), Code::threshold_not_met);
}

// --- what people are shown
// --------------------------------------------------------------------------------------------

TEST_F(TrustChange, IsShownWithKeysThresholdsVersionsSignersAndDevices) {
  Change change(present_);
  ASSERT_OK(edit_managers(change, "mnist", {{key("carol")}, {key("alice").id}, 2}, kLater));
  ASSERT_OK(change.follow(kNow, kLater));
  sign(change, {"t"});
  const std::string text = render_change(*describe_change(change), kNow, Style{});
  const auto short_id = [](const char* name) { return key(name).id.substr(0, 16); };
  EXPECT_NE(text.find("  targets  version 1 -> 2, expires in 365 d\n"), std::string::npos) << text;
  EXPECT_NE(text.find("    + key " + short_id("carol") + "  mnist\n"), std::string::npos) << text;
  EXPECT_NE(text.find("    - key " + short_id("alice") + "  mnist\n"), std::string::npos) << text;
  EXPECT_NE(text.find("    threshold of mnist: 1 -> 2\n"), std::string::npos) << text;
  EXPECT_NE(text.find("    signatures by the keys of root 1: 1 of 1, by " + short_id("t")), std::string::npos) << text;
  EXPECT_NE(text.find("    signatures by the keys of targets 2: 0 of 2; 2 more of: "), std::string::npos) << text;
  EXPECT_NE(text.find("  devices  "), std::string::npos) << text;
  EXPECT_EQ(first_missing(change)->substr(0, 24), "mnist: 0 of 2 signatures");
}

TEST_F(TrustChange, ASwappedReleaseUnderTheSameNameIsNotShownAsNothing) {
  Change change(present_);
  ASSERT_OK(change.edit("mnist", kLater));
  EXPECT_OK(describe_change(change));
  ASSERT_OK(
      tuf::add_target(change.file("mnist"), "mnist/1", tuf::Target{5, {{"sha256", std::string(64, 'b')}}, nullptr}));
  EXPECT_CODE(describe_change(change), Code::metadata_mismatch);
}

}  // namespace
}  // namespace drover::cli
