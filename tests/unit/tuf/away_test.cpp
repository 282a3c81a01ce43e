// A device that was away for a year: everything that it kept has expired, and every key has been changed, some more
// than once. And what a server that has been taken over may make of such a device.
#include <gtest/gtest.h>

#include "tests/unit/tuf/repository.h"

namespace drover::tuf::testing {
namespace {

constexpr auto kDay = 24h;
constexpr int kMonths = 12;

class Away : public TufTest {
 protected:
  const crypto::KeyPair& key(const std::string& name) { return repository.key(name); }
  std::string id(const std::string& name) { return Repository::public_key(key(name)).id; }
  static std::string name(std::string_view role, int month) {
    return month == 0 ? std::string(role) : std::string(role) + "-" + std::to_string(month);
  }

  void replace(std::string_view role, int month) {
    Repository::add(repository.root, role, key(name(role, month)));
    ASSERT_TRUE(remove_root_key(repository.root, role, id(name(role, month - 1))));
  }
  // Another key for every role; the metadata of that month expires with it.
  void rotate_everything(int month) {
    const WallTime expires = kStart + (month + 1) * 31 * kDay;
    repository.root.bump(expires);
    for (const std::string_view role : {kRoot, kTargets, kSnapshot, kTimestamp}) replace(role, month);
    repository.publish_root({&key(name(kRoot, month - 1)), &key(name(kRoot, month))});
    publish(month, expires);
  }
  void publish(int month, WallTime expires) {
    ASSERT_TRUE(set_delegation(repository.targets,
                               model_delegation("mnist", {Repository::public_key(key(name("manager", month)))}, 1)));
    repository.targets.bump(expires);
    Repository::sign(repository.targets, {&key(name(kTargets, month))});
    repository.list("targets.json", put(repository.targets, "targets"));
    publish_model(month, expires);
    publish_online(month, expires);
  }
  void publish_model(int month, WallTime expires) {
    auto& model = repository.roles.try_emplace("mnist", make_targets(expires)).first->second;
    model.bump(expires);
    ASSERT_TRUE(add_target(model, "mnist/" + std::to_string(month), Repository::target_of("model")));
    Repository::sign(model, {&key(name("manager", month))});
    repository.list("mnist.json", put(model, "mnist"));
  }
  void publish_online(int month, WallTime expires) {
    Document snapshot = make_snapshot(++repository.snapshot_version, expires, repository.meta);
    Repository::sign(snapshot, {&key(name(kSnapshot, month))});
    repository.snapshot_file = put(snapshot, "snapshot");
    Document timestamp = make_timestamp(++repository.timestamp_version, expires, kStart, repository.snapshot_file);
    Repository::sign(timestamp, {&key(name(kTimestamp, month))});
    repository.put("timestamp.json", timestamp);
  }
  MetaFile put(const Document& document, const std::string& role) {
    return repository.put(std::to_string(document.version()) + "." + role + ".json", document);
  }
  void away_for_a_year() {
    ASSERT_EQ(client.refresh(), Code::ok) << client.message;
    for (int month = 1; month <= kMonths; ++month) rotate_everything(month);
  }
  const WallTime back_ = kStart + (kMonths + 1) * 31 * kDay - 1h;
};

TEST_F(Away, ADeviceTakesEveryRootOnTheWayAndIsCurrent) {
  away_for_a_year();
  ASSERT_EQ(client.refresh(back_), Code::ok) << client.message;
  EXPECT_EQ(client.store.version("root"), 1 + kMonths);
  EXPECT_EQ(client.find("mnist/12"), Code::ok) << client.message;
  ASSERT_TRUE(client.found());
  EXPECT_EQ(client.found()->role, "mnist");
  ASSERT_EQ(client.refresh(back_), Code::ok) << client.message;
  EXPECT_EQ(client.requests(), (Names{"14.root.json", "timestamp.json"})) << "and keeps what it has learnt";
}

TEST_F(Away, ADeviceThatIsInterruptedOnTheWayGoesOnWhereItWas) {
  away_for_a_year();
  const Bytes kept = repository.source.files.at("7.root.json");
  repository.source.files["7.root.json"] = bytes_of("half a fi");
  EXPECT_EQ(client.refresh(back_), Code::malformed);
  EXPECT_EQ(client.store.version("root"), 6);
  repository.source.files["7.root.json"] = kept;
  EXPECT_EQ(client.refresh(back_), Code::ok) << client.message;
  EXPECT_EQ(client.requests().front(), "7.root.json");
}

TEST_F(Away, AServerThatHidesTheNewRootsHasNothingToSay) {
  const auto old = repository.source.files;
  away_for_a_year();
  repository.source.files = old;
  EXPECT_EQ(client.refresh(back_), Code::metadata_expired);
}

TEST_F(Away, AServerThatHidesTheLastRootsHasNothingToSayEither) {
  away_for_a_year();
  for (int version = 8; version <= 1 + kMonths; ++version)
    repository.source.files.erase(std::to_string(version) + ".root.json");
  EXPECT_EQ(client.refresh(back_), Code::metadata_expired);
  EXPECT_EQ(client.store.version("root"), 7);
}

TEST_F(Away, KeysOfThePastSignNothingForIt) {
  away_for_a_year();
  const WallTime expires = back_ + kDay;
  Document timestamp = make_timestamp(++repository.timestamp_version, expires, kStart, repository.snapshot_file);
  Repository::sign(timestamp, {&key(name(kTimestamp, 0)), &key(name(kTimestamp, kMonths - 1))});
  repository.put("timestamp.json", timestamp);
  EXPECT_EQ(client.refresh(back_), Code::threshold_not_met);
}

// The server has been taken over with all of its keys; a manager was removed meanwhile, and helps.
TEST_F(Away, ARemovedManagersReleaseIsRefused) {
  away_for_a_year();
  auto& model = repository.roles.at("mnist");
  model.bump(back_ + kDay);
  ASSERT_TRUE(add_target(model, "mnist/evil", Repository::target_of("evil")));
  Repository::sign(model, {&key(name("manager", 3)), &key(name("manager", 0))});
  repository.list("mnist.json", put(model, "mnist"));
  publish_online(kMonths, back_ + kDay);
  ASSERT_EQ(client.refresh(back_), Code::ok) << client.message;
  EXPECT_EQ(client.find("mnist/evil"), Code::threshold_not_met);
}

}  // namespace
}  // namespace drover::tuf::testing
