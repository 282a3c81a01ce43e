#include "server/api/online_keys.h"

#include <gtest/gtest.h>

#include "tests/support/expect.h"
#include "tests/support/temp_folder.h"

namespace drover::api {
namespace {

namespace fs = std::filesystem;

class OnlineKeysTest : public ::testing::Test {
 protected:
  std::unique_ptr<OnlineKeys> open() {
    auto keys = OnlineKeys::open(folder_.path(), rng_);
    EXPECT_OK(keys);
    return std::move(*keys);
  }
  static tuf::RoleKeys names(const tuf::Key& key, int threshold = 1) { return {{key.id}, threshold}; }

  test::TempFolder folder_;
  SeededRng rng_{1};
};

TEST_F(OnlineKeysTest, AreMadeOnceAndStay) {
  const std::string first = open()->role(tuf::kSnapshot)->current.key.id;
  EXPECT_EQ(open()->role(tuf::kSnapshot)->current.key.id, first);
  EXPECT_NE(open()->role(tuf::kTimestamp)->current.key.id, first);
  EXPECT_EQ(fs::status(folder_ / "snapshot.key").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_CODE(open()->role(tuf::kRoot), Code::invalid_argument);
}

TEST_F(OnlineKeysTest, AKeyToComeWaitsAndIsNotMadeTwice) {
  auto keys = open();
  const auto next = keys->make_next(tuf::kTimestamp, rng_);
  ASSERT_OK(next);
  EXPECT_EQ(keys->make_next(tuf::kTimestamp, rng_)->id, next->id);
  EXPECT_EQ(open()->role(tuf::kTimestamp)->next->key.id, next->id) << "it is there after a restart";
  EXPECT_FALSE(open()->role(tuf::kSnapshot)->next);
  EXPECT_CODE(keys->make_next(tuf::kTargets, rng_), Code::invalid_argument);
}

TEST_F(OnlineKeysTest, TheMetadataSaysWhichOfTheTwoSigns) {
  auto keys = open();
  const tuf::Key old = keys->role(tuf::kDirector)->current.key;
  const tuf::Key next = *keys->make_next(tuf::kDirector, rng_);
  EXPECT_EQ(keys->signer(tuf::kDirector, names(old))->key.id, old.id);
  EXPECT_EQ(keys->signer(tuf::kDirector, names(next))->key.id, next.id);
  const tuf::RoleKeys both{{old.id, next.id}, 1};
  EXPECT_EQ(keys->signer(tuf::kDirector, both)->key.id, next.id);
  EXPECT_CODE(keys->signer(tuf::kDirector, names(keys->role(tuf::kSnapshot)->current.key)), Code::unknown_key);
  EXPECT_CODE(keys->signer(tuf::kDirector, names(old, 2)), Code::unknown_key) << "one key cannot meet that";
}

TEST_F(OnlineKeysTest, TheNewOneTakesThePlaceOfTheOldOneOnceItIsNamed) {
  auto keys = open();
  const tuf::Key old = keys->role(tuf::kSnapshot)->current.key;
  const tuf::Key next = *keys->make_next(tuf::kSnapshot, rng_);
  EXPECT_OK(keys->settle(tuf::kSnapshot, names(old)));
  EXPECT_TRUE(keys->role(tuf::kSnapshot)->next) << "not named yet";
  EXPECT_OK(keys->settle(tuf::kSnapshot, names(next)));
  EXPECT_EQ(keys->role(tuf::kSnapshot)->current.key.id, next.id);
  EXPECT_FALSE(keys->role(tuf::kSnapshot)->next);
  EXPECT_EQ(open()->role(tuf::kSnapshot)->current.key.id, next.id);
  EXPECT_FALSE(fs::exists(folder_ / "snapshot.next.key"));
  EXPECT_OK(keys->settle(tuf::kSnapshot, names(next))) << "again: nothing to do";
}

// The power went between the publication and the renaming of the file.
TEST_F(OnlineKeysTest, AServerThatWasKilledInBetweenSignsWithTheOneThatIsNamed) {
  const tuf::Key next = *open()->make_next(tuf::kSnapshot, rng_);
  auto keys = open();
  EXPECT_EQ(keys->signer(tuf::kSnapshot, names(next))->key.id, next.id);
  EXPECT_OK(keys->settle(tuf::kSnapshot, names(next)));
  EXPECT_EQ(open()->role(tuf::kSnapshot)->current.key.id, next.id);
}

}  // namespace
}  // namespace drover::api
