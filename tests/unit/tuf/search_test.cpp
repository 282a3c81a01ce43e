// Delegations: TUF 1.0.34, section 5.6.7.
#include <gtest/gtest.h>

#include "tests/unit/tuf/repository.h"

namespace drover::tuf::testing {
namespace {

class SearchTest : public TufTest {
 protected:
  void add(const std::string& role, const std::string& path) {
    ASSERT_TRUE(add_target(role == kTargets ? repository.targets : repository.roles.at(role), path,
                           Repository::target_of(role + path)));
  }
  // Publishes, refreshes and searches; the roles that were fetched, in order.
  Names visited(const std::string& path) {
    repository.publish();
    EXPECT_EQ(client.refresh(), Code::ok) << client.message;
    repository.source.requests.clear();
    outcome = client.find(path);
    Names roles;
    for (const std::string& request : client.requests())
      roles.push_back(request.substr(request.find('.') + 1, request.size() - request.find('.') - 6));
    return roles;
  }
  std::string found_in() { return client.found() ? client.found()->role : ""; }
  Code outcome = Code::ok;
};

TEST_F(SearchTest, FindsARelease) {
  repository.delegate("targets", "mnist", {"mnist/*"}, true);
  add("mnist", "mnist/1.0.0");
  EXPECT_EQ(visited("mnist/1.0.0"), Names{"mnist"});
  ASSERT_EQ(found_in(), "mnist");
  EXPECT_EQ(client.found()->target.digest()->hex(), crypto::sha256(std::string("mnistmnist/1.0.0")).hex());
  EXPECT_EQ(client.store.version("mnist"), 1);
}

TEST_F(SearchTest, EndsWithoutAnErrorWhenNobodyListsTheTarget) {
  repository.delegate("targets", "mnist", {"mnist/*"}, true);
  EXPECT_EQ(visited("mnist/9"), Names{"mnist"});
  EXPECT_EQ(outcome, Code::ok);
  EXPECT_FALSE(client.found());
  EXPECT_EQ(client.find("other/1"), Code::ok);
  EXPECT_FALSE(client.found());
}

TEST_F(SearchTest, AsksOnlyForRolesThatThePathConcerns) {
  repository.delegate("targets", "mnist", {"mnist/*"}, true);
  repository.delegate("targets", "cats", {"cats/*"}, true);
  add("cats", "cats/1");
  EXPECT_EQ(visited("cats/1"), Names{"cats"});
}

TEST_F(SearchTest, DoesNotAskAgainForWhatIsCurrentInTheStore) {
  repository.delegate("targets", "mnist", {"mnist/*"}, true);
  add("mnist", "mnist/1");
  (void)visited("mnist/1");
  ASSERT_EQ(client.refresh(), Code::ok);
  EXPECT_EQ(client.find("mnist/1"), Code::ok);
  EXPECT_EQ(found_in(), "mnist");
  EXPECT_EQ(client.requests(), (Names{"2.root.json", "timestamp.json"}));
}

TEST_F(SearchTest, TakesTheTopLevelRoleBeforeAnyOther) {
  repository.delegate("targets", "mnist", {"mnist/*"});
  add("targets", "mnist/1");
  add("mnist", "mnist/1");
  EXPECT_EQ(visited("mnist/1"), Names{});
  EXPECT_EQ(found_in(), "targets");
}

TEST_F(SearchTest, IsPreOrderAndDepthFirst) {
  repository.delegate("targets", "a", {"*"});
  repository.delegate("targets", "b", {"*"});
  repository.delegate("a", "c", {"*"});
  repository.delegate("a", "d", {"*"});
  EXPECT_EQ(visited("file"), (Names{"a", "c", "d", "b"}));
}

TEST_F(SearchTest, TakesTheFirstOfTwoThatListTheTarget) {
  repository.delegate("targets", "a", {"*"});
  repository.delegate("targets", "b", {"*"});
  repository.delegate("a", "c", {"*"});
  add("b", "file");
  add("c", "file");
  EXPECT_EQ(visited("file"), (Names{"a", "c"}));
  EXPECT_EQ(found_in(), "c");
}

TEST_F(SearchTest, EndsAtATerminatingRoleForLaterSiblings) {
  repository.delegate("targets", "a", {"*"}, true);
  repository.delegate("targets", "b", {"*"});
  repository.delegate("a", "c", {"*"});
  add("b", "file");
  EXPECT_EQ(visited("file"), (Names{"a", "c"}));
  EXPECT_FALSE(client.found());
}

TEST_F(SearchTest, EndsAtATerminatingRoleForTheSiblingsOfItsAncestors) {
  repository.delegate("targets", "a", {"*"});
  repository.delegate("targets", "b", {"*"});
  repository.delegate("a", "c", {"*"}, true);
  repository.delegate("a", "d", {"*"});
  add("b", "file");
  EXPECT_EQ(visited("file"), (Names{"a", "c"}));
  EXPECT_FALSE(client.found());
}

TEST_F(SearchTest, IsNotEndedByATerminatingRoleThatThePathDoesNotConcern) {
  repository.delegate("targets", "a", {"other/*"}, true);
  repository.delegate("targets", "b", {"*"});
  add("b", "file");
  EXPECT_EQ(visited("file"), Names{"b"});
  EXPECT_EQ(found_in(), "b");
}

TEST_F(SearchTest, NeedsEveryRoleOfTheChainToCoverThePath) {
  repository.delegate("targets", "b", {"releases/*/*"});
  repository.delegate("b", "c", {"releases/x/*"});
  add("c", "releases/z/1");  // listed, but not c's to list
  EXPECT_EQ(visited("releases/z/1"), Names{"b"});
  EXPECT_FALSE(client.found());
}

TEST_F(SearchTest, GoesRoundNoCircle) {
  repository.delegate("targets", "a", {"*"});
  repository.delegate("a", "b", {"*"});
  repository.delegate("b", "a", {"*"});
  EXPECT_EQ(visited("file"), (Names{"a", "b"}));
  EXPECT_EQ(outcome, Code::ok);
}

TEST_F(SearchTest, VisitsARoleOnceAlsoThroughTwoDelegators) {
  repository.delegate("targets", "a", {"*"});
  repository.delegate("targets", "b", {"*"});
  repository.delegate("a", "d", {"*"});
  repository.delegate("b", "d", {"*"});
  EXPECT_EQ(visited("file"), (Names{"a", "d", "b"}));
}

TEST_F(SearchTest, ChecksARoleAgainstTheDelegatorThroughWhichItIsReached) {
  repository.delegate("targets", "a", {"team-a/*"});
  repository.delegate("targets", "b", {"team-b/*"});
  repository.delegate("a", "release", {"team-a/*"});
  DelegationSpec other{.name = "release",
                       .paths = {"team-b/*"},
                       .keys = {Repository::public_key(repository.key("b-only"))},
                       .threshold = 1,
                       .terminating = false};
  ASSERT_TRUE(set_delegation(repository.roles.at("b"), other));
  add("release", "team-a/file");
  add("release", "team-b/file");
  (void)visited("team-a/file");
  EXPECT_EQ(found_in(), "release");
  EXPECT_EQ(client.find("team-b/file"), Code::threshold_not_met);
  EXPECT_FALSE(client.found());
}

TEST_F(SearchTest, ChecksARoleAnewWhenItsDelegatorWasReplaced) {
  repository.delegate("targets", "mnist", {"mnist/*"}, true);
  repository.publish();
  auto set = TrustedSet::create(repository.source.files["1.root.json"], kStart);
  ASSERT_TRUE(set && set->finish_root());
  const auto load = [&](int version) {
    const std::string n = std::to_string(version) + ".";
    return set->update_timestamp(repository.source.files["timestamp.json"]).has_value() &&
           set->update_snapshot(repository.source.files[n + "snapshot.json"]).has_value() &&
           set->update_targets(repository.source.files[n + "targets.json"]).has_value();
  };
  ASSERT_TRUE(load(2));
  ASSERT_TRUE(set->update_delegated(repository.source.files["1.mnist.json"], "mnist", kTargets));
  EXPECT_TRUE(set->check_authority("mnist", kTargets));
  DelegationSpec spec{.name = "mnist",
                      .paths = {"mnist/*"},
                      .keys = {Repository::public_key(repository.key("another"))},
                      .threshold = 1,
                      .terminating = true};
  ASSERT_TRUE(set_delegation(repository.targets, spec));
  repository.publish();
  ASSERT_TRUE(load(3));
  EXPECT_EQ(set->check_authority("mnist", kTargets).error().code(), Code::threshold_not_met);
}

TEST_F(SearchTest, HasABound) {
  std::string parent = "targets";
  for (int i = 0; i <= kMaxDelegations; ++i) {
    const std::string name = "r" + std::to_string(i);
    repository.delegate(parent, name, {"*"});
    parent = name;
  }
  (void)visited("file");
  EXPECT_EQ(outcome, Code::too_large);
}

TEST_F(SearchTest, RefusesARoleThatTheSnapshotDoesNotListWithoutAskingForIt) {
  repository.delegate("targets", "mnist", {"mnist/*"});
  repository.publish_targets();
  repository.meta.erase("mnist.json");
  repository.publish_snapshot();
  repository.publish_timestamp();
  ASSERT_EQ(client.refresh(), Code::ok) << client.message;
  repository.source.requests.clear();
  EXPECT_EQ(client.find("mnist/1"), Code::metadata_mismatch);
  EXPECT_TRUE(client.requests().empty());
}

TEST_F(SearchTest, ChecksSignatureHashVersionAndExpiryOfAModelsRole) {
  repository.with_hashes = false;
  repository.delegate("targets", "mnist", {"mnist/*"}, true);
  add("mnist", "mnist/1");
  repository.publish();
  ASSERT_EQ(client.refresh(), Code::ok) << client.message;
  Document& role = repository.roles.at("mnist");

  Repository::sign(role, {&repository.key("targets")});
  repository.put("1.mnist.json", role);
  EXPECT_EQ(client.find("mnist/1"), Code::threshold_not_met);

  Document later = role;
  later.bump(repository.expires);
  Repository::sign(later, {&repository.key("mnist")});
  repository.put("1.mnist.json", later);
  EXPECT_EQ(client.find("mnist/1"), Code::metadata_mismatch);

  Document old = role;
  old.edit()["expires"] = format_time(kStart);
  Repository::sign(old, {&repository.key("mnist")});
  repository.put("1.mnist.json", old);
  EXPECT_EQ(client.find("mnist/1"), Code::metadata_expired);

  Document other = make_snapshot(1, repository.expires, {});
  Repository::sign(other, {&repository.key("mnist")});
  repository.put("1.mnist.json", other);
  EXPECT_EQ(client.find("mnist/1"), Code::metadata_mismatch);

  EXPECT_FALSE(client.store.files.contains("mnist"));
  Repository::sign(role, {&repository.key("mnist")});
  repository.put("1.mnist.json", role);
  EXPECT_EQ(client.find("mnist/1"), Code::ok) << client.message;  // one fault does not end the next search
  EXPECT_EQ(found_in(), "mnist");
}

TEST_F(SearchTest, RefusesAModelsRoleWithOtherBytesThanListed) {
  repository.delegate("targets", "mnist", {"mnist/*"}, true);
  repository.publish();
  ASSERT_EQ(client.refresh(), Code::ok);
  repository.source.files["1.mnist.json"].back() = ' ';
  EXPECT_EQ(client.find("mnist/1"), Code::digest_mismatch);
  repository.source.files["1.mnist.json"].pop_back();
  EXPECT_EQ(client.find("mnist/1"), Code::size_mismatch);
}

TEST_F(SearchTest, OneModelsBrokenRoleIsNoOtherModelsFault) {
  repository.delegate("targets", "mnist", {"mnist/*"}, true);
  repository.delegate("targets", "cats", {"cats/*"}, true);
  add("cats", "cats/1");
  repository.publish();
  repository.source.files.erase("1.mnist.json");
  ASSERT_EQ(client.refresh(), Code::ok);
  EXPECT_EQ(client.find("mnist/1"), Code::not_found);
  EXPECT_EQ(client.find("cats/1"), Code::ok) << client.message;
  EXPECT_EQ(found_in(), "cats");
}

TEST_F(SearchTest, NeverFindsAReleaseUnderTheDirector) {
  ASSERT_TRUE(
      set_delegation(repository.targets, director_delegation(Repository::public_key(repository.key("director")))));
  repository.delegate("targets", "mnist", {"mnist/*"}, true);
  add("mnist", "mnist/1");
  EXPECT_EQ(visited("mnist/1"), Names{"mnist"});
  EXPECT_EQ(client.trusted().targets()->delegation("director")->covers("mnist/1"), false);
}

TEST_F(SearchTest, AWithdrawnReleaseIsNotFound) {
  repository.delegate("targets", "mnist", {"mnist/*"}, true);
  add("mnist", "mnist/1");
  (void)visited("mnist/1");
  ASSERT_TRUE(client.found());
  ASSERT_TRUE(remove_target(repository.roles.at("mnist"), "mnist/1"));
  (void)visited("mnist/1");
  EXPECT_FALSE(client.found());
}

// Targets that are kept in 16 bins; all of them are signed by the key "bins".
class BinSearch : public SearchTest {
 protected:
  BinSearch() {
    const Key bins = Repository::public_key(repository.key("bins"));
    repository.targets.edit()["delegations"] = {
        {"keys", {{bins.id, bins.object}}},
        {"succinct_roles", {{"keyids", {bins.id}}, {"threshold", 1}, {"bit_length", 4}, {"name_prefix", "bin"}}}};
  }
  void publish_bin(const std::string& name, Document bin, const std::string& signer = "bins") {
    Repository::sign(bin, {&repository.key(signer)});
    repository.list(name + ".json", repository.put("1." + name + ".json", bin));
  }
  static Document bin_with(const std::string& path) {
    Document bin = make_targets(kStart + 24h);
    EXPECT_TRUE(add_target(bin, path, Repository::target_of(path)));
    return bin;
  }
};

TEST_F(BinSearch, AsksForTheBinOfThePathAlone) {
  publish_bin("bin-b", bin_with("abc"));  // SHA-256 of "abc" begins with b
  EXPECT_EQ(visited("abc"), Names{"bin-b"});
  EXPECT_EQ(outcome, Code::ok) << client.message;
  EXPECT_EQ(found_in(), "bin-b");
}

TEST_F(BinSearch, FindsNothingInTheBinOfAnotherPath) {
  publish_bin("bin-b", make_targets(kStart + 24h));
  publish_bin("bin-0", bin_with("abc"));
  EXPECT_EQ(visited("abc"), Names{"bin-b"});
  EXPECT_EQ(found_in(), "");
}

TEST_F(BinSearch, RefusesABinThatItsKeyDidNotSign) {
  publish_bin("bin-b", bin_with("abc"), "targets");
  EXPECT_EQ(visited("abc"), Names{"bin-b"});
  EXPECT_EQ(outcome, Code::threshold_not_met);
}

TEST_F(BinSearch, EndsWithTheBinAlsoForTheSiblingsOfItsAncestors) {
  Document owner = repository.targets;  // the same bins, one level down
  repository.targets = make_targets(kStart + 24h);
  repository.delegate("targets", "a", {"*"});
  repository.delegate("targets", "z", {"*"});
  repository.roles.at("a").edit()["delegations"] = owner.signed_part().at("delegations");
  add("z", "abc");
  publish_bin("bin-b", make_targets(kStart + 24h));
  EXPECT_EQ(visited("abc"), (Names{"a", "bin-b"}));
  EXPECT_EQ(found_in(), "");
}

TEST_F(SearchTest, EscapesRoleNamesInFileNames) {
  repository.delegate("targets", "../evil", {"*"});
  add("../evil", "file");
  repository.publish();
  ASSERT_EQ(client.refresh(), Code::ok);
  repository.source.requests.clear();
  EXPECT_EQ(client.find("file"), Code::ok) << client.message;
  EXPECT_EQ(client.requests(), Names{"1...%2Fevil.json"});
}

}  // namespace
}  // namespace drover::tuf::testing
