#include "common/crypto/content_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "common/crypto/box_key.h"
#include "tests/support/expect.h"
#include "tests/support/temp_folder.h"

namespace drover::crypto {
namespace {

const Digest kPackage = sha256(std::string_view("a manifest"));

ContentKey key_of(std::uint8_t byte) { return *ContentKey::from_bytes(Bytes(kContentKeySize, byte)); }

TEST(ContentKeys, HaveAnIdThatIsNotTheKeyAndThatFollowsFromIt) {
  const ContentKey key = key_of(7);
  EXPECT_EQ(key.id().size(), 64u);
  EXPECT_EQ(key.id(), key_of(7).id());
  EXPECT_NE(key.id(), key_of(8).id());
  EXPECT_EQ(key.id().find(to_hex(key.bytes())), std::string::npos);
  EXPECT_OK(check_content_key(key, key.id()));
  EXPECT_CODE(check_content_key(key, key_of(8).id()), Code::unknown_key);
}

// Encrypted files of released versions must stay readable: derivation is part of the format. The value is also what
// BLAKE2b gives by itself (salt: the number of the use; personalisation: "drvcrypt").
TEST(ContentKeys, DeriveAsTheFormatSays) {
  EXPECT_EQ(key_of(0).id(), "35fc1b9965ae00d170a31a38466b6c1b13524d3847289ad0eb81024de57bf217");
}

TEST(ContentKeys, GiveEachUseAKeyOfItsOwn) {
  const ContentKey key = key_of(7);
  const auto hex = [&](ContentKey::Use use) { return to_hex(key.derive(use).bytes()); };
  EXPECT_NE(hex(ContentKey::Use::stream), hex(ContentKey::Use::digest));
  EXPECT_NE(hex(ContentKey::Use::stream), hex(ContentKey::Use::header));
  EXPECT_NE(hex(ContentKey::Use::stream), key.id());
}

TEST(ContentKeys, HaveThirtyTwoBytes) {
  EXPECT_CODE(ContentKey::from_bytes(Bytes(31)), Code::malformed);
  EXPECT_CODE(ContentKey::from_bytes(Bytes(33)), Code::malformed);
}

class Sealing : public ::testing::Test {
 protected:
  SeededRng rng_{11};
  const BoxKey mine_ = BoxKey::generate(rng_), other_ = BoxKey::generate(rng_);
  const ContentKey key_ = ContentKey::generate(rng_);
  Bytes sealed_ = seal_content_key(key_, kPackage, mine_.public_key());
};

TEST_F(Sealing, IsOpenedByTheOneItWasMeantFor) {
  EXPECT_EQ(sealed_.size(), kSealedKeySize);
  const auto opened = open_content_key(sealed_, kPackage, mine_);
  ASSERT_OK(opened);
  EXPECT_EQ(opened->id(), key_.id());
}

TEST_F(Sealing, IsNotOpenedByAnotherDevice) {
  EXPECT_CODE(open_content_key(sealed_, kPackage, other_), Code::unknown_key);
}

TEST_F(Sealing, IsOfNoUseForAnotherPackage) {
  const auto opened = open_content_key(sealed_, sha256(std::string_view("another")), mine_);
  ASSERT_CODE(opened, Code::unknown_key);
  EXPECT_NE(opened.error().message().find("another package"), std::string::npos);
}

TEST_F(Sealing, FindsEveryChangedBitAndEveryMissingByte) {
  for (std::size_t at = 0; at < sealed_.size(); ++at) {
    Bytes changed = sealed_;
    changed[at] ^= 0x40;
    EXPECT_CODE(open_content_key(changed, kPackage, mine_), Code::unknown_key) << at;
    EXPECT_CODE(open_content_key(ByteView(sealed_).first(at), kPackage, mine_), Code::unknown_key) << at;
  }
}

TEST_F(Sealing, DoesNotTakeAnotherSecretForAContentKey) {
  const Bytes note = seal(mine_.public_key(), as_bytes("something of another length"));
  EXPECT_CODE(open_content_key(note, kPackage, mine_), Code::unknown_key);
}

class BoxKeyFile : public ::testing::Test {
 protected:
  const test::TempFolder folder_;
  const std::filesystem::path file_ = folder_.path() / "box.key";
  SeededRng rng_{3};
  const BoxKey key_ = BoxKey::generate(rng_);

  std::string text() const {
    std::ostringstream out;
    out << std::ifstream(file_).rdbuf();
    return out.str();
  }
  void rewrite(const std::string& from, const std::string& to) {
    std::string now = text();
    now.replace(now.find(from), from.size(), to);
    std::ofstream(file_) << now;
  }
};

TEST_F(BoxKeyFile, IsReadAsItWasWrittenAndIsForItsOwnerAlone) {
  ASSERT_OK(key_.save(file_));
  EXPECT_EQ(std::filesystem::status(file_).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const auto loaded = BoxKey::load(file_);
  ASSERT_OK(loaded);
  EXPECT_EQ(loaded->public_key(), key_.public_key());
  EXPECT_OK(open_content_key(seal_content_key(key_of(1), kPackage, key_.public_key()), kPackage, *loaded));
}

TEST_F(BoxKeyFile, IsNeverOverwritten) {
  ASSERT_OK(key_.save(file_));
  EXPECT_CODE(key_.save(file_), Code::already_exists);
}

TEST_F(BoxKeyFile, ThatOthersMayReadIsRefused) {
  ASSERT_OK(key_.save(file_));
  ::chmod(file_.c_str(), 0640);
  EXPECT_CODE(BoxKey::load(file_), Code::permission_denied);
}

TEST_F(BoxKeyFile, ThatIsNoneIsRefused) {
  EXPECT_CODE(BoxKey::load(file_), Code::not_found);
  ASSERT_OK(key_.save(file_));
  rewrite("x25519", "ed25519");
  EXPECT_CODE(BoxKey::load(file_), Code::unsupported);
  rewrite("ed25519", "x25519");
  rewrite(to_hex(key_.public_key()), to_hex(BoxKey::generate(rng_).public_key()));
  EXPECT_CODE(BoxKey::load(file_), Code::malformed);
}

}  // namespace
}  // namespace drover::crypto
