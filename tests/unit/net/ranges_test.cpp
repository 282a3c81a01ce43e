#include "common/net/ranges.h"

#include <gtest/gtest.h>

namespace drover::net {
namespace {

using Kind = RangeDecision::Kind;
constexpr std::string_view kTag = "\"sha256:ab\"";

RangeDecision decide(std::string_view range, std::uint64_t size, std::string_view if_range = {}) {
  return decide_range(range, if_range, kTag, size);
}

void expect_partial(std::string_view range, std::uint64_t size, std::uint64_t offset, std::uint64_t length) {
  const RangeDecision decision = decide(range, size);
  EXPECT_EQ(decision.kind, Kind::partial) << range;
  EXPECT_EQ(decision.offset, offset) << range;
  EXPECT_EQ(decision.length, length) << range;
}

void expect_full(std::string_view range, std::uint64_t size) {
  const RangeDecision decision = decide(range, size);
  EXPECT_EQ(decision.kind, Kind::full) << range;
  EXPECT_EQ(decision.offset, 0u) << range;
  EXPECT_EQ(decision.length, size) << range;
}

TEST(Ranges, WithoutARangeAllOfItIsSent) { expect_full("", 100); }

TEST(Ranges, ARangeIsInclusiveOnBothSides) {
  expect_partial("bytes=0-0", 100, 0, 1);
  expect_partial("bytes=10-19", 100, 10, 10);
  expect_partial("bytes=0-99", 100, 0, 100);
}

TEST(Ranges, AnEndBehindTheFileIsCut) {
  expect_partial("bytes=90-1000", 100, 90, 10);
  expect_partial("bytes=90-99999999999999999999999999", 100, 90, 10);
}

TEST(Ranges, AnOpenEndMeansTheRest) {
  expect_partial("bytes=40-", 100, 40, 60);
  expect_partial("bytes=0-", 100, 0, 100);
}

TEST(Ranges, ASuffixCountsFromTheEnd) {
  expect_partial("bytes=-1", 100, 99, 1);
  expect_partial("bytes=-500", 100, 0, 100);
}

TEST(Ranges, BeyondFourGibibytesNothingWraps) {
  constexpr std::uint64_t kSize = 6'000'000'000;
  expect_partial("bytes=5000000000-5000000009", kSize, 5'000'000'000, 10);
  expect_partial("bytes=5000000000-", kSize, 5'000'000'000, 1'000'000'000);
  expect_partial("bytes=-5000000000", kSize, 1'000'000'000, 5'000'000'000);
}

TEST(Ranges, WhatLiesOutsideIsUnsatisfiable) {
  EXPECT_EQ(decide("bytes=100-", 100).kind, Kind::unsatisfiable);
  EXPECT_EQ(decide("bytes=100-200", 100).kind, Kind::unsatisfiable);
  EXPECT_EQ(decide("bytes=-0", 100).kind, Kind::unsatisfiable);
  EXPECT_EQ(decide("bytes=99999999999999999999999999-", 100).kind, Kind::unsatisfiable);
}

TEST(Ranges, OfAnEmptyFileNoRangeExists) {
  expect_full("", 0);
  EXPECT_EQ(decide("bytes=0-", 0).kind, Kind::unsatisfiable);
  EXPECT_EQ(decide("bytes=0-0", 0).kind, Kind::unsatisfiable);
  EXPECT_EQ(decide("bytes=-5", 0).kind, Kind::unsatisfiable);
}

TEST(Ranges, WhatDoesNotParseIsIgnored) {
  for (const char* range : {"bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=1-2-3", "bytes=+1-2",
                            "bytes= 1 - 2", "lines=1-2", "bytes=1--2", "bytes 1-2"})
    expect_full(range, 100);
}

TEST(Ranges, SeveralRangesGetTheWhole) { expect_full("bytes=0-1,5-6", 100); }

TEST(Ranges, TheUnitsCaseDoesNotMatter) { expect_partial("Bytes=1-2", 100, 1, 2); }

TEST(Ranges, IfRangeMustBeExactlyOurStrongTag) {
  EXPECT_EQ(decide("bytes=1-2", 100, kTag).kind, Kind::partial);
  EXPECT_EQ(decide("bytes=1-2", 100, "\"sha256:cd\"").kind, Kind::full);
  EXPECT_EQ(decide("bytes=1-2", 100, "W/\"sha256:ab\"").kind, Kind::full);
  EXPECT_EQ(decide("bytes=1-2", 100, "Sat, 29 Oct 1994 19:43:31 GMT").kind, Kind::full);
  EXPECT_EQ(decide("bytes=500-", 100, "\"sha256:cd\"").kind, Kind::full) << "a changed file has no 416";
}

TEST(Ranges, ContentRangeIsWrittenAndRead) {
  EXPECT_EQ(content_range(decide("bytes=10-19", 100), 100), "bytes 10-19/100");
  EXPECT_EQ(content_range(decide("bytes=100-", 100), 100), "bytes */100");
  EXPECT_EQ(content_range(decide("", 100), 100), "");
  ContentRange range;
  ASSERT_TRUE(parse_content_range("bytes 5000000000-5999999999/6000000000", range));
  EXPECT_EQ(range.first, 5'000'000'000u);
  EXPECT_EQ(range.last, 5'999'999'999u);
  EXPECT_EQ(range.size, 6'000'000'000u);
  for (const char* text : {"", "bytes", "bytes */100", "bytes 0-9/*", "bytes 9-0/100", "bytes 0-100/100", "0-9/100",
                           "bytes 0-9", "bytes /-"})
    EXPECT_FALSE(parse_content_range(text, range)) << text;
}

TEST(Ranges, IfNoneMatchComparesWeaklyAndTakesLists) {
  EXPECT_TRUE(none_match_hit(kTag, kTag));
  EXPECT_TRUE(none_match_hit("W/\"sha256:ab\"", kTag));
  EXPECT_TRUE(none_match_hit("\"x\", \"sha256:ab\"", kTag));
  EXPECT_TRUE(none_match_hit("*", kTag));
  EXPECT_FALSE(none_match_hit("", kTag));
  EXPECT_FALSE(none_match_hit("\"x\",,\"y\"", kTag));
}

}  // namespace
}  // namespace drover::net
