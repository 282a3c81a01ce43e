#include "common/delta/stream.h"

#include <gtest/gtest.h>

namespace drover::delta {
namespace {

TEST(StreamTest, numbers_come_back) {
  Bytes bytes;
  const std::uint64_t numbers[] = {0, 1, 127, 128, 300, std::uint64_t{1} << 63, UINT64_MAX};
  const std::int64_t with_sign[] = {0, -1, 1, INT64_MIN, INT64_MAX};
  for (std::uint64_t n : numbers) put_varint(bytes, n);
  for (std::int64_t n : with_sign) put_signed(bytes, n);
  MemorySource source(bytes);
  NumberReader in(source);
  for (std::uint64_t n : numbers) EXPECT_EQ(in.varint(), n);
  for (std::int64_t n : with_sign) EXPECT_EQ(in.signed_varint(), n);
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(source.left(), 0U);
}

TEST(StreamTest, a_number_of_more_than_64_bits_is_refused) {
  for (const std::uint8_t last : {0x02, 0x7f, 0x81}) {
    Bytes bytes(9, 0x80);
    bytes.push_back(last);
    bytes.push_back(0);
    MemorySource source(bytes);
    NumberReader in(source);
    EXPECT_EQ(in.varint(), 0U);
    ASSERT_FALSE(in.ok()) << int{last};
    EXPECT_EQ(in.status().error().message(), "a number in the delta is too long");
  }
}

TEST(StreamTest, a_bound_is_the_last_that_is_taken) {
  const Bytes bytes = {200, 1, 201, 1};
  MemorySource source(bytes);
  NumberReader in(source);
  EXPECT_EQ(in.bounded(200, "a size"), 200U);
  EXPECT_EQ(in.bounded(200, "a size"), 0U);
  EXPECT_EQ(in.status().error().message(), "a size is over its bound of 200");
}

TEST(StreamTest, after_a_fault_every_number_is_zero_and_the_fault_stays) {
  const Bytes bytes(100, 1);
  MemorySource source(bytes);
  NumberReader in(source);
  in.fail("the first");
  in.fail("the second");
  EXPECT_EQ(in.fixed(4), 0U);
  EXPECT_EQ(in.varint(), 0U);
  EXPECT_EQ(in.signed_varint(), 0);
  EXPECT_EQ(in.bounded(10, "a size"), 0U);
  EXPECT_TRUE(in.bytes(5, 5).empty());
  EXPECT_EQ(in.status().error().message(), "the first");
  EXPECT_EQ(source.left(), 100U) << "and nothing more is read";
}

TEST(StreamTest, bytes_that_are_not_there_are_none) {
  const Bytes bytes(10, 1);
  MemorySource source(bytes);
  NumberReader in(source);
  EXPECT_EQ(in.bytes(3, 2), (Bytes{1, 1, 1, 0, 0}));
  EXPECT_TRUE(in.bytes(8).empty());
  EXPECT_EQ(in.status().error().code(), Code::malformed);
}

}  // namespace
}  // namespace drover::delta
