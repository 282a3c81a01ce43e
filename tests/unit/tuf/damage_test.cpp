// Thousands of damaged files from one seed: nothing crashes, and nothing verifies that does not say what was signed.
#include <gtest/gtest.h>

#include "common/rng/rng.h"
#include "tests/unit/tuf/repository.h"

namespace drover::tuf::testing {
namespace {

constexpr int kRounds = 4000;

// One to four bytes changed, taken out, doubled, or exchanged for a piece that means something in JSON.
Bytes damage(Bytes bytes, Rng& rng) {
  static const std::string_view kPieces[] = {
      "{", "}", "[", "]", "null", "-1", "0", "1e9", "\"\"", ",", ":", "\\u0000", "18446744073709551615"};
  for (std::uint64_t n = 1 + rng.below(4); n > 0 && !bytes.empty(); --n) {
    const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(rng.below(bytes.size()));
    const std::string_view piece = kPieces[rng.below(std::size(kPieces))];
    switch (rng.below(4)) {
      case 0:
        *at = static_cast<std::uint8_t>(rng.next());
        break;
      case 1:
        bytes.erase(at);
        break;
      case 2:
        bytes.insert(at, *at);
        break;
      default:
        bytes.insert(at, piece.begin(), piece.end());
        break;
    }
  }
  return bytes;
}

class Damage : public TufTest {
 protected:
  Damage() {
    repository.delegate("targets", "mnist", {"mnist/*"}, true);
    EXPECT_TRUE(add_target(repository.roles.at("mnist"), "mnist/1",
                           Repository::target_of("index", release_custom_json({1, {"kiosk-x64"}}))));
    repository.publish();
  }
  // How many of the damaged files still verified; each of them must say exactly what was signed.
  template <class Parse>
  int survivors(const std::string& file, const std::string& signer, Parse parse) {
    const Bytes good = repository.source.files.at(file);
    const Envelope signed_one = *parse_envelope(good, kMaxTargetsBytes);
    const Key key = Repository::public_key(repository.key(signer));
    const Keys keys{{key.id, key}};
    const RoleKeys role{.keyids = {key.id}, .threshold = 1};
    SeededRng rng(42);
    int count = 0;
    for (int i = 0; i < kRounds; ++i) {
      const Bytes bytes = damage(good, rng);
      const auto envelope = parse_envelope(bytes, kMaxTargetsBytes);
      if (!envelope) continue;
      (void)parse(*envelope);
      if (!verify_threshold(keys, role, *envelope)) continue;
      EXPECT_EQ(envelope->canonical, signed_one.canonical);
      ++count;
    }
    return count;
  }
};

TEST_F(Damage, OfRootNeverVerifiesAsSomethingElse) {
  EXPECT_LT(survivors("1.root.json", "root", parse_root), kRounds / 2);
}

TEST_F(Damage, OfTimestampNeverVerifiesAsSomethingElse) {
  EXPECT_LT(survivors("timestamp.json", "timestamp", parse_timestamp), kRounds / 2);
}

TEST_F(Damage, OfSnapshotNeverVerifiesAsSomethingElse) {
  EXPECT_LT(survivors("2.snapshot.json", "snapshot", parse_snapshot), kRounds / 2);
}

TEST_F(Damage, OfTargetsAndModelRolesNeverVerifiesAsSomethingElse) {
  EXPECT_LT(survivors("2.targets.json", "targets", parse_targets), kRounds / 2);
  EXPECT_LT(survivors("1.mnist.json", "mnist", parse_targets), kRounds / 2);
}

TEST_F(Damage, OfWhatADeviceHasStoredIsRepairedByARefresh) {
  SeededRng rng(43);
  ASSERT_EQ(client.refresh(), Code::ok) << client.message;
  for (int i = 0; i < 100; ++i) {
    for (const char* role : {"timestamp", "snapshot", "targets"})
      if (rng.below(2) == 0) client.store.files[role] = damage(client.store.files[role], rng);
    ASSERT_EQ(client.refresh(), Code::ok) << client.message;
    ASSERT_EQ(client.find("mnist/1"), Code::ok) << client.message;
    ASSERT_TRUE(client.found());
  }
}

TEST_F(Damage, OfWhatAServerSendsNeverMakesADeviceTrustIt) {
  SeededRng rng(44);
  for (int i = 0; i < 300; ++i) {
    Client device(repository);
    const auto good = repository.source.files;
    for (const char* file : {"timestamp.json", "2.snapshot.json", "2.targets.json", "1.mnist.json"})
      if (rng.below(3) == 0) repository.source.files[file] = damage(good.at(file), rng);
    if (device.refresh() == Code::ok && device.find("mnist/1") == Code::ok) {
      ASSERT_TRUE(device.found());
      EXPECT_EQ(device.found()->target.length, 5u);
      EXPECT_EQ(device.found()->target.digest()->hex(), crypto::sha256(std::string_view("index")).hex());
    }
    repository.source.files = good;
  }
}

}  // namespace
}  // namespace drover::tuf::testing
