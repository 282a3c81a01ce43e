#include "common/delta/alone.h"

#include <gtest/gtest.h>

#include "tests/unit/delta/models.h"

namespace drover::delta {
namespace {

Bytes decoded(const TensorShape& shape, ByteView coded) {
  MemorySource source(coded);
  NumberReader in(source);
  MemorySink sink;
  const Status status = TensorDecoder().decode(shape, in, {}, sink);
  EXPECT_TRUE(status) << shape.rows << " x " << shape.columns;
  return std::move(sink.bytes);
}

// A row is decoded several elements at once where they stand in different columns.
TEST(AloneTest, bytes_of_every_width_come_back) {
  SeededRng rng(1);
  for (std::uint64_t columns : {1, 2, 3, 4, 5, 7, 8, 31, 1000, 70'000})
    for (std::uint64_t rows : {std::uint64_t{1}, 5000 / columns + 2, 140'000 / columns + 1}) {
      const TensorShape shape{ElementType::i8, rows, columns};
      Bytes bytes(shape.bytes());
      for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(rng.below(40) * rng.below(3) - rng.below(60));
      ASSERT_EQ(decoded(shape, encode_alone(shape, bytes)), bytes) << rows << " x " << columns;
    }
}

TEST(AloneTest, what_is_expected_ahead_is_what_is_expected_one_by_one) {
  SeededRng rng(2);
  for (std::size_t tracked : {std::size_t{0}, std::size_t{9}}) {
    ScaleTracker tracker(tracked);
    std::size_t column = 0;
    for (int turn = 0; turn < 500; ++turn) {
      std::array<std::size_t, ScaleTracker::kLag> columns;
      for (std::size_t& c : columns) {
        c = column;
        column = (column + 1) % 9;
      }
      std::array<int, ScaleTracker::kLag> ahead;
      tracker.expected_ahead(columns, ahead);
      for (std::size_t k = 0; k < columns.size(); ++k) {
        ASSERT_EQ(ahead[k], tracker.expected(columns[k])) << turn;
        tracker.update(columns[k], static_cast<int>(rng.below(140)) - 16);
      }
    }
  }
}

}  // namespace
}  // namespace drover::delta
