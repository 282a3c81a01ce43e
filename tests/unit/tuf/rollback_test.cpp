// Going back, and coming back from a fast-forward attack.
#include <gtest/gtest.h>

#include "tests/unit/tuf/repository.h"

namespace drover::tuf::testing {
namespace {

// A device that has seen version 2 of everything, with one model.
class Rollback : public TufTest {
 protected:
  Rollback() {
    repository.delegate("targets", "mnist", {"mnist/*"}, true);
    repository.publish();
    EXPECT_EQ(client.refresh(), Code::ok) << client.message;
    EXPECT_EQ(client.find("mnist/1"), Code::ok) << client.message;
  }
  std::string id(const std::string& name) { return Repository::public_key(repository.key(name)).id; }
  // The next root has new keys for the role; the repository signs with them from now on.
  void rotate(const std::vector<std::string>& rotated) {
    for (const std::string& role : rotated) {
      const std::string old = id(role);
      Repository::add(repository.root, role, repository.key(role + "-new"));
      EXPECT_TRUE(remove_root_key(repository.root, role, old));
    }
    repository.bump_root();
    repository.publish_root();
  }
  void publish_timestamp_by(const std::string& signer, std::int64_t version) {
    Document document = make_timestamp(version, repository.expires, kStart, repository.snapshot_file);
    Repository::sign(document, {&repository.key(signer)});
    repository.put("timestamp.json", document);
  }
  void publish_snapshot_by(const std::string& signer, std::int64_t version) {
    Document document = make_snapshot(version, repository.expires, repository.meta);
    Repository::sign(document, {&repository.key(signer)});
    repository.snapshot_file = repository.put(std::to_string(version) + ".snapshot.json", document);
  }
};

TEST_F(Rollback, OfTheTimestampIsRefused) {
  publish_timestamp_by("timestamp", 1);
  EXPECT_EQ(client.refresh(), Code::metadata_rollback);
  EXPECT_EQ(client.store.version("timestamp"), 2);
}

TEST_F(Rollback, OfTheSnapshotThroughANewTimestampIsRefused) {
  publish_snapshot_by("snapshot", 1);
  publish_timestamp_by("timestamp", 3);
  EXPECT_EQ(client.refresh(), Code::metadata_rollback);
  EXPECT_EQ(client.store.version("timestamp"), 2);  // not kept before it was checked
}

TEST_F(Rollback, OfTargetsThroughANewSnapshotIsRefused) {
  repository.meta["targets.json"] = *Document::describe(repository.source.files["1.targets.json"]);
  repository.publish_snapshot();
  repository.publish_timestamp();
  EXPECT_EQ(client.refresh(), Code::metadata_rollback);
  EXPECT_EQ(client.store.version("snapshot"), 2);
}

TEST_F(Rollback, OfTargetsIsRefusedWithoutListedHashesToo) {
  repository.with_hashes = false;
  repository.list("targets.json", *Document::describe(repository.source.files["1.targets.json"]));
  repository.publish_snapshot();
  repository.publish_timestamp();
  EXPECT_EQ(client.refresh(), Code::metadata_rollback);
}

TEST_F(Rollback, OfAModelsRoleIsRefused) {
  repository.publish();
  ASSERT_EQ(client.refresh(), Code::ok);
  repository.meta["mnist.json"] = *Document::describe(repository.source.files["1.mnist.json"]);
  repository.publish_snapshot();
  repository.publish_timestamp();
  EXPECT_EQ(client.refresh(), Code::metadata_rollback);
}

TEST_F(Rollback, ByDroppingARoleFromTheSnapshotIsRefused) {
  repository.meta.erase("mnist.json");
  repository.publish_snapshot();
  repository.publish_timestamp();
  EXPECT_EQ(client.refresh(), Code::metadata_rollback);
}

TEST_F(Rollback, IsRefusedWithLocalMetadataThatHasExpired) {
  repository.expires = kStart + 100h;
  repository.bump_root();
  repository.publish_root();
  publish_timestamp_by("timestamp", 1);
  EXPECT_EQ(client.refresh(kStart + 50h), Code::metadata_rollback);
  repository.meta["targets.json"] = *Document::describe(repository.source.files["1.targets.json"]);
  publish_snapshot_by("snapshot", 3);
  publish_timestamp_by("timestamp", 3);
  EXPECT_EQ(client.refresh(kStart + 50h), Code::metadata_rollback);
}

TEST_F(Rollback, IsRefusedByTheLocalSnapshotEvenWhenTheTimestampListsAnother) {
  // The new timestamp lists other bytes for version 2; the local ones still guard the versions of the roles.
  repository.meta["targets.json"] = *Document::describe(repository.source.files["1.targets.json"]);
  publish_snapshot_by("snapshot", 2);
  publish_timestamp_by("timestamp", 3);
  EXPECT_EQ(client.refresh(), Code::metadata_rollback);
}

TEST_F(Rollback, IsStillRefusedAfterARootUpdateThatKeptTheKeys) {
  repository.bump_root();
  repository.publish_root();
  publish_timestamp_by("timestamp", 1);
  EXPECT_EQ(client.refresh(), Code::metadata_rollback);
}

TEST_F(Rollback, IsTheWayBackFromAFastForwardOfTheTimestamp) {
  publish_timestamp_by("timestamp", 1'000'000);
  ASSERT_EQ(client.refresh(), Code::ok) << client.message;
  publish_timestamp_by("timestamp", 3);
  ASSERT_EQ(client.refresh(), Code::metadata_rollback);
  rotate({"timestamp"});
  publish_timestamp_by("timestamp-new", 1);
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
  EXPECT_EQ(client.store.version("timestamp"), 1);
}

TEST_F(Rollback, IsTheWayBackFromAFastForwardOfTheSnapshot) {
  publish_snapshot_by("snapshot", 1'000'000);
  publish_timestamp_by("timestamp", 3);
  ASSERT_EQ(client.refresh(), Code::ok) << client.message;
  rotate({"snapshot", "timestamp"});
  publish_snapshot_by("snapshot-new", 1);
  publish_timestamp_by("timestamp-new", 1);
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
  EXPECT_EQ(client.store.version("snapshot"), 1);
}

TEST_F(Rollback, IsTheWayBackFromAFastForwardOfTheSnapshotWithANewSnapshotKeyAlone) {
  publish_snapshot_by("snapshot", 1'000'000);
  publish_timestamp_by("timestamp", 3);
  ASSERT_EQ(client.refresh(), Code::ok) << client.message;
  publish_snapshot_by("snapshot", 3);
  publish_timestamp_by("timestamp", 4);
  ASSERT_EQ(client.refresh(), Code::metadata_rollback);
  rotate({"snapshot"});
  publish_snapshot_by("snapshot-new", 3);
  publish_timestamp_by("timestamp", 2);  // of the timestamp nothing is forgotten
  EXPECT_EQ(client.refresh(), Code::metadata_rollback);
  publish_timestamp_by("timestamp", 4);
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
  EXPECT_EQ(client.store.version("snapshot"), 3);
  publish_snapshot_by("snapshot-new", 2);  // and under the new key it holds again
  publish_timestamp_by("timestamp", 5);
  EXPECT_EQ(client.refresh(), Code::metadata_rollback);
}

TEST_F(Rollback, IsNotMadePossibleByDamageToTheLocalSnapshot) {
  client.store.files["snapshot"] = bytes_of("{\"signed\":");
  publish_snapshot_by("snapshot", 1);
  publish_timestamp_by("timestamp", 3);
  EXPECT_EQ(client.refresh(), Code::metadata_rollback);
  client.store.files.erase("snapshot");
  EXPECT_EQ(client.refresh(), Code::metadata_rollback);
}

TEST_F(Rollback, ToASnapshotOfARotatedKeyIsRefused) {
  const Bytes old = repository.source.files["2.snapshot.json"];
  rotate({"snapshot"});
  publish_snapshot_by("snapshot-new", 3);
  publish_timestamp_by("timestamp", 3);
  ASSERT_EQ(client.refresh(), Code::ok) << client.message;
  repository.source.files["2.snapshot.json"] = old;
  repository.snapshot_file = *Document::describe(old);
  publish_timestamp_by("timestamp", 4);
  EXPECT_EQ(client.refresh(), Code::metadata_rollback);
}

TEST_F(Rollback, IsTheWayBackFromAFastForwardOfTargets) {
  Document ahead = repository.targets;
  ahead.edit()["version"] = 1'000'000;
  Repository::sign(ahead, {&repository.key("targets")});
  repository.list("targets.json", repository.put("1000000.targets.json", ahead));
  repository.publish_snapshot();
  repository.publish_timestamp();
  ASSERT_EQ(client.refresh(), Code::ok) << client.message;
  rotate({"snapshot"});
  repository.list("targets.json", *Document::describe(repository.source.files["1.targets.json"]));
  publish_snapshot_by("snapshot-new", 4);
  publish_timestamp_by("timestamp", 4);
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
  EXPECT_EQ(client.store.version("targets"), 1);
}

TEST_F(Rollback, ByMixingFilesOfTwoStatesIsRefused) {
  // An old, validly signed snapshot behind a timestamp that lists the new one.
  repository.publish();
  repository.source.files["3.snapshot.json"] = repository.source.files["2.snapshot.json"];
  EXPECT_EQ(client.refresh(), Code::digest_mismatch);
  repository.publish();
  repository.source.files["4.targets.json"] = repository.source.files["2.targets.json"];
  EXPECT_EQ(client.refresh(), Code::digest_mismatch);
}

}  // namespace
}  // namespace drover::tuf::testing
