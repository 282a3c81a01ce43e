#include "server/deltas/shelf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fs/memory_files.h"

namespace drover::deltas {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const crypto::Digest kTarget = crypto::sha256("target"), kBase = crypto::sha256("base");

class ShelfTest : public testing::Test {
 protected:
  void write(const std::string& path, const std::string& bytes) {
    const auto file = files_.append(path, 0);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->append(bytes));
    ASSERT_TRUE((*file)->sync());
  }
  // As Deltas does it.
  Edge keep(Shelf& shelf, const std::string& bytes, std::int64_t codec = 1) {
    EXPECT_TRUE(shelf.prepare(kTarget));
    write(shelf.temporary(kTarget, kBase, codec), bytes);
    const Edge edge{kBase, kTarget, codec, bytes.size()};
    EXPECT_TRUE(shelf.keep(edge));
    return edge;
  }

  fs::MemoryFiles files_;
};

TEST_F(ShelfTest, finds_again_after_a_power_cut_what_was_kept) {
  Edge first;
  {
    Shelf shelf(files_, "/deltas");
    ASSERT_TRUE(shelf.open());
    ASSERT_TRUE(files_.sync_folder("/"));
    first = keep(shelf, "hello");
    keep(shelf, "newer", 2);
  }
  files_.power_cut();
  Shelf shelf(files_, "/deltas");
  ASSERT_TRUE(shelf.open());
  EXPECT_EQ(shelf.find(kTarget, kBase, 1), first);
  EXPECT_EQ(shelf.to(kTarget).size(), 2u);
  EXPECT_EQ(shelf.bytes(), 10u);
  EXPECT_EQ(shelf.count(), 2u);
}

TEST_F(ShelfTest, tells_versions_apart_and_counts_each_delta_once) {
  Shelf shelf(files_, "/deltas");
  ASSERT_TRUE(shelf.open());
  const Edge first = keep(shelf, "hello"), second = keep(shelf, "newer!", 2);
  EXPECT_EQ(shelf.find(kTarget, kBase, 1), first);
  EXPECT_EQ(shelf.find(kTarget, kBase, 2), second);
  EXPECT_FALSE(shelf.find(kTarget, kBase, 3));
  keep(shelf, "hello");
  EXPECT_EQ(shelf.count(), 2u);
  EXPECT_EQ(shelf.bytes(), 11u);
}

TEST_F(ShelfTest, takes_no_file_for_a_delta_by_half_its_name) {
  const std::string folder = "/deltas/" + kTarget.hex() + "/";
  ASSERT_TRUE(files_.make_folder("/deltas"));
  ASSERT_TRUE(files_.make_folder("/deltas/" + kTarget.hex()));
  for (const std::string name : {kBase.hex() + ".v0", kBase.hex() + ".v-1", kBase.hex() + ".v1x", kBase.hex() + ".v",
                                 kBase.hex(), kBase.hex().substr(1) + ".v1"})
    write(folder + name, "hello");
  Shelf shelf(files_, "/deltas");
  ASSERT_TRUE(shelf.open());
  EXPECT_THAT(shelf.all(), IsEmpty());
}

TEST_F(ShelfTest, clears_what_was_half_made_and_leaves_strangers_alone) {
  Shelf first(files_, "/deltas");
  ASSERT_TRUE(first.open());
  ASSERT_TRUE(first.prepare(kTarget));
  const std::string half = first.temporary(kTarget, kBase, 1), stranger = "/deltas/" + kTarget.hex() + "/README";
  write(half, "half");
  write(stranger, "hello");
  Shelf shelf(files_, "/deltas");
  ASSERT_TRUE(shelf.open());
  EXPECT_FALSE(fs::exists(files_, half));
  EXPECT_TRUE(fs::exists(files_, stranger));
  EXPECT_THAT(shelf.all(), IsEmpty());
}

TEST_F(ShelfTest, remembers_what_was_not_worth_it_for_one_codec) {
  {
    Shelf shelf(files_, "/deltas");
    ASSERT_TRUE(shelf.open());
    ASSERT_TRUE(shelf.prepare(kTarget));
    ASSERT_TRUE(shelf.note_useless(kTarget, kBase, 1));
  }
  Shelf shelf(files_, "/deltas");
  ASSERT_TRUE(shelf.open());
  EXPECT_TRUE(shelf.is_useless(kTarget, kBase, 1));
  EXPECT_FALSE(shelf.is_useless(kTarget, kBase, 2));
  EXPECT_FALSE(shelf.find(kTarget, kBase, 1));
}

TEST_F(ShelfTest, remembers_what_found_no_room_until_it_is_kept) {
  {
    Shelf shelf(files_, "/deltas");
    ASSERT_TRUE(shelf.open());
    EXPECT_FALSE(shelf.found_no_room(kTarget, kBase, 1));
    ASSERT_TRUE(shelf.prepare(kTarget));
    ASSERT_TRUE(shelf.note_no_room({kBase, kTarget, 1, 1234}));
  }
  Shelf shelf(files_, "/deltas");
  ASSERT_TRUE(shelf.open());
  EXPECT_EQ(shelf.found_no_room(kTarget, kBase, 1), 1234u);
  EXPECT_FALSE(shelf.found_no_room(kTarget, kBase, 2));
  EXPECT_THAT(shelf.all(), IsEmpty());
  keep(shelf, "hello");
  EXPECT_FALSE(shelf.found_no_room(kTarget, kBase, 1));
  write(shelf.path(kTarget, kBase, 2) + ".full", "nonsense");
  EXPECT_FALSE(shelf.found_no_room(kTarget, kBase, 2));
}

TEST_F(ShelfTest, forgets_what_is_removed) {
  Shelf shelf(files_, "/deltas");
  ASSERT_TRUE(shelf.open());
  const Edge edge = keep(shelf, "hello");
  shelf.note_served(kTarget, kBase, 1);
  EXPECT_EQ(shelf.all().front().served, 1u);
  ASSERT_TRUE(shelf.remove(edge));
  EXPECT_FALSE(shelf.find(kTarget, kBase, 1));
  EXPECT_EQ(shelf.bytes(), 0u);
  EXPECT_FALSE(fs::exists(files_, shelf.path(kTarget, kBase, 1)));
  EXPECT_TRUE(shelf.remove(edge)) << "twice is fine";
}

}  // namespace
}  // namespace drover::deltas
