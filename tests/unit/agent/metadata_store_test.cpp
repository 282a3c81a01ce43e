#include "agent/verify/metadata_store.h"

#include <gtest/gtest.h>

#include "common/fs/memory_files.h"
#include "common/tuf/author.h"

namespace drover::agent {
namespace {

const WallTime kNow{std::chrono::seconds(1'800'000'000)};

class MetadataStore : public ::testing::Test {
 protected:
  MetadataStore() {
    for (const char* folder : {"/state", "/state/metadata", "/etc"}) EXPECT_TRUE(files.make_folder(folder));
    for (const char* folder : {"/", "/state"}) EXPECT_TRUE(files.sync_folder(folder));
    tuf::Document root = tuf::make_root(kNow);
    for (const std::string_view role : {tuf::kRoot, tuf::kTimestamp, tuf::kSnapshot, tuf::kTargets})
      EXPECT_TRUE(tuf::add_root_key(root, role, tuf::make_key(key.public_key())));
    shipped = signed_root(root);
    root.bump(kNow);
    newer = signed_root(root);
    EXPECT_TRUE(fs::write_atomic(files, "/etc/root.json", shipped));
    EXPECT_TRUE(store.install_root("/etc/root.json"));
  }
  std::string signed_root(tuf::Document& root) {
    EXPECT_TRUE(root.sign(key));
    return root.encode();
  }
  std::string root() {
    const auto bytes = store.load(tuf::kRoot);
    return bytes ? std::string(as_text(*bytes)) : "";
  }
  void damage(const std::string& file) {
    const auto text = files.read(file, tuf::kMaxRootBytes);
    ASSERT_TRUE(text);
    ASSERT_TRUE(files.corrupt(file, text->size() / 2));
  }
  Status restore() { return store.restore_root(kNow, nullptr); }

  crypto::KeyPair key = crypto::KeyPair::from_seed({1});
  std::string shipped, newer;
  fs::MemoryFiles files;
  DiskMetadata store{files, Layout("/state")};
};

TEST_F(MetadataStore, begins_with_the_root_that_came_with_the_device_and_keeps_a_newer_one) {
  EXPECT_EQ(root(), shipped);
  ASSERT_TRUE(store.save(tuf::kRoot, as_bytes(newer)));
  ASSERT_TRUE(store.install_root("/etc/root.json"));
  EXPECT_EQ(root(), newer);
}

TEST_F(MetadataStore, a_damaged_root_comes_back_from_its_copy) {
  ASSERT_TRUE(store.save(tuf::kRoot, as_bytes(newer)));
  damage("/state/metadata/root.json");
  ASSERT_NE(root(), newer);
  ASSERT_TRUE(restore());
  EXPECT_EQ(root(), newer);
}

TEST_F(MetadataStore, a_root_that_is_gone_comes_back_from_its_copy) {
  ASSERT_TRUE(store.save(tuf::kRoot, as_bytes(newer)));
  ASSERT_TRUE(files.remove("/state/metadata/root.json"));
  ASSERT_TRUE(restore());
  EXPECT_EQ(root(), newer);
}

TEST_F(MetadataStore, with_both_damaged_the_chain_begins_again_with_the_root_that_came_with_the_device) {
  ASSERT_TRUE(store.save(tuf::kRoot, as_bytes(newer)));
  damage("/state/metadata/root.json");
  damage("/state/metadata/root.copy");
  ASSERT_TRUE(restore());
  EXPECT_EQ(root(), shipped);
}

TEST_F(MetadataStore, nothing_that_is_not_signed_by_itself_becomes_the_root) {
  for (const char* file : {"/state/metadata/root.json", "/state/metadata/root.copy", "/etc/root.json"}) damage(file);
  const std::string before = root();
  EXPECT_FALSE(restore());
  EXPECT_EQ(root(), before);
}

TEST_F(MetadataStore, a_power_cut_while_a_root_is_stored_leaves_a_whole_one) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    files.power_cut(seed);
    EXPECT_TRUE(root() == shipped || root() == newer) << seed;
    ASSERT_TRUE(store.save(tuf::kRoot, as_bytes(seed % 2 == 0 ? newer : shipped)));
  }
}

}  // namespace
}  // namespace drover::agent
