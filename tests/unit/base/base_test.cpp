#include <gtest/gtest.h>

#include <map>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/rng/rng.h"
#include "common/time/clock.h"

namespace drover {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return Error(Code::invalid_argument, "odd");
  return n / 2;
}

Result<int> quarter(int n) {
  TRY_ASSIGN(const int once, half(n));
  TRY_ASSIGN(const int twice, half(once).within("the second half"));
  return twice;
}

TEST(ResultTest, an_error_travels_up_with_its_context) {
  EXPECT_EQ(*quarter(12), 3);
  const auto wrong = quarter(6);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code(), Code::invalid_argument);
  EXPECT_EQ(wrong.error().message(), "the second half: odd");
}

TEST(ResultTest, reading_the_wrong_side_ends_the_process) {
  const Result<int> wrong = half(1);
  EXPECT_DEATH((void)wrong.value(), "");
}

TEST(ErrorTest, every_code_has_one_name_and_the_name_leads_back) {
  std::map<std::string, int> seen;
  for (int number = 0; number < 300; ++number) {
    const auto code = static_cast<Code>(number);
    const std::string name(code_name(code));
    if (name == "unknown") continue;
    EXPECT_EQ(seen.count(name), 0U) << name;
    seen[name] = number;
    EXPECT_EQ(code_from_name(name), code) << name;
    EXPECT_GE(http_status(code), 200) << name;
  }
  EXPECT_GE(seen.size(), 50U);
  EXPECT_EQ(code_from_name("nonsense"), Code::internal);
}

TEST(ErrorTest, the_numbers_that_cross_the_wire_stay_what_they_are) {
  EXPECT_EQ(static_cast<int>(Code::pending), 20);
  EXPECT_EQ(static_cast<int>(Code::bad_signature), 100);
  EXPECT_EQ(static_cast<int>(Code::validate_golden), 221);
  EXPECT_EQ(static_cast<int>(Code::unhealthy), 240);
  EXPECT_EQ(static_cast<int>(Code::no_previous), 252);
}

TEST(BytesTest, hexadecimal_goes_there_and_back) {
  const Bytes bytes = {0x00, 0x7f, 0xff, 0x10};
  EXPECT_EQ(to_hex(bytes), "007fff10");
  EXPECT_EQ(*from_hex("007FfF10"), bytes);
  EXPECT_FALSE(from_hex("abc"));
  EXPECT_FALSE(from_hex("zz"));
}

// RFC 4648, section 10, without padding.
TEST(BytesTest, base64url_agrees_with_the_standard) {
  const std::pair<std::string, std::string> cases[] = {
      {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
      {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : cases) {
    EXPECT_EQ(to_base64url(as_bytes(plain)), coded);
    EXPECT_EQ(as_text(*from_base64url(coded)), plain);
  }
  EXPECT_EQ(to_base64url(Bytes{0xfb, 0xff}), "-_8");
}

TEST(BytesTest, base64url_refuses_padding_foreign_characters_and_stray_bits) {
  EXPECT_FALSE(from_base64url("Zg=="));
  EXPECT_FALSE(from_base64url("Z+"));
  EXPECT_FALSE(from_base64url("Z"));
  EXPECT_FALSE(from_base64url("Zh"));  // "Zg" with a bit set behind the last byte
}

TEST(TimeTest, goes_there_and_back_across_leap_days_and_centuries) {
  for (const char* text :
       {"1970-01-01T00:00:00Z", "2000-02-29T23:59:59Z", "2038-01-19T03:14:08Z", "2100-02-28T12:00:00Z"})
    EXPECT_EQ(format_time(*parse_time(text)), text);
  EXPECT_EQ(parse_time("2000-01-01T00:00:00Z")->time_since_epoch().count(), 946684800);
}

TEST(TimeTest, refuses_every_other_form) {
  for (const char* text :
       {"", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:05+00:00", "2026-01-02 03:04:05Z",
        "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
        "2026-01-02T03:04:05.1Z", "-026-01-02T03:04:05Z", "2026-01-02T03:04:0 Z"})
    EXPECT_FALSE(parse_time(text)) << text;
}

TEST(TimeTest, a_manual_clock_steps_its_wall_time_apart_from_its_monotonic_time) {
  ManualClock clock(WallTime(std::chrono::seconds(1000)));
  const MonoTime before = clock.mono();
  clock.step_wall(std::chrono::seconds(-500));
  EXPECT_EQ(clock.wall().time_since_epoch().count(), 500);
  EXPECT_EQ(clock.mono(), before);
  clock.advance(std::chrono::seconds(2));
  EXPECT_EQ(clock.mono() - before, std::chrono::seconds(2));
}

TEST(RngTest, the_same_seed_gives_the_same_stream_and_below_stays_below) {
  SeededRng one(7), two(7), other(8);
  EXPECT_EQ(one.next(), two.next());
  EXPECT_NE(one.next(), other.next());
  int counts[10] = {};
  for (int i = 0; i < 10000; ++i) ++counts[one.below(10)];
  for (int count : counts) EXPECT_NEAR(count, 1000, 150);
  EXPECT_EQ(one.below(0), 0U);
  EXPECT_EQ(one.below(1), 0U);
}

}  // namespace
}  // namespace drover
