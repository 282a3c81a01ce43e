// Timestamp, snapshot and targets: TUF 1.0.34, sections 5.4 to 5.6, and the walk through them.
#include "common/tuf/refresh.h"

#include <gtest/gtest.h>

#include "tests/unit/tuf/repository.h"

namespace drover::tuf::testing {
namespace {

using RefreshTest = TufTest;

Bytes damaged(Bytes bytes) {
  // Another expiry with the same length: the form stays, the signature does not.
  std::string text(bytes.begin(), bytes.end());
  const auto at = text.find("\"expires\":\"2") + 12;
  text[at] = text[at] == '0' ? '1' : '0';
  return bytes_of(text);
}

TEST_F(RefreshTest, AsksForExactlyTheFilesOfTheSpecification) {
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
  EXPECT_EQ(client.requests(), (Names{"2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"}));
}

TEST_F(RefreshTest, KeepsWhatItTrustsByteForByte) {
  ASSERT_EQ(client.refresh(), Code::ok);
  EXPECT_EQ(client.store.files["timestamp"], repository.source.files["timestamp.json"]);
  EXPECT_EQ(client.store.files["snapshot"], repository.source.files["1.snapshot.json"]);
  EXPECT_EQ(client.store.files["targets"], repository.source.files["1.targets.json"]);
}

TEST_F(RefreshTest, AsksForNothingThatIsCurrentInTheStore) {
  ASSERT_EQ(client.refresh(), Code::ok);
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
  EXPECT_EQ(client.requests(), (Names{"2.root.json", "timestamp.json"}));
  EXPECT_TRUE(client.store.saved.empty());
}

TEST_F(RefreshTest, AsksForTargetsOnlyWhenTheSnapshotListsNewOnes) {
  ASSERT_EQ(client.refresh(), Code::ok);
  repository.publish_snapshot();
  repository.publish_timestamp();
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
  EXPECT_EQ(client.requests(), (Names{"2.root.json", "timestamp.json", "2.snapshot.json"}));
}

TEST_F(RefreshTest, AsksForASnapshotOfWhichOnlyTheVersionIsListed) {
  ASSERT_EQ(client.refresh(), Code::ok);
  repository.publish_snapshot();
  repository.snapshot_file.length.reset();
  repository.snapshot_file.hashes.clear();
  repository.publish_timestamp();
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
  EXPECT_EQ(client.requests(), (Names{"2.root.json", "timestamp.json", "2.snapshot.json"}));
}

TEST_F(RefreshTest, DoesNotServeItselfWithALocalSnapshotThatHasExpired) {
  repository.expires = kStart + 1h;
  repository.publish_snapshot();
  repository.publish_timestamp();
  ASSERT_EQ(client.refresh(), Code::ok) << client.message;
  repository.expires = kStart + 20h;
  repository.publish_timestamp();
  EXPECT_EQ(client.refresh(kStart + 2h), Code::metadata_expired);
  EXPECT_EQ(client.requests(), (Names{"2.root.json", "timestamp.json", "2.snapshot.json"}));
}

TEST_F(RefreshTest, KeepsATimestampOfTheSameVersionWhateverTheNewOneSays) {
  ASSERT_EQ(client.refresh(), Code::ok);
  const Bytes before = client.store.files["timestamp"];
  repository.publish_snapshot();
  --repository.timestamp_version;
  repository.publish_timestamp();
  ASSERT_NE(repository.source.files["timestamp.json"], before);
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
  EXPECT_EQ(client.store.files["timestamp"], before);
  EXPECT_EQ(client.requests(), (Names{"2.root.json", "timestamp.json"}));
}

TEST_F(RefreshTest, GoesOnAfterAStopBetweenTimestampAndSnapshot) {
  const Bytes snapshot = repository.source.files["1.snapshot.json"];
  repository.source.files.erase("1.snapshot.json");
  EXPECT_EQ(client.refresh(), Code::not_found);
  EXPECT_EQ(client.store.version("timestamp"), 1);
  repository.source.files["1.snapshot.json"] = snapshot;
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;  // the timestamp is the same, the snapshot is still wanted
  EXPECT_EQ(client.store.version("targets"), 1);
}

TEST_F(RefreshTest, StoresEachRoleAsSoonAsItIsTrustedAndNoneThatIsNot) {
  ASSERT_EQ(client.refresh(), Code::ok);
  repository.publish();
  repository.source.files["2.targets.json"] = damaged(repository.source.files["2.targets.json"]);
  EXPECT_EQ(client.refresh(), Code::digest_mismatch);
  EXPECT_EQ(client.store.saved, (Names{"timestamp", "snapshot"}));
  EXPECT_EQ(client.store.version("targets"), 1);
}

TEST_F(RefreshTest, RefusesUnsignedMetadataOfEachRole) {
  for (const char* role : {"timestamp", "snapshot", "targets"}) {
    Repository fresh;
    fresh.with_hashes = false;
    fresh.publish();
    const std::string file = std::string(role) == "timestamp" ? "timestamp.json" : "2." + std::string(role) + ".json";
    Document document = *Document::parse(fresh.source.files[file]);
    document.edit();
    if (std::string(role) == "snapshot") {
      fresh.snapshot_file = fresh.put(file, document);
      fresh.snapshot_file.hashes.clear();
      fresh.snapshot_file.length.reset();
      fresh.publish_timestamp();
    } else {
      fresh.put(file, document);
    }
    Client device(fresh);
    EXPECT_EQ(device.refresh(), Code::threshold_not_met) << role << device.message;
    EXPECT_FALSE(device.store.files.contains(role));
  }
}

TEST_F(RefreshTest, RefusesEachRoleSignedByAnotherRolesKey) {
  Document document = make_timestamp(2, kStart + 1h, kStart, repository.snapshot_file);
  Repository::sign(document, {&repository.key("snapshot"), &repository.key("targets"), &repository.key("root")});
  repository.put("timestamp.json", document);
  EXPECT_EQ(client.refresh(), Code::threshold_not_met);
}

TEST_F(RefreshTest, RefusesAValidSnapshotServedAsTimestamp) {
  repository.source.files["timestamp.json"] = repository.source.files["1.snapshot.json"];
  EXPECT_EQ(client.refresh(), Code::metadata_mismatch);
}

TEST_F(RefreshTest, RefusesASnapshotWithOtherHashesThanListed) {
  repository.snapshot_file.hashes["sha256"] = crypto::sha256(std::string_view("other")).hex();
  repository.publish_timestamp();
  EXPECT_EQ(client.refresh(), Code::digest_mismatch);
  EXPECT_EQ(client.store.version("timestamp"), 2);
  EXPECT_EQ(client.store.version("snapshot"), 0);
}

TEST_F(RefreshTest, RefusesATruncatedOrLongerSnapshot) {
  Bytes& snapshot = repository.source.files["1.snapshot.json"];
  snapshot.push_back('\n');
  EXPECT_EQ(client.refresh(), Code::too_large);  // more than listed is not even read
  snapshot.resize(snapshot.size() - 2);
  EXPECT_EQ(client.refresh(), Code::size_mismatch);
}

TEST_F(RefreshTest, RefusesAVersionOtherThanListed) {
  repository.with_hashes = false;
  repository.publish();
  repository.targets.bump(repository.expires);
  Repository::sign(repository.targets, {&repository.key("targets")});
  repository.put("2.targets.json", repository.targets);  // holds version 3
  EXPECT_EQ(client.refresh(), Code::metadata_mismatch);
  EXPECT_EQ(client.store.version("targets"), 0);
}

TEST_F(RefreshTest, RefusesASnapshotOfAVersionOtherThanTheTimestampLists) {
  Document document = make_snapshot(7, kStart + 1h, repository.meta);
  Repository::sign(document, {&repository.key("snapshot")});
  repository.snapshot_file = repository.put("1.snapshot.json", document);
  repository.snapshot_file.version = 1;
  repository.publish_timestamp();
  EXPECT_EQ(client.refresh(), Code::metadata_mismatch);
}

TEST_F(RefreshTest, RefusesASnapshotThatDoesNotListTargets) {
  repository.meta.clear();
  repository.publish_snapshot();
  repository.publish_timestamp();
  EXPECT_EQ(client.refresh(), Code::metadata_mismatch);
}

TEST_F(RefreshTest, RefusesEachRoleThatHasExpired) {
  repository.expires = kStart + 1h;
  repository.publish();
  repository.expires = kStart + 48h;
  repository.bump_root();
  repository.publish_root();
  EXPECT_EQ(client.refresh(kStart + 2h), Code::metadata_expired);
  EXPECT_EQ(client.store.saved, Names{"root"});
  repository.publish_timestamp();
  EXPECT_EQ(client.refresh(kStart + 2h), Code::metadata_expired);
  EXPECT_EQ(client.store.saved, Names{"timestamp"});
  repository.publish_snapshot();
  repository.publish_timestamp();
  EXPECT_EQ(client.refresh(kStart + 2h), Code::metadata_expired);
  EXPECT_EQ(client.store.saved, (Names{"timestamp", "snapshot"}));
  repository.publish();
  EXPECT_EQ(client.refresh(kStart + 2h), Code::ok) << client.message;
}

TEST_F(RefreshTest, ExpiresAtTheVerySecond) {
  EXPECT_EQ(client.refresh(kStart + 24h - 1s), Code::ok) << client.message;
  EXPECT_EQ(client.refresh(kStart + 24h), Code::metadata_expired);
}

TEST_F(RefreshTest, NoticesAFreezeOnAnOldTimestamp) {
  ASSERT_EQ(client.refresh(), Code::ok);
  repository.expires = kStart + 100h;
  repository.bump_root();
  repository.publish_root();
  // The server goes on with the same timestamp, long after its end.
  EXPECT_EQ(client.refresh(kStart + 50h), Code::metadata_expired);
  EXPECT_EQ(client.requests(), (Names{"2.root.json", "3.root.json", "timestamp.json"}));
}

TEST_F(RefreshTest, IsNotWedgedByExpiredLocalMetadata) {
  ASSERT_EQ(client.refresh(), Code::ok);
  repository.expires = kStart + 100h;
  repository.bump_root();
  repository.publish_root();
  repository.publish();
  EXPECT_EQ(client.refresh(kStart + 50h), Code::ok) << client.message;
  EXPECT_EQ(client.store.version("targets"), 2);
}

TEST_F(RefreshTest, IsNotWedgedByDamagedLocalMetadata) {
  ASSERT_EQ(client.refresh(), Code::ok);
  for (const char* role : {"timestamp", "snapshot", "targets"}) {
    client.store.files[role] = bytes_of("{\"signed\":");
    EXPECT_EQ(client.refresh(), Code::ok) << role << client.message;
    EXPECT_EQ(client.store.version(role), 1);
  }
}

TEST_F(RefreshTest, IsNotWedgedByLocalMetadataThatIsTooLargeToBeRead) {
  ASSERT_EQ(client.refresh(), Code::ok);
  for (const char* role : {"timestamp", "snapshot", "targets"}) {
    client.store.oversized = role;
    EXPECT_EQ(client.refresh(), Code::ok) << role << client.message;
  }
}

TEST_F(RefreshTest, IsNotWedgedByAModelsRoleThatWasHalfWritten) {
  repository.delegate("targets", "mnist", {"mnist/*"}, true);
  ASSERT_TRUE(add_target(repository.roles.at("mnist"), "mnist/1", Repository::target_of("index")));
  repository.publish();
  ASSERT_EQ(client.refresh(), Code::ok);
  ASSERT_EQ(client.find("mnist/1"), Code::ok);
  const Bytes whole = client.store.files.at("mnist");
  for (const std::size_t size : {std::size_t{0}, whole.size() / 2, whole.size() - 1}) {
    client.store.files["mnist"].resize(size);
    ASSERT_EQ(client.refresh(), Code::ok);
    EXPECT_EQ(client.find("mnist/1"), Code::ok) << size << client.message;
    EXPECT_EQ(client.store.files["mnist"], whole);
  }
}

TEST_F(RefreshTest, TakesNoSnapshotUnderATimestampThatHasExpired) {
  auto set = TrustedSet::create(repository.source.files["1.root.json"], kStart);
  ASSERT_TRUE(set);
  repository.expires = kStart - 1s;
  repository.publish_timestamp();
  ASSERT_TRUE(set->finish_root());
  ASSERT_TRUE(set->guard_timestamp(repository.source.files["timestamp.json"]));  // guards, expired or not
  EXPECT_EQ(set->update_snapshot(repository.source.files["1.snapshot.json"]).error().code(), Code::metadata_expired);
}

TEST_F(RefreshTest, StopsWhenAGuardCannotBeReadJustNow) {
  ASSERT_EQ(client.refresh(), Code::ok);
  for (const char* role : {"timestamp", "snapshot"}) {
    client.store.broken = role;
    EXPECT_EQ(client.refresh(), Code::io) << role;
  }
}

TEST_F(RefreshTest, StopsWhenWhatIsTrustedCannotBeStored) {
  client.store.full = true;
  EXPECT_EQ(client.refresh(), Code::disk_full);
  EXPECT_EQ(client.requests(), (Names{"2.root.json", "timestamp.json"}));
}

TEST_F(RefreshTest, BoundsWhatItAsksFor) {
  auto refresh = Refresh::start(client.store, kStart);
  ASSERT_TRUE(refresh);
  EXPECT_EQ(std::get<NeedFile>(refresh->next()).max_length, kMaxRootBytes);
  refresh->feed(Error(Code::not_found, ""));
  EXPECT_EQ(std::get<NeedFile>(refresh->next()).max_length, kMaxTimestampBytes);
  refresh->feed(repository.source.files["timestamp.json"]);
  EXPECT_EQ(std::get<NeedFile>(refresh->next()).max_length, repository.snapshot_file.length);
  refresh->feed(repository.source.files["1.snapshot.json"]);
  EXPECT_EQ(std::get<NeedFile>(refresh->next()).max_length, repository.meta["targets.json"].length);
}

TEST_F(RefreshTest, IsNotTalkedIntoMoreThanItsBoundByAListedLength) {
  repository.snapshot_file.length = kMaxSnapshotBytes + 1;
  repository.publish_timestamp();
  auto refresh = Refresh::start(client.store, kStart);
  refresh->feed(Error(Code::not_found, ""));
  refresh->feed(repository.source.files["timestamp.json"]);
  EXPECT_EQ(std::get<NeedFile>(refresh->next()).max_length, kMaxSnapshotBytes);
}

TEST_F(RefreshTest, IsNotTalkedIntoMoreThanItsBoundForTargets) {
  repository.meta["targets.json"].length = kMaxTargetsBytes + 1;
  repository.publish_snapshot();
  repository.publish_timestamp();
  auto refresh = Refresh::start(client.store, kStart);
  ASSERT_TRUE(refresh);
  refresh->feed(Error(Code::not_found, ""));
  refresh->feed(repository.source.files["timestamp.json"]);
  refresh->feed(repository.source.files["2.snapshot.json"]);
  EXPECT_EQ(std::get<NeedFile>(refresh->next()).max_length, kMaxTargetsBytes);
}

TEST_F(RefreshTest, SearchesNothingBeforeTheMetadataIsCurrent) {
  auto refresh = Refresh::start(client.store, kStart);
  ASSERT_TRUE(refresh);
  refresh->find("mnist/1");
  EXPECT_EQ(std::get<Error>(refresh->next()).code(), Code::internal);
}

TEST_F(RefreshTest, TakesNoRoleThatTheSnapshotDoesNotListOrNobodyDelegatesTo) {
  repository.delegate("targets", "mnist", {"mnist/*"}, true);
  repository.publish();
  auto set = TrustedSet::create(repository.source.files["1.root.json"], kStart);
  ASSERT_TRUE(set && set->finish_root());
  ASSERT_TRUE(set->update_timestamp(repository.source.files["timestamp.json"]));
  ASSERT_TRUE(set->update_snapshot(repository.source.files["2.snapshot.json"]));
  ASSERT_TRUE(set->update_targets(repository.source.files["2.targets.json"]));
  const Bytes& mnist = repository.source.files["1.mnist.json"];
  EXPECT_EQ(set->update_delegated(mnist, "other", kTargets).error().code(), Code::metadata_mismatch);
  EXPECT_EQ(set->update_delegated(mnist, "mnist", "mnist").error().code(), Code::unknown_key);
  EXPECT_TRUE(set->update_delegated(mnist, "mnist", kTargets));
  EXPECT_EQ(set->check_authority("mnist", "other").error().code(), Code::unknown_key);
}

TEST_F(RefreshTest, AsksWithoutVersionsWhereTheRootSaysSo) {
  repository.root.edit()["consistent_snapshot"] = false;
  repository.bump_root();
  repository.publish_root();
  repository.source.files["snapshot.json"] = repository.source.files["1.snapshot.json"];
  repository.source.files["targets.json"] = repository.source.files["1.targets.json"];
  EXPECT_EQ(client.refresh(), Code::ok) << client.message;
  EXPECT_EQ(client.requests(),
            (Names{"2.root.json", "3.root.json", "timestamp.json", "snapshot.json", "targets.json"}));
}

TEST_F(RefreshTest, StaysWithItsFirstFault) {
  auto refresh = Refresh::start(client.store, kStart);
  ASSERT_TRUE(refresh);
  refresh->feed(Error(Code::timeout, "slow"));
  refresh->feed(repository.source.files["timestamp.json"]);
  EXPECT_EQ(std::get<Error>(refresh->next()).code(), Code::timeout);
  refresh->find("mnist/1");
  EXPECT_EQ(std::get<Error>(refresh->next()).code(), Code::timeout);
}

TEST_F(RefreshTest, TellsWhenTheServerIssuedTheTimestamp) {
  ASSERT_EQ(client.refresh(), Code::ok);
  ASSERT_NE(client.trusted().timestamp(), nullptr);
  EXPECT_EQ(client.trusted().timestamp()->issued, kStart);
}

}  // namespace
}  // namespace drover::tuf::testing
