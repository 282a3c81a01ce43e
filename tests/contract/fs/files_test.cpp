// One suite over the machine's file system and the one in memory; then what only the one in memory can show: power
// cuts.
#include "common/fs/files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "common/fs/memory_files.h"

namespace drover::fs {
namespace {

using testing::ElementsAre;

struct Bench {
  virtual ~Bench() = default;
  virtual Files& files() = 0;
  virtual std::string folder() = 0;
};
struct RealBench final : Bench {
  RealBench() {
    std::string name = testing::TempDir() + "drover-fs-XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~RealBench() override { std::filesystem::remove_all(folder_); }
  Files& files() override { return system_files(); }
  std::string folder() override { return folder_; }
  std::string folder_;
};
struct MemoryBench final : Bench {
  MemoryBench() { EXPECT_TRUE(files_.make_folder("/d")); }
  Files& files() override { return files_; }
  std::string folder() override { return "/d"; }
  MemoryFiles files_;
};

class FilesContract : public testing::TestWithParam<const char*> {
 protected:
  FilesContract() {
    if (std::string_view(GetParam()) == "real")
      bench_ = std::make_unique<RealBench>();
    else
      bench_ = std::make_unique<MemoryBench>();
  }
  Files& files() { return bench_->files(); }
  std::string at(const std::string& name) { return bench_->folder() + "/" + name; }
  void put(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(write_atomic(files(), at(name), bytes)) << name;
  }
  std::unique_ptr<Bench> bench_;
};
INSTANTIATE_TEST_SUITE_P(Over, FilesContract, testing::Values("real", "memory"),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(FilesContract, a_file_written_atomically_reads_back_with_its_mode) {
  ASSERT_TRUE(write_atomic(files(), at("a"), "one", 0600));
  ASSERT_TRUE(write_atomic(files(), at("a"), "two", 0444));
  EXPECT_EQ(*files().read(at("a"), 10), "two");
  EXPECT_EQ(files().info(at("a"))->mode, 0444u);
  EXPECT_THAT(*files().list(bench_->folder()), ElementsAre("a"));
}

TEST_P(FilesContract, a_file_over_the_limit_is_too_large) {
  put("a", "12345");
  EXPECT_EQ(*files().read(at("a"), 5), "12345");
  EXPECT_EQ(files().read(at("a"), 4).error().code(), Code::too_large);
}

TEST_P(FilesContract, what_is_absent_is_not_found) {
  EXPECT_EQ(files().read(at("a"), 9).error().code(), Code::not_found);
  EXPECT_EQ(files().info(at("a")).error().code(), Code::not_found);
  EXPECT_EQ(files().open(at("a"), Cache::use).error().code(), Code::not_found);
  EXPECT_EQ(files().read_link(at("a")).error().code(), Code::not_found);
  EXPECT_EQ(files().list(at("a")).error().code(), Code::not_found);
  EXPECT_EQ(files().append(at("no/a"), 0).error().code(), Code::not_found);
  EXPECT_EQ(files().rename(at("a"), at("b")).error().code(), Code::not_found);
  EXPECT_TRUE(files().remove(at("a"))) << "removing what is absent is fine";
  EXPECT_FALSE(exists(files(), at("a")));
}

TEST_P(FilesContract, an_appender_continues_where_it_is_told_to) {
  {
    auto file = files().append(at("a"), 0);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->append("hello world"));
    ASSERT_TRUE((*file)->sync());
    EXPECT_EQ((*file)->size(), 11u);
  }
  auto file = files().append(at("a"), 5);
  ASSERT_TRUE(file);
  EXPECT_EQ((*file)->size(), 5u);
  ASSERT_TRUE((*file)->append("!"));
  EXPECT_EQ(*files().read(at("a"), 20), "hello!");
  EXPECT_EQ((*files().append(at("a"), 100))->size(), 6u) << "keeping more than there is keeps what there is";
}

TEST_P(FilesContract, a_reader_reads_at_any_place_and_fewer_bytes_only_at_the_end) {
  put("a", "0123456789");
  for (const Cache cache : {Cache::use, Cache::drop}) {
    auto reader = files().open(at("a"), cache);
    ASSERT_TRUE(reader);
    char out[4];
    EXPECT_EQ(*(*reader)->read(3, out), 4u);
    EXPECT_EQ(std::string(out, 4), "3456");
    EXPECT_EQ(*(*reader)->read(8, out), 2u);
    EXPECT_EQ(*(*reader)->read(10, out), 0u);
  }
}

TEST_P(FilesContract, a_hard_link_is_a_second_name) {
  put("a", "x");
  ASSERT_TRUE(files().hard_link(at("a"), at("b")));
  EXPECT_EQ(files().info(at("a"))->links, 2u);
  ASSERT_TRUE(files().remove(at("a")));
  EXPECT_EQ(*files().read(at("b"), 9), "x");
  EXPECT_EQ(files().info(at("b"))->links, 1u);
  put("c", "y");
  EXPECT_EQ(files().hard_link(at("b"), at("c")).error().code(), Code::already_exists);
}

TEST_P(FilesContract, a_link_is_flipped_even_over_what_a_crash_left_behind) {
  ASSERT_TRUE(files().make_folder(at("one")));
  ASSERT_TRUE(files().make_folder(at("two")));
  put("one/f", "1");
  put("two/f", "2");
  ASSERT_TRUE(files().symlink("nowhere", at("current.tmp")));
  ASSERT_TRUE(flip_link(files(), "one", at("current")));
  EXPECT_EQ(*files().read(at("current/f"), 9), "1");
  ASSERT_TRUE(flip_link(files(), "two", at("current")));
  EXPECT_EQ(*files().read(at("current/f"), 9), "2");
  EXPECT_EQ(*files().read_link(at("current")), "two");
  EXPECT_EQ(files().info(at("current"))->kind, Kind::link);
  EXPECT_THAT(*files().list(at("current")), ElementsAre("f")) << "a folder is listed through a link";
}

TEST_P(FilesContract, links_of_links_with_steps_upwards_are_followed) {
  for (const char* folder : {"packages", "packages/abc", "generations", "generations/1"})
    ASSERT_TRUE(files().make_folder(at(folder)));
  put("packages/abc/model", "m");
  ASSERT_TRUE(files().symlink("../../packages/abc", at("generations/1/digits")));
  ASSERT_TRUE(flip_link(files(), "generations/1", at("current")));
  EXPECT_EQ(*files().read(at("current/digits/model"), 9), "m");
}

TEST_P(FilesContract, a_rename_replaces_a_file_and_an_empty_folder_only) {
  put("a", "a");
  put("b", "b");
  ASSERT_TRUE(files().rename(at("a"), at("b")));
  EXPECT_EQ(*files().read(at("b"), 9), "a");
  ASSERT_TRUE(files().make_folder(at("d")));
  ASSERT_TRUE(files().make_folder(at("e")));
  put("e/f", "x");
  EXPECT_FALSE(files().rename(at("d"), at("e")));
  ASSERT_TRUE(files().rename(at("e"), at("d")));
  EXPECT_EQ(*files().read(at("d/f"), 9), "x");
}

TEST_P(FilesContract, making_a_folder_twice_is_fine_and_over_a_file_is_not) {
  ASSERT_TRUE(files().make_folder(at("d")));
  ASSERT_TRUE(files().make_folder(at("d")));
  put("f", "x");
  EXPECT_EQ(files().make_folder(at("f")).error().code(), Code::already_exists);
}

TEST_P(FilesContract, a_tree_is_removed_and_links_in_it_are_not_followed) {
  put("outside", "kept");
  ASSERT_TRUE(files().make_folder(at("t")));
  ASSERT_TRUE(files().make_folder(at("t/u")));
  put("t/u/f", "x");
  ASSERT_TRUE(files().symlink("../outside", at("t/link")));
  EXPECT_FALSE(files().remove(at("t"))) << "not empty";
  ASSERT_TRUE(remove_tree(files(), at("t")));
  ASSERT_TRUE(remove_tree(files(), at("t")));
  EXPECT_THAT(*files().list(bench_->folder()), ElementsAre("outside"));
}

TEST_P(FilesContract, a_link_in_the_last_place_is_never_opened) {
  put("a", "x");
  ASSERT_TRUE(files().symlink("a", at("l")));
  EXPECT_FALSE(files().read(at("l"), 9));
  EXPECT_FALSE(files().open(at("l"), Cache::use));
  EXPECT_FALSE(files().append(at("l"), 0));
}

TEST_P(FilesContract, a_lock_is_held_by_one) {
  auto lock = files().lock(at("lock"));
  ASSERT_TRUE(lock);
  EXPECT_EQ(files().lock(at("lock")).error().code(), Code::conflict);
  lock->reset();
  EXPECT_TRUE(files().lock(at("lock")));
}

TEST_P(FilesContract, a_file_that_is_open_is_in_use) {
  put("a", "x");
  EXPECT_FALSE(*files().in_use(at("a")));
  auto reader = files().open(at("a"), Cache::use);
  EXPECT_TRUE(*files().in_use(at("a")));
  reader->reset();
  EXPECT_FALSE(*files().in_use(at("a")));
}

TEST_P(FilesContract, the_machine_knows_its_boot_and_its_space) {
  EXPECT_FALSE(files().boot_id()->empty());
  EXPECT_EQ(*files().boot_id(), *files().boot_id());
  EXPECT_GT(*files().free_space(bench_->folder()), 0u);
}

class PowerCut : public testing::Test {
 protected:
  PowerCut() {
    EXPECT_TRUE(files_.make_folder("/d"));
    EXPECT_TRUE(files_.sync_folder("/"));
  }
  MemoryFiles files_;
};

TEST_F(PowerCut, loses_names_and_bytes_that_were_not_synced) {
  auto file = files_.append("/d/a", 0);
  ASSERT_TRUE((*file)->append("x"));
  ASSERT_TRUE((*file)->sync());
  files_.power_cut();
  EXPECT_FALSE(exists(files_, "/d/a")) << "the name was not synced";

  file = files_.append("/d/b", 0);
  ASSERT_TRUE((*file)->append("x"));
  ASSERT_TRUE(files_.sync_folder("/d"));
  files_.power_cut();
  EXPECT_EQ(*files_.read("/d/b", 9), "") << "the bytes were not synced";
}

TEST_F(PowerCut, leaves_what_was_written_atomically) {
  ASSERT_TRUE(write_atomic(files_, "/d/a", "x"));
  files_.power_cut();
  EXPECT_EQ(*files_.read("/d/a", 9), "x");
}

TEST_F(PowerCut, undoes_a_rename_that_was_not_synced) {
  ASSERT_TRUE(write_atomic(files_, "/d/a", "old"));
  ASSERT_TRUE(write_atomic(files_, "/d/b", "new"));
  ASSERT_TRUE(files_.rename("/d/b", "/d/a"));
  files_.power_cut();
  EXPECT_EQ(*files_.read("/d/a", 9), "old");
}

TEST_F(PowerCut, may_keep_some_of_what_was_not_synced_as_the_seed_says) {
  bool kept = false, lost = false, zeros = false;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    MemoryFiles files;
    auto file = files.append("/a", 0);
    ASSERT_TRUE((*file)->append("x"));
    files.power_cut(seed);
    const auto left = files.read("/a", 9);
    lost = lost || !left;
    kept = kept || (left && *left == "x");
    zeros = zeros || (left && *left == std::string(1, '\0'));
  }
  EXPECT_TRUE(kept);
  EXPECT_TRUE(lost);
  EXPECT_TRUE(zeros);
}

TEST_F(PowerCut, makes_a_new_boot_and_frees_locks) {
  const std::string boot = *files_.boot_id();
  const auto lock = files_.lock("/d/lock");
  files_.power_cut();
  EXPECT_NE(*files_.boot_id(), boot);
  EXPECT_TRUE(files_.lock("/d/lock"));
}

TEST(MemoryFiles, is_full_when_it_is_told_so) {
  MemoryFiles files;
  files.set_free_space(3);
  auto file = files.append("/a", 0);
  EXPECT_TRUE((*file)->append("123"));
  EXPECT_EQ((*file)->append("4").error().code(), Code::disk_full);
}

}  // namespace
}  // namespace drover::fs
