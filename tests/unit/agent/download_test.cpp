// A download on a disk that can lose its power: what is trusted, what is read again, what is counted.
#include "agent/fetch/download.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include "common/fs/memory_files.h"
#include "common/rng/rng.h"

namespace drover::agent {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

class DownloadTest : public testing::Test {
 protected:
  DownloadTest() {
    for (const char* folder : {"/s", "/s/staging", "/s/blobs"}) EXPECT_TRUE(files_.make_folder(folder));
    EXPECT_TRUE(files_.sync_folder("/"));
    EXPECT_TRUE(files_.sync_folder("/s"));
    SeededRng rng(7);
    bytes_.resize(3 * kPiece + 1000);
    rng.fill({reinterpret_cast<std::uint8_t*>(bytes_.data()), bytes_.size()});
    digest_ = crypto::sha256(bytes_).text();
  }

  Status run(asio::awaitable<Status> work) {
    asio::io_context io;
    auto done = asio::co_spawn(io, std::move(work), asio::use_future);
    io.run();
    return done.get();
  }
  std::unique_ptr<Download> open(const std::string& deployment = "dep-1") {
    auto download = std::make_unique<Download>(files_, clock_, layout_, digest_, bytes_.size(), deployment);
    const Status opened = run(download->open(nullptr));
    EXPECT_TRUE(opened) << opened.error().message();
    EXPECT_TRUE(download->begin_try());
    return download;
  }
  // Brings it to `end` in chunks as a network gives them.
  void fetch(Download& download, std::uint64_t end) {
    while (download.offset() < end) {
      const std::size_t size = static_cast<std::size_t>(std::min<std::uint64_t>(16 * 1024, end - download.offset()));
      ASSERT_TRUE(download.write(std::string_view(bytes_).substr(download.offset(), size)));
    }
  }
  void expect_whole(Download& download) {
    fetch(download, bytes_.size());
    const Status finished = run(download.finish(nullptr));
    ASSERT_TRUE(finished) << finished.error().message();
    EXPECT_EQ(*files_.read(layout_.blob(digest_), bytes_.size()), bytes_);
    EXPECT_EQ(files_.info(layout_.blob(digest_))->mode, 0444u);
    EXPECT_TRUE(files_.list("/s/staging")->empty()) << "nothing is left behind";
  }

  fs::MemoryFiles files_;
  ManualClock clock_{WallTime{}};
  Layout layout_{"/s"};
  std::string bytes_, digest_;
};

TEST_F(DownloadTest, without_trouble_becomes_a_blob) {
  const auto download = open();
  expect_whole(*download);
  EXPECT_EQ(download->traffic().fetched, bytes_.size());
  EXPECT_EQ(download->traffic().resumed, 0u);
}

TEST_F(DownloadTest, killed_goes_on_with_the_last_byte_that_was_written) {
  fetch(*open(), kPiece + 12345);
  const auto download = open();
  EXPECT_EQ(download->offset(), kPiece + 12345);
  expect_whole(*download);
  EXPECT_EQ(download->traffic().fetched, bytes_.size()) << "no byte twice";
  EXPECT_EQ(download->traffic().resumed, kPiece + 12345);
}

TEST_F(DownloadTest, after_a_power_cut_goes_on_with_the_last_piece_that_the_disk_holds) {
  {
    const auto download = open();
    fetch(*download, 2 * kPiece + 500);
    clock_.advance(1s);
    fetch(*download, 2 * kPiece + 600);
  }
  files_.power_cut();
  const auto download = open();
  EXPECT_EQ(download->offset(), 2 * kPiece);
  expect_whole(*download);
}

TEST_F(DownloadTest, after_a_power_cut_trusts_no_piece_that_rotted) {
  {
    const auto download = open();
    fetch(*download, 3 * kPiece);
    ASSERT_TRUE(download->checkpoint());
  }
  files_.power_cut();
  ASSERT_TRUE(files_.corrupt(layout_.part(digest_), kPiece + 7));
  const auto download = open();
  EXPECT_EQ(download->offset(), kPiece);
  expect_whole(*download);
}

TEST_F(DownloadTest, whatever_a_power_cut_leaves_the_blob_is_right) {
  for (std::uint64_t seed = 1; seed < 30; ++seed) {
    {
      const auto download = open();
      fetch(*download, (seed * 131'071) % bytes_.size());
      if (seed % 3 == 0) clock_.advance(2s);
      fetch(*download, std::min<std::uint64_t>(bytes_.size(), download->offset() + 200'000));
    }
    files_.power_cut(seed);
    const auto download = open();
    EXPECT_LE(download->offset(), bytes_.size());
    expect_whole(*download);
    ASSERT_TRUE(files_.remove(layout_.blob(digest_)));
  }
}

TEST_F(DownloadTest, is_written_down_once_a_second_at_most) {
  const auto download = open();
  fetch(*download, 2 * kPiece);
  EXPECT_EQ(parse_journal(*files_.read(layout_.journal(digest_), kMaxJournal))->pieces.size(), 0u);
  clock_.advance(1s);
  fetch(*download, 2 * kPiece + 1);
  EXPECT_EQ(parse_journal(*files_.read(layout_.journal(digest_), kMaxJournal))->pieces.size(), 2u);
}

TEST_F(DownloadTest, takes_no_byte_more_than_its_size) {
  const auto download = open();
  fetch(*download, bytes_.size());
  EXPECT_EQ(download->write("x").error().code(), Code::size_mismatch);
}

TEST_F(DownloadTest, of_other_bytes_is_thrown_away_and_counted_as_wasted) {
  {
    const auto download = open();
    ASSERT_TRUE(download->write(std::string(bytes_.size(), 'x')));
    EXPECT_EQ(run(download->finish(nullptr)).error().code(), Code::digest_mismatch);
    EXPECT_EQ(download->offset(), 0u);
  }
  const auto download = open();
  EXPECT_EQ(download->offset(), 0u);
  expect_whole(*download);
  EXPECT_EQ(download->traffic().fetched, 2 * bytes_.size());
}

TEST_F(DownloadTest, taken_over_by_another_deployment_counts_its_own_bytes_only) {
  fetch(*open("dep-1"), kPiece);
  const auto download = open("dep-2");
  EXPECT_EQ(download->offset(), kPiece);
  expect_whole(*download);
  EXPECT_EQ(download->traffic().fetched, bytes_.size() - kPiece);
  EXPECT_EQ(download->traffic().resumed, kPiece);
}

TEST_F(DownloadTest, keeps_its_validator_for_the_next_try) {
  {
    const auto download = open();
    ASSERT_TRUE(download->set_etag("\"v1\""));
    fetch(*download, 1000);
  }
  const auto download = open();
  EXPECT_EQ(download->etag(), "\"v1\"");
  ASSERT_TRUE(download->start_over());
  EXPECT_EQ(download->etag(), "");
  EXPECT_EQ(download->offset(), 0u);
}

TEST_F(DownloadTest, on_a_full_disk_says_so_and_keeps_what_came) {
  const auto download = open();
  files_.set_free_space(1000);
  EXPECT_EQ(download->write(std::string_view(bytes_).substr(0, 5000)).error().code(), Code::disk_full);
  files_.set_free_space(1 << 30);
  expect_whole(*open());
}

}  // namespace
}  // namespace drover::agent
