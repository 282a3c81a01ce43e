#include "agent/vault/vault.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <fstream>

#include "common/crypto/file_stream.h"
#include "tests/support/expect.h"
#include "tests/support/temp_folder.h"

namespace drover::package {
static void PrintTo(PlainPlace place, std::ostream* out) { *out << (place == PlainPlace::tmpfs ? "tmpfs" : "memfd"); }
}  // namespace drover::package

namespace drover::agent {
namespace {

namespace stdfs = std::filesystem;
using package::PlainPlace;

const std::string kWeights = std::string(300'000, 'w') + "nobody may read this";

Bytes encrypt(const crypto::ContentKey& key, std::string_view content, crypto::PlainFile& plain) {
  crypto::PlainHash hash(key);
  hash.update(as_bytes(content));
  plain = hash.finish();
  Bytes sealed;
  crypto::StreamEncryptor encryptor(key, plain, [&](ByteView part) {
    sealed.insert(sealed.end(), part.begin(), part.end());
    return Status();
  });
  EXPECT_OK(encryptor.write(as_bytes(content)));
  EXPECT_OK(encryptor.finish());
  return sealed;
}

// A complete package on the disk, in a state folder, and memory for its plain text.
class VaultTest : public ::testing::TestWithParam<PlainPlace> {
 protected:
  VaultTest() {
    what_.place = GetParam();
    what_.package = crypto::sha256(std::string_view("manifest")).text();
    what_.manifest.content_key = key_.id();
    add("drover.json", "{}", false);
    add("model.onnx", kWeights, true);
    add("golden/inputs.f32", "1234", true);
    EXPECT_OK(vault_.prepare());
  }
  ~VaultTest() override { stdfs::remove_all(memory_); }

  void add(const std::string& path, const std::string& content, bool encrypted) {
    package::File file{path, {}, 0, ""};
    Bytes stored(content.begin(), content.end());
    if (encrypted) stored = encrypt(key_, content, file.plain.emplace());
    file.digest = crypto::sha256(stored);
    file.size = stored.size();
    state_.write("packages/" + Layout::hex(what_.package) + "/" + path, as_text(stored));
    what_.manifest.files.push_back(file);
  }
  static stdfs::path make_memory() {
    std::string name = "/dev/shm/drover-vault-XXXXXX";
    return ::mkdtemp(name.data());
  }
  Vault::Options options() const { return {(memory_ / "device").string(), "", true}; }
  Bytes sealed_to(const crypto::BoxPublicKey& to) {
    return crypto::seal_content_key(key_, *crypto::Digest::parse(what_.package), to);
  }
  Status keep() { return vault_.keep_key(what_.package, what_.manifest, sealed_to(vault_.box_key())); }
  std::string read(const std::string& path) const {
    std::ifstream file(vault_.folder(what_) + "/" + path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool plain_on_disk() const {
    for (const auto& entry : stdfs::recursive_directory_iterator(state_.path())) {
      if (entry.is_symlink() || !entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string bytes(std::istreambuf_iterator<char>(file), {});
      if (bytes.find("nobody may read") != std::string::npos) return true;
    }
    return false;
  }

  const test::TempFolder state_;
  const stdfs::path memory_ = make_memory();
  SeededRng rng_{5};
  const crypto::ContentKey key_ = crypto::ContentKey::generate(rng_);
  Confidential what_;
  const Layout layout_{state_.path().string()};
  Vault vault_{fs::system_files(), layout_, options(), rng_};
};

INSTANTIATE_TEST_SUITE_P(In, VaultTest, ::testing::Values(PlainPlace::tmpfs, PlainPlace::memfd),
                         [](const auto& place) { return place.param == PlainPlace::tmpfs ? "tmpfs" : "memfd"; });

TEST_P(VaultTest, OpensAPackageIntoMemoryAlone) {
  ASSERT_OK(keep());
  EXPECT_FALSE(vault_.is_open(what_));
  EXPECT_EQ(vault_.plain_file(what_.package, "model.onnx"), "");
  ASSERT_OK(vault_.open_now(what_));
  EXPECT_TRUE(vault_.is_open(what_));
  EXPECT_EQ(read("model.onnx"), kWeights);
  EXPECT_EQ(read("golden/inputs.f32"), "1234");
  EXPECT_EQ(read("drover.json"), "{}");
  EXPECT_EQ(vault_.plain_file(what_.package, "model.onnx"), vault_.folder(what_) + "/model.onnx");
  EXPECT_FALSE(plain_on_disk());
}

TEST_P(VaultTest, GivesFilesThatNobodyWritesTo) {
  ASSERT_OK(keep());
  ASSERT_OK(vault_.open_now(what_));
  struct stat info {};
  ASSERT_EQ(::stat((vault_.folder(what_) + "/model.onnx").c_str(), &info), 0);
  if (GetParam() == PlainPlace::tmpfs) {
    EXPECT_EQ(info.st_mode & 0777, 0440u);
  } else {
    std::ofstream(vault_.folder(what_) + "/model.onnx", std::ios::binary | std::ios::in) << "other";
    EXPECT_EQ(read("model.onnx"), kWeights);
  }
}

Status open_on_a_loop(Vault& vault, const Confidential& what, std::function<bool()> stop) {
  boost::asio::io_context io;
  auto done = boost::asio::co_spawn(io, vault.open(what, std::move(stop)), boost::asio::use_future);
  io.run();
  return done.get();
}

TEST_P(VaultTest, OpensOnAnEventLoopAsWell) {
  ASSERT_OK(keep());
  int asked = 0;
  EXPECT_OK(open_on_a_loop(vault_, what_, [&] { return ++asked < 0; }));
  EXPECT_GT(asked, 3) << "it must give way between blocks";
  EXPECT_EQ(read("model.onnx"), kWeights);
}

TEST_P(VaultTest, LeavesNothingHalfWhenItIsStopped) {
  ASSERT_OK(keep());
  const Status stopped = open_on_a_loop(vault_, what_, [n = 0]() mutable { return ++n == 3; });
  EXPECT_CODE(stopped, Code::cancelled);
  EXPECT_FALSE(vault_.is_open(what_));
  EXPECT_FALSE(stdfs::exists(vault_.folder(what_) + ".new"));
}

TEST_P(VaultTest, DoesNotOpenWithoutTheKey) {
  EXPECT_CODE(vault_.open_now(what_), Code::pending);
  EXPECT_FALSE(vault_.is_open(what_));
}

TEST_P(VaultTest, DoesNotKeepAKeyThatWasSealedToAnotherDevice) {
  const crypto::BoxKey other = crypto::BoxKey::generate(rng_);
  EXPECT_CODE(vault_.keep_key(what_.package, what_.manifest, sealed_to(other.public_key())), Code::unknown_key);
  EXPECT_CODE(vault_.key(what_.package, what_.manifest), Code::pending);
}

TEST_P(VaultTest, CannotUseTheSealedKeyOfAnotherDevice) {
  const crypto::BoxKey other = crypto::BoxKey::generate(rng_);
  state_.write("sealed/" + Layout::hex(what_.package), as_text(sealed_to(other.public_key())));
  EXPECT_CODE(vault_.open_now(what_), Code::unknown_key);
}

TEST_P(VaultTest, DoesNotKeepAKeyThatIsNotTheSignedOne) {
  const crypto::ContentKey wrong = crypto::ContentKey::generate(rng_);
  const Bytes sealed = crypto::seal_content_key(wrong, *crypto::Digest::parse(what_.package), vault_.box_key());
  EXPECT_CODE(vault_.keep_key(what_.package, what_.manifest, sealed), Code::unknown_key);
}

TEST_P(VaultTest, RefusesAStoredFileThatIsDamaged) {
  ASSERT_OK(keep());
  const std::string name = "packages/" + Layout::hex(what_.package) + "/model.onnx";
  std::string bytes = state_.read(name);
  bytes[100'000] ^= 1;
  state_.write(name, bytes);
  EXPECT_CODE(vault_.open_now(what_), Code::digest_mismatch);
  EXPECT_FALSE(vault_.is_open(what_));
  EXPECT_FALSE(plain_on_disk());
}

TEST_P(VaultTest, ComesBackAfterARestart) {
  ASSERT_OK(keep());
  ASSERT_OK(vault_.open_now(what_));
  const auto before = vault_.box_key();
  Vault again(fs::system_files(), layout_, options(), rng_);
  ASSERT_OK(again.prepare());
  EXPECT_EQ(again.box_key(), before);
  // tmpfs outlives the process; memory does not, and links into a dead process would lead anywhere.
  EXPECT_EQ(again.is_open(what_), GetParam() == PlainPlace::tmpfs);
  ASSERT_OK(again.open_now(what_));
  EXPECT_EQ(read("model.onnx"), kWeights);
}

TEST_P(VaultTest, ThrowsAwayWhatAKillLeftHalfOpen) {
  const stdfs::path half = vault_.folder(what_) + ".new";
  stdfs::create_directories(half);
  std::ofstream(half / "model.onnx") << "half";
  Vault again(fs::system_files(), layout_, options(), rng_);
  ASSERT_OK(again.prepare());
  EXPECT_FALSE(stdfs::exists(half));
}

TEST_P(VaultTest, ClosesAndForgetsWhatIsNotNeeded) {
  ASSERT_OK(keep());
  ASSERT_OK(vault_.open_now(what_));
  const std::vector<std::string> kept{what_.package};
  ASSERT_OK(vault_.close_others(kept));
  ASSERT_OK(vault_.forget_others(kept));
  EXPECT_TRUE(vault_.is_open(what_));
  EXPECT_OK(vault_.key(what_.package, what_.manifest));
  ASSERT_OK(vault_.close_others({}));
  ASSERT_OK(vault_.forget_others({}));
  EXPECT_FALSE(vault_.is_open(what_));
  EXPECT_CODE(vault_.key(what_.package, what_.manifest), Code::pending);
}

TEST_P(VaultTest, KeepsItsSecretsForItself) {
  ASSERT_OK(keep());
  ASSERT_OK(vault_.open_now(what_));
  const auto mode = [](const stdfs::path& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 0777;
  };
  EXPECT_EQ(mode(layout_.box_key()), 0600u);
  EXPECT_EQ(mode(layout_.sealed_key(what_.package)), 0600u);
  if (GetParam() == PlainPlace::tmpfs) {
    EXPECT_EQ(mode(memory_ / "device"), 0750u);
  }
}

class OnADisk : public VaultTest {};
INSTANTIATE_TEST_SUITE_P(In, OnADisk, ::testing::Values(PlainPlace::tmpfs), [](const auto&) { return "tmpfs"; });

TEST_P(OnADisk, PlainTextIsNotMade) {
  const auto in_memory = fs::is_memory_folder(state_.path().string());
  ASSERT_OK(in_memory);
  if (*in_memory) GTEST_SKIP() << "temporary files lie in memory here";
  Vault careless(fs::system_files(), layout_, {(state_.path() / "plain" / "device").string(), "", true}, rng_);
  ASSERT_OK(keep());
  ASSERT_OK(careless.prepare());
  EXPECT_CODE(careless.preflight(what_), Code::preflight_policy);
  EXPECT_CODE(careless.open_now(what_), Code::preflight_policy);
  EXPECT_FALSE(plain_on_disk());
}

TEST(DiskSwap, IsWhatIsNotCompressedMemory) {
  const std::string title = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
  EXPECT_EQ(fs::disk_swap(""), "");
  EXPECT_EQ(fs::disk_swap(title), "");
  EXPECT_EQ(fs::disk_swap(title + "/dev/zram0                              partition\t100\t0\t5\n"), "");
  EXPECT_EQ(fs::disk_swap(title + "/dev/zram0  partition\t100\t0\t5\n/dev/sda2  partition\t100\t0\t-2\n"), "/dev/sda2");
  EXPECT_EQ(fs::disk_swap(title + "/swap.img  file\t100\t0\t-2"), "/swap.img");
}

}  // namespace
}  // namespace drover::agent
