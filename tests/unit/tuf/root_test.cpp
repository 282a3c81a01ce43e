// The root chain: TUF 1.0.34, section 5.3.
#include <gtest/gtest.h>

#include "tests/unit/tuf/repository.h"

namespace drover::tuf::testing {
namespace {

class RootChain : public TufTest {
 protected:
  const crypto::KeyPair& key(const std::string& name) { return repository.key(name); }
  std::string id(const std::string& name) { return Repository::public_key(key(name)).id; }
  void next_root(const Signers& signers) {
    repository.bump_root();
    repository.publish_root(signers);
  }
};

TEST_F(RootChain, IsWalkedToItsEnd) {
  next_root({});
  next_root({});
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
  EXPECT_EQ(client.store.version("root"), 3);
  EXPECT_EQ(client.requests(), (Names{"2.root.json", "3.root.json", "4.root.json", "timestamp.json", "1.snapshot.json",
                                      "1.targets.json"}));
}

TEST_F(RootChain, KeepsEachRootByteForByteBeforeTheNextIsAskedFor) {
  next_root({});
  next_root({&key("stranger")});
  EXPECT_EQ(client.refresh(), Code::threshold_not_met);
  EXPECT_EQ(client.store.files["root"], repository.source.files["2.root.json"]);
  EXPECT_EQ(client.store.saved, Names{"root"});
}

TEST_F(RootChain, BeginsWithARootThatIsSignedByItself) {
  Document unsigned_root = repository.root;
  unsigned_root.edit();
  client.store.files["root"] = bytes_of(unsigned_root.encode());
  EXPECT_EQ(client.refresh(), Code::threshold_not_met);
  EXPECT_TRUE(client.requests().empty());
}

TEST_F(RootChain, BeginsWithNothingThatIsNoRoot) {
  for (const char* junk : {"", "{}", "not json", R"({"signed":{"_type":"root"},"signatures":[]})"}) {
    client.store.files["root"] = bytes_of(junk);
    EXPECT_EQ(client.refresh(), Code::malformed);
  }
  client.store.files["root"] = repository.source.files["1.targets.json"];
  EXPECT_EQ(client.refresh(), Code::metadata_mismatch);
  client.store.files.erase("root");
  EXPECT_EQ(client.refresh(), Code::not_found);
  EXPECT_TRUE(client.requests().empty());
}

TEST_F(RootChain, ChangesItsKeyWithTheOldAndTheNewSignature) {
  Repository::add(repository.root, "root", key("root-2"));
  ASSERT_TRUE(remove_root_key(repository.root, "root", id("root")));
  next_root({&key("root"), &key("root-2")});
  next_root({&key("root-2")});
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
  EXPECT_EQ(client.store.version("root"), 3);
}

TEST_F(RootChain, RefusesANewKeyThatTheOldOneDidNotSign) {
  Repository::add(repository.root, "root", key("root-2"));
  ASSERT_TRUE(remove_root_key(repository.root, "root", id("root")));
  next_root({&key("root-2")});
  EXPECT_EQ(client.refresh(), Code::threshold_not_met);
  EXPECT_EQ(client.store.version("root"), 1);
}

TEST_F(RootChain, RefusesANewKeyThatDidNotSignItself) {
  Repository::add(repository.root, "root", key("root-2"));
  ASSERT_TRUE(remove_root_key(repository.root, "root", id("root")));
  next_root({&key("root")});
  EXPECT_EQ(client.refresh(), Code::threshold_not_met);
}

TEST_F(RootChain, RaisesItsThresholdOnlyWithEnoughOfTheNewKeys) {
  Repository::add(repository.root, "root", key("root-2"));
  Repository::add(repository.root, "root", key("root-3"));
  ASSERT_TRUE(set_root_threshold(repository.root, "root", 2));
  next_root({&key("root")});
  EXPECT_EQ(client.refresh(), Code::threshold_not_met);
  repository.publish_root({&key("root"), &key("root-3")});
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
}

TEST_F(RootChain, LowersItsThresholdOnlyWithEnoughOfTheOldKeys) {
  Repository::add(repository.root, "root", key("root-2"));
  ASSERT_TRUE(set_root_threshold(repository.root, "root", 2));
  next_root({&key("root"), &key("root-2")});
  ASSERT_TRUE(set_root_threshold(repository.root, "root", 1));
  next_root({&key("root")});
  EXPECT_EQ(client.refresh(), Code::threshold_not_met);
  EXPECT_EQ(client.store.version("root"), 2);
  repository.publish_root({&key("root"), &key("root-2")});
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
}

TEST_F(RootChain, GoesUpByExactlyOne) {
  repository.bump_root();
  repository.bump_root();
  repository.publish_root();
  repository.source.files["2.root.json"] = repository.source.files["3.root.json"];
  EXPECT_EQ(client.refresh(), Code::metadata_mismatch);
  repository.source.files["2.root.json"] = repository.source.files["1.root.json"];
  EXPECT_EQ(client.refresh(), Code::metadata_mismatch);
  EXPECT_EQ(client.store.version("root"), 1);
}

TEST_F(RootChain, PassesOverTheExpiryOfAllButTheLast) {
  repository.root.bump(kStart - 1h);
  repository.publish_root();
  repository.root.bump(kStart + 1h);
  repository.publish_root();
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
}

TEST_F(RootChain, StopsWhenTheLastHasExpiredAndHasKeptIt) {
  repository.root.bump(kStart);  // expired at the very second
  repository.publish_root();
  EXPECT_EQ(client.refresh(), Code::metadata_expired);
  EXPECT_EQ(client.store.version("root"), 2);
  EXPECT_EQ(client.requests(), (Names{"2.root.json", "3.root.json"}));
}

TEST_F(RootChain, IsNotHeldUpByAnExpiredLocalRoot) {
  repository.expires = kStart + 100h;
  repository.bump_root();
  repository.publish_root();
  repository.publish();
  EXPECT_EQ(client.refresh(kStart + 50h), Code::ok) << client.message;
}

TEST_F(RootChain, TakesABoundedNumberOfRootsAtOnceAndTheRestLater) {
  for (int i = 0; i < kMaxRootRotations + 3; ++i) next_root({});
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
  EXPECT_EQ(client.store.version("root"), 1 + kMaxRootRotations);
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
  EXPECT_EQ(client.store.version("root"), 1 + kMaxRootRotations + 3);
}

TEST_F(RootChain, AsksForNoMoreThanItsBound) {
  repository.source.files["2.root.json"] = Bytes(kMaxRootBytes + 1, ' ');
  EXPECT_EQ(client.refresh(), Code::too_large);
}

TEST_F(RootChain, LetsTheCallerUpdateLaterAfterAnyFault) {
  repository.source.files["2.root.json"] = bytes_of("{");
  EXPECT_EQ(client.refresh(), Code::malformed);
  next_root({});
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
}

}  // namespace
}  // namespace drover::tuf::testing
