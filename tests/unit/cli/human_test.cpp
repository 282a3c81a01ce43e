#include "server/cli/human.h"

#include "tests/support/expect.h"

namespace drover::cli {
namespace {

using std::chrono::seconds;

const WallTime kNow{seconds{1'800'000'000}};

TEST(Human, BytesHaveThreeDigitsAtMost) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1 KiB");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(12u << 20), "12 MiB");
  EXPECT_EQ(human_bytes(1023u << 10), "1.0 MiB");
  EXPECT_EQ(human_bytes(UINT64_MAX), "16 EiB");
}

TEST(Human, TimesAreRelativeInBothDirections) {
  EXPECT_EQ(relative_time(kNow, kNow), "now");
  EXPECT_EQ(relative_time(kNow - seconds{2}, kNow), "now");
  EXPECT_EQ(relative_time(kNow - seconds{45}, kNow), "45 s ago");
  EXPECT_EQ(relative_time(kNow - seconds{200}, kNow), "3 min ago");
  EXPECT_EQ(relative_time(kNow - std::chrono::hours{36}, kNow), "36 h ago");
  EXPECT_EQ(relative_time(kNow + std::chrono::hours{72}, kNow), "in 3 d");
}

TEST(Human, TheEpochAndEmptyTextAreNever) {
  EXPECT_EQ(relative_time(WallTime{}, kNow), "never");
  EXPECT_EQ(relative_time(std::string_view(), kNow), "never");
  EXPECT_EQ(relative_time("soon\x1b[2J", kNow), "soon?[2J");
}

TEST(Human, SpansAreReadWithTheirUnits) {
  EXPECT_EQ(parse_span("90s").value(), seconds{90});
  EXPECT_EQ(parse_span("1h30m").value(), seconds{5400});
  EXPECT_EQ(parse_span("2w").value(), seconds{14 * 86400});
  EXPECT_EQ(parse_span("0s").value(), seconds{0});
}

TEST(Human, SpansWithoutUnitOrOutOfOrderOrTooLongAreRefused) {
  for (const char* text :
       {"", "s", "90", "-5s", "1m1h", "1h1h", "1.5h", "5 s", "5x", "99999999999w", "999999999999999999999s", "20000d"})
    EXPECT_CODE(parse_span(text), Code::invalid_argument) << text;
}

TEST(Human, PercentagesLieBetweenZeroAndHundred) {
  EXPECT_EQ(parse_percent("25%").value(), 25);
  EXPECT_EQ(parse_percent("2.5").value(), 2.5);
  for (const char* text : {"", "%", "101%", "-1%", "nan", "inf", "1e1", "25%%", "x"})
    EXPECT_CODE(parse_percent(text), Code::invalid_argument) << text;
}

TEST(Human, CountsAreWholeNumbersInBounds) {
  EXPECT_EQ(parse_count("10", 1, 10).value(), 10);
  for (const char* text : {"", "0", "11", "1.0", "+1", "1 ", "99999999999999999999"})
    EXPECT_CODE(parse_count(text, 1, 10), Code::invalid_argument) << text;
}

TEST(Human, WhatATerminalWouldObeyIsReplaced) {
  EXPECT_EQ(printable("kiosk-07"), "kiosk-07");
  EXPECT_EQ(printable("Zürich 東京"), "Zürich 東京");
  EXPECT_EQ(printable("a\x1b[31mb\n\r\tc\x7f"), "a?[31mb???c?");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "?31m");
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "gpj.exe"),
            "?gpj.exe");
  EXPECT_EQ(printable("\xff\xc0\x80\xed\xa0\x80"), "??????");
}

TEST(Human, WidthCountsWideAndCombiningCharacters) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("東京"), 4u);
  EXPECT_EQ(display_width("e\xcc\x81"), 1u);
}

TEST(Human, FittingCutsAtACharactersEnd) {
  EXPECT_EQ(fit_width("abcdef", 6), "abcdef");
  EXPECT_EQ(fit_width("abcdef", 4), "abc…");
  EXPECT_EQ(fit_width("東京都", 4), "東…");
  EXPECT_EQ(fit_width("abc", 0), "");
}

TEST(Human, TheMiddleOfALongNameIsLeftOutAndItsEndStays) {
  EXPECT_EQ(fit_middle("short", 10), "short");
  EXPECT_EQ(fit_middle("model.decoder.weight", 12), "mod…r.weight");
  EXPECT_EQ(display_width(fit_middle("model.decoder.weight", 12)), 12U);
  EXPECT_EQ(fit_middle("model.decoder.weight", 3), "mo…");
  EXPECT_LE(display_width(fit_middle("重み重み重み重み", 9)), 9U);
  EXPECT_EQ(fit_middle("", 0), "");
}

}  // namespace
}  // namespace drover::cli
