#include "agent/install/installer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/crypto/hash.h"
#include "common/fs/memory_files.h"
#include "tests/support/watched_files.h"
#include "tests/unit/agent/install_device.h"

namespace drover::agent::test {
namespace {

using testing::ElementsAre;
using testing::Pair;

class InstallerTest : public testing::Test {
 protected:
  InstallerTest() {
    EXPECT_TRUE(files_.make_folder("/s"));
    EXPECT_TRUE(installer_.prepare());
  }
  void put_blobs(const Release& release) {
    for (const auto& [path, bytes] : release.files)
      EXPECT_TRUE(fs::write_atomic(files_, layout_.blob(crypto::sha256(bytes).text()), bytes, 0444));
  }
  void stage(const Release& release) {
    put_blobs(release);
    const Status staged = installer_.stage(release.package, release.manifest);
    ASSERT_TRUE(staged) << staged.error().message();
  }

  fs::MemoryFiles files_;
  Layout layout_{"/s"};
  Installer installer_{files_, layout_};
  Release one_ = make_release("1"), two_ = make_release("2");
};

TEST_F(InstallerTest, a_staged_package_is_read_only_and_takes_no_second_copy) {
  stage(one_);
  const std::string folder = layout_.package(one_.package);
  EXPECT_EQ(files_.info(folder)->mode, 0555u);
  EXPECT_EQ(files_.info(folder + "/golden")->mode, 0555u);
  EXPECT_EQ(files_.info(folder + "/model.onnx")->mode, 0444u);
  EXPECT_GE(files_.info(folder + "/model.onnx")->links, 2u);
  EXPECT_EQ(*files_.read(folder + "/golden/deep/outputs.f32", 100), "outputs of 1");
  stage(one_);  // again: nothing to do
}

TEST_F(InstallerTest, a_package_with_a_file_missing_is_not_staged) {
  put_blobs(one_);
  ASSERT_TRUE(files_.remove(layout_.blob(crypto::sha256("the model of 1").text())));
  EXPECT_EQ(installer_.stage(one_.package, one_.manifest).error().code(), Code::not_found);
  EXPECT_FALSE(fs::exists(files_, layout_.package(one_.package)));
}

TEST_F(InstallerTest, paths_that_lead_out_are_refused) {
  put_blobs(one_);
  for (const char* path : {"../evil", "/etc/passwd", "a/../../b", "a//b", ""}) {
    package::Manifest manifest = one_.manifest;
    manifest.files[0].path = path;
    EXPECT_EQ(installer_.stage(one_.package, manifest).error().code(), Code::unsafe_path) << path;
  }
}

TEST_F(InstallerTest, shows_a_set_of_models_with_one_flip) {
  stage(one_);
  stage(two_);
  ASSERT_TRUE(installer_.show({{"a", one_.package}, {"b", two_.package}}));
  EXPECT_THAT(*installer_.shown(), ElementsAre(Pair("a", one_.package), Pair("b", two_.package)));
  EXPECT_EQ(*files_.read("/s/current/a/model.onnx", 100), "the model of 1");
  ASSERT_TRUE(installer_.show({{"a", two_.package}}));
  EXPECT_THAT(*installer_.shown(), ElementsAre(Pair("a", two_.package)));
  ASSERT_TRUE(installer_.show({}));
  EXPECT_TRUE(installer_.shown()->empty());
}

TEST_F(InstallerTest, showing_what_is_shown_changes_nothing) {
  stage(one_);
  ASSERT_TRUE(installer_.show({{"a", one_.package}}));
  int changes = 0;
  drover::test::WatchedFiles watched(files_, [&](const std::string&, const std::string&) {
    ++changes;
    return Status();
  });
  Installer again(watched, layout_);
  ASSERT_TRUE(again.show({{"a", one_.package}}));
  EXPECT_EQ(changes, 0);
}

TEST_F(InstallerTest, never_shows_what_is_not_there) {
  stage(one_);
  ASSERT_TRUE(installer_.show({{"a", one_.package}}));
  EXPECT_EQ(installer_.show({{"a", two_.package}}).error().code(), Code::activate_failed);
  EXPECT_THAT(*installer_.shown(), ElementsAre(Pair("a", one_.package)));
}

TEST_F(InstallerTest, generations_do_not_pile_up) {
  stage(one_);
  stage(two_);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(installer_.show({{"a", i % 2 == 0 ? one_.package : two_.package}}));
  EXPECT_LE(files_.list("/s/generations")->size(), 2u);
}

TEST_F(InstallerTest, preflight_counts_only_what_is_not_there) {
  std::uint64_t size = 0;
  for (const auto& [path, bytes] : one_.files) size += bytes.size();
  files_.set_free_space(kDiskReserve + size);
  EXPECT_TRUE(installer_.preflight(one_.manifest, 0));
  files_.set_free_space(kDiskReserve + size - 1);
  EXPECT_EQ(installer_.preflight(one_.manifest, 0).error().code(), Code::preflight_disk);
  files_.set_free_space(1'000'000);
  put_blobs(one_);
  files_.set_free_space(0);
  EXPECT_TRUE(installer_.preflight(one_.manifest, 0)) << "everything is there";
}

TEST_F(InstallerTest, preflight_looks_at_the_memory_where_the_system_tells) {
  ASSERT_TRUE(files_.make_folder("/proc"));
  ASSERT_TRUE(fs::write_atomic(files_, "/proc/meminfo", "MemTotal: 4000 kB\nMemAvailable:    2000 kB\n"));
  EXPECT_TRUE(installer_.preflight(one_.manifest, 2000 * 1024));
  EXPECT_EQ(installer_.preflight(one_.manifest, 2000 * 1024 + 1).error().code(), Code::preflight_memory);
}

TEST_F(InstallerTest, collects_what_is_neither_kept_nor_shown_nor_open) {
  stage(one_);
  stage(two_);
  ASSERT_TRUE(installer_.show({{"a", two_.package}}));
  {
    const auto reader = files_.open(layout_.package(one_.package) + "/model.onnx", fs::Cache::use);
    ASSERT_TRUE(installer_.collect({}, false));
    EXPECT_TRUE(fs::exists(files_, layout_.package(one_.package))) << "an application has it open";
  }
  const std::vector<std::string> kept{one_.package};
  ASSERT_TRUE(installer_.collect(kept, false));
  EXPECT_TRUE(fs::exists(files_, layout_.package(one_.package))) << "it is kept";
  ASSERT_TRUE(installer_.collect({}, false));
  EXPECT_FALSE(fs::exists(files_, layout_.package(one_.package)));
  EXPECT_TRUE(fs::exists(files_, layout_.package(two_.package))) << "it is shown";
  EXPECT_FALSE(fs::exists(files_, layout_.blob(crypto::sha256("the model of 1").text()))) << "its bytes are freed";
  EXPECT_TRUE(fs::exists(files_, layout_.blob(crypto::sha256("{}").text()))) << "shared with what stays";
}

TEST_F(InstallerTest, downloads_are_kept_until_told_otherwise) {
  const std::string part = layout_.part("sha256:abc");
  ASSERT_TRUE(fs::write_atomic(files_, part, "half"));
  ASSERT_TRUE(installer_.prepare());
  ASSERT_TRUE(installer_.collect({}, false));
  EXPECT_TRUE(fs::exists(files_, part));
  ASSERT_TRUE(installer_.collect({}, true));
  EXPECT_FALSE(fs::exists(files_, part));
}

TEST_F(InstallerTest, a_disk_that_fails_at_any_change_leaves_the_slot_complete) {
  stage(one_);
  ASSERT_TRUE(installer_.show({{"digits", one_.package}}));
  put_blobs(two_);
  for (const Code code : {Code::io, Code::disk_full})
    for (int at = 0; at < 60; ++at) {
      int left = at;
      drover::test::WatchedFiles failing(files_, [&](const std::string& change, const std::string&) {
        return left-- == 0 ? Status(Error(code, change)) : Status();
      });
      Installer broken(failing, layout_);
      Status status = broken.stage(two_.package, two_.manifest);
      if (status) status = broken.show({{"digits", two_.package}});
      const auto seen = look(files_, "/s", {one_, two_});
      ASSERT_TRUE(seen) << at << ": " << seen.error().message();
      EXPECT_NE(*seen, "");
      EXPECT_TRUE(left >= 0 || !status || *seen == "2") << "what failed is said";
    }
  EXPECT_TRUE(installer_.stage(two_.package, two_.manifest));
  EXPECT_TRUE(installer_.show({{"digits", two_.package}}));
}

}  // namespace
}  // namespace drover::agent::test
