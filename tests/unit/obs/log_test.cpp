#include "common/obs/log.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace drover::log {
namespace {

constexpr std::string_view kTime = "2026-01-02T03:04:05Z";

TEST(Log, ALogfmtLineQuotesOnlyWhatNeedsIt) {
  EXPECT_EQ(format_line(Format::logfmt, kTime, Level::info, "device enrolled",
                        {{"device", "d01"}, {"name", "kiosk 7"}, {"uses", 3}, {"new", true}, {"share", 0.25}}),
            "time=2026-01-02T03:04:05Z level=info msg=\"device enrolled\" device=d01 name=\"kiosk 7\" uses=3 new=true "
            "share=0.25");
}

TEST(Log, AJsonLineIsOneObject) {
  EXPECT_EQ(format_line(Format::json, kTime, Level::warn, "slow", {{"path", "/a\"b"}, {"us", 12}}),
            R"({"time":"2026-01-02T03:04:05Z","level":"warn","msg":"slow","path":"/a\"b","us":12})");
}

TEST(Log, AValueCannotStartALineOfItsOwn) {
  const std::string line =
      format_line(Format::logfmt, kTime, Level::info, "x", {{"name", "a\nlevel=error msg=forged\x01\r\t"}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_NE(line.find(R"(name="a\nlevel=error msg=forged\u0001\r\t")"), std::string::npos) << line;
}

TEST(Log, EmptyTextIsSeenAsEmpty) {
  EXPECT_NE(format_line(Format::logfmt, kTime, Level::info, "x", {{"a", ""}}).find("a=\"\""), std::string::npos);
}

TEST(Log, ANumberThatIsNoNumberIsQuotedInJson) {
  const std::string line = format_line(Format::json, kTime, Level::info, "x", {{"a", 0.0 / 0.0}});
  EXPECT_NE(line.find("\"a\":\""), std::string::npos) << line;
}

TEST(Log, ALongEventIsCutAndSaysSo) {
  const std::string big(3000, 'x');
  const std::string line = format_line(Format::json, kTime, Level::info, "m", {{"a", big}, {"b", big}, {"c", big}});
  EXPECT_LE(line.size(), kMaxLine);
  EXPECT_TRUE(line.ends_with("\"cut\":\"...\"}")) << line.substr(line.size() - 40);
}

TEST(Log, LevelsBelowTheSetOneAreSilentAndTheSinkGetsTheRest) {
  std::vector<std::string> lines;
  set_sink([&lines](std::string_view line) { lines.emplace_back(line); });
  ASSERT_TRUE(set_level("warn"));
  info("not this");
  warn("this");
  failure("and this", Error(Code::io, "disk on fire"), {{"file", "a.db"}});
  set_level(Level::info);
  set_sink({});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find("msg=this"), std::string::npos);
  EXPECT_NE(lines[1].find("file=a.db code=io error=\"disk on fire\""), std::string::npos) << lines[1];
  EXPECT_FALSE(set_level("loud"));
}

}  // namespace
}  // namespace drover::log
