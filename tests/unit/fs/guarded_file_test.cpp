#include "common/fs/guarded_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace drover::fs {
namespace {

class GuardedFileTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kPages = 8;
  void SetUp() override {
    ASSERT_GE(descriptor = mkstemp(path.data()), 0);
    const std::string content(kPages * page, 'x');
    ASSERT_EQ(write(descriptor, content.data(), content.size()), static_cast<ssize_t>(content.size()));
  }
  void TearDown() override {
    close(descriptor);
    unlink(path.c_str());
  }
  void shorten(std::size_t pages) { ASSERT_EQ(ftruncate(descriptor, static_cast<off_t>(pages * page)), 0); }
  static std::size_t count(ByteView bytes, std::uint8_t byte) {
    return static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), byte));
  }

  const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  std::string path = ::testing::TempDir() + "guarded-XXXXXX";
  int descriptor = -1;
};

TEST_F(GuardedFileTest, AFileThatStaysIsWhole) {
  const auto file = GuardedFile::open(path);
  ASSERT_TRUE(file);
  EXPECT_EQ(count(file->bytes(), 'x'), kPages * page);
  EXPECT_TRUE(file->whole());
  EXPECT_TRUE(GuardedFile().whole());
}

TEST_F(GuardedFileTest, PagesThatAreGoneReadAsZerosAndAreReported) {
  const auto file = GuardedFile::open(path);
  ASSERT_TRUE(file);
  EXPECT_EQ(count(file->bytes().first(page), 'x'), page);
  shorten(3);
  EXPECT_EQ(count(file->bytes(), 'x'), 3 * page);
  EXPECT_EQ(count(file->bytes(), 0), (kPages - 3) * page);
  ASSERT_FALSE(file->whole());
  EXPECT_EQ(file->whole().error().code(), Code::io);
  EXPECT_NE(file->whole().error().message().find(path), std::string::npos);
}

TEST_F(GuardedFileTest, AFileThatShrinksTwiceIsStillNoFault) {
  const auto file = GuardedFile::open(path);
  ASSERT_TRUE(file);
  shorten(5);
  EXPECT_EQ(file->bytes()[6 * page], 0);
  shorten(1);
  EXPECT_EQ(file->bytes()[2 * page], 0);
  EXPECT_EQ(file->bytes()[0], 'x');
  EXPECT_FALSE(file->whole());
}

TEST_F(GuardedFileTest, OneFileIsNotBlamedForAnother) {
  const auto first = GuardedFile::open(path), second = GuardedFile::open(path);
  ASSERT_TRUE(first && second);
  shorten(1);
  EXPECT_EQ(first->bytes()[4 * page], 0);
  EXPECT_FALSE(first->whole());
  EXPECT_TRUE(second->whole());
}

TEST_F(GuardedFileTest, SlotsComeBack) {
  for (std::size_t i = 0; i < 3 * kMaxGuarded; ++i) ASSERT_TRUE(GuardedFile::open(path));
  std::vector<GuardedFile> held;
  for (std::size_t i = 0; i < kMaxGuarded; ++i) {
    auto file = GuardedFile::open(path);
    ASSERT_TRUE(file);
    held.push_back(std::move(*file));
  }
  const auto one_more = GuardedFile::open(path);
  ASSERT_FALSE(one_more);
  EXPECT_EQ(one_more.error().code(), Code::unavailable);
  shorten(1);
  EXPECT_EQ(held.back().bytes()[4 * page], 0);
  EXPECT_FALSE(held.back().whole());
}

using GuardedFileDeathTest = GuardedFileTest;

TEST_F(GuardedFileDeathTest, AFaultElsewhereStillEndsTheProcess) {
  const auto read_unguarded = [&] {
    const auto guarded = GuardedFile::open(path);
    const auto plain = MappedFile::open(path);
    if (!guarded || !plain) return;
    shorten(1);
    volatile std::uint8_t seen = plain->bytes()[4 * page];
    static_cast<void>(seen);
  };
  EXPECT_DEATH(read_unguarded(), "");
}

}  // namespace
}  // namespace drover::fs
