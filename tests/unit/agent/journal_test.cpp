#include "agent/fetch/journal.h"

#include <gtest/gtest.h>

namespace drover::agent {
namespace {

Journal a_journal() {
  Journal journal;
  journal.boot = "boot-1";
  journal.etag = "\"sha256:ab\"";
  journal.deployment = "dep-1";
  journal.start = 1;
  journal.resumed = 2;
  journal.wasted = 3;
  journal.pieces = {{kPiece, crypto::sha256("a")}, {2 * kPiece, crypto::sha256("b")}};
  return journal;
}

TEST(Journal, reads_back_as_it_was) {
  const auto read = parse_journal(print(a_journal()));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->boot, "boot-1");
  EXPECT_EQ(read->etag, "\"sha256:ab\"");
  EXPECT_EQ(read->deployment, "dep-1");
  EXPECT_EQ(read->start, 1u);
  EXPECT_EQ(read->resumed, 2u);
  EXPECT_EQ(read->wasted, 3u);
  ASSERT_EQ(read->pieces.size(), 2u);
  EXPECT_EQ(read->pieces[1].digest, crypto::sha256("b"));
}

TEST(Journal, torn_anywhere_gives_fewer_pieces_and_never_wrong_ones) {
  const std::string whole = print(a_journal());
  const std::size_t head = whole.find('\n') + 1;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto read = parse_journal(whole.substr(0, size));
    if (size < head) {
      EXPECT_FALSE(read) << size;
      continue;
    }
    ASSERT_TRUE(read) << size;
    const std::size_t complete = (size - head) / ((whole.size() - head) / 2);
    EXPECT_EQ(read->pieces.size(), complete) << size;
  }
}

TEST(Journal, zeros_of_a_power_cut_end_the_list) {
  const auto read = parse_journal(print(a_journal()) + std::string(200, '\0'));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->pieces.size(), 2u);
}

TEST(Journal, a_piece_that_goes_back_ends_the_list) {
  const auto read = parse_journal(print(a_journal()) + print_piece({kPiece, crypto::sha256("c")}));
  EXPECT_EQ(read->pieces.size(), 2u);
}

TEST(Journal, of_another_version_is_none) {
  EXPECT_FALSE(parse_journal("{\"version\":2,\"boot\":\"b\"}\n"));
  EXPECT_FALSE(parse_journal(""));
}

}  // namespace
}  // namespace drover::agent
