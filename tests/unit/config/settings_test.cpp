#include "common/config/settings.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <sstream>

#include "server/app/settings.h"
#include "tests/support/expect.h"

namespace drover::config {
namespace {

using enum Setting::Type;
constexpr std::array kTable = {Setting{"name", text, "who", "nobody", "TEXT"},
                               Setting{"poll_seconds", number, "how often", "60", "SECONDS", 1, 100, "poll"},
                               Setting{"loud", truth, "or not", "false", ""}};
using Arguments = std::vector<std::string>;

TEST(Settings, TheCommandLineGoesOverTheFileAndTheFileOverDefaults) {
  const auto values = parse(kTable, Arguments{"--poll-seconds", "5"}, R"({"poll_seconds":7,"name":"file"})");
  ASSERT_OK(values);
  EXPECT_EQ(values->number("poll_seconds"), 5);
  EXPECT_EQ(values->text("name"), "file");
  EXPECT_FALSE(values->truth("loud"));
}

TEST(Settings, TakesEqualsSignsAliasesAndBareTruths) {
  const auto values = parse(kTable, Arguments{"--poll=9", "--loud"});
  ASSERT_OK(values);
  EXPECT_EQ(values->number("poll_seconds"), 9);
  EXPECT_TRUE(values->truth("loud"));
}

TEST(Settings, SaysWhichSettingIsWrong) {
  const auto unknown = parse(kTable, Arguments{"--colour", "red"});
  ASSERT_CODE(unknown, Code::invalid_argument);
  EXPECT_NE(unknown.error().message().find("--colour"), std::string::npos);
  EXPECT_CODE(parse(kTable, Arguments{"--name"}), Code::invalid_argument);
  for (const char* bad : {"0", "101", "ten", "5s", ""})
    EXPECT_CODE(parse(kTable, Arguments{"--poll-seconds", bad}), Code::invalid_argument) << bad;
  EXPECT_CODE(parse(kTable, Arguments{}, R"({"colour":"red"})"), Code::invalid_argument);
  EXPECT_CODE(parse(kTable, Arguments{}, R"({"poll_seconds":"7"})"), Code::invalid_argument);
  EXPECT_CODE(parse(kTable, Arguments{}, "[]"), Code::malformed);
}

TEST(Settings, TheServersReferencePageSaysWhatTheTableSays) {
  std::ifstream file(std::string(DROVER_SOURCE_DIR) + "/docs/reference/server-settings.md");
  ASSERT_TRUE(file.is_open());
  std::ostringstream page;
  page << file.rdbuf();
  EXPECT_NE(page.str().find(reference(server::settings())), std::string::npos)
      << "write it anew: drover-server settings";
}

}  // namespace
}  // namespace drover::config
