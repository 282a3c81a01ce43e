#include "agent/app/settings.h"

#include <gtest/gtest.h>

#include "common/fs/memory_files.h"

namespace drover::agent {
namespace {

class SettingsTest : public testing::Test {
 protected:
  void config(const std::string& text) { ASSERT_TRUE(fs::write_atomic(files_, "/agent.json", text)); }
  Result<Settings> read(const std::vector<std::string>& arguments) { return read_settings(arguments, files_); }
  std::string why(const std::vector<std::string>& arguments) {
    const auto settings = read(arguments);
    return settings ? "" : settings.error().message();
  }
  fs::MemoryFiles files_;
  const std::vector<std::string> least_{"--state", "/s", "--server=https://h", "--kind", "k"};
  std::vector<std::string> with(std::vector<std::string> more) const {
    std::vector<std::string> all = least_;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

TEST_F(SettingsTest, come_from_the_command_line) {
  const auto settings = read(with({"--max-rate", "1000", "--attributes", "z=1", "--attributes", "a=2", "--name", "n",
                                   "--confirm_without_application", "true"}));
  ASSERT_TRUE(settings) << settings.error().message();
  EXPECT_EQ(settings->state, "/s");
  EXPECT_EQ(settings->server, "https://h");
  EXPECT_EQ(settings->max_rate, 1000);
  EXPECT_TRUE(settings->confirm_without_application);
  ASSERT_EQ(settings->attributes.size(), 2u);
  EXPECT_EQ(settings->attributes[0].first, "a") << "sorted";
}

TEST_F(SettingsTest, come_from_a_file_and_the_command_line_wins) {
  config(R"({"state":"/s","server":"https://h","kind":"k","name":"one","poll_seconds":7,"attributes":{"a":"b"}})");
  const auto settings = read({"--config", "/agent.json", "--name", "two"});
  ASSERT_TRUE(settings) << settings.error().message();
  EXPECT_EQ(settings->name, "two");
  EXPECT_EQ(settings->poll_seconds, 7);
  EXPECT_EQ(settings->attributes.size(), 1u);
}

TEST_F(SettingsTest, say_what_is_wrong_and_where) {
  EXPECT_NE(why({"--state", "/s"}).find("--server: must be set"), std::string::npos);
  EXPECT_NE(why(with({"--poll_seconds", "x"})).find("--poll_seconds: takes a number from 0 to"), std::string::npos);
  EXPECT_NE(why(with({"--colour", "x"})).find("no setting --colour"), std::string::npos);
  EXPECT_NE(why(with({"--name"})).find("needs a value"), std::string::npos);
  EXPECT_NE(why(with({"fetch"})).find("what is \"fetch\""), std::string::npos);
  EXPECT_NE(why(with({"--attributes", "noequals"})).find("key=value"), std::string::npos);
  EXPECT_NE(why(with({"--client-certificate", "x.pem"})).find("belong together"), std::string::npos);
  config(R"({"state":"/s","servr":"https://h"})");
  EXPECT_NE(why({"--config", "/agent.json"}).find("/servr: is not a field"), std::string::npos);
  EXPECT_NE(why({"--config", "/none.json"}).find("/none.json"), std::string::npos);
}

TEST_F(SettingsTest, the_enrolment_token_may_lie_in_a_file) {
  ASSERT_TRUE(fs::write_atomic(files_, "/token", "secret\n"));
  EXPECT_EQ(read(with({"--enrolment_token_file", "/token"}))->enrolment_token, "secret");
}

TEST_F(SettingsTest, every_setting_is_in_the_help) {
  const std::string help = settings_help();
  for (const SettingInfo& info : setting_infos())
    EXPECT_NE(help.find("--" + std::string(info.name)), std::string::npos) << info.name;
}

TEST(SettingsPage, has_every_setting_with_the_sentence_of_the_table) {
  const auto page = fs::system_files().read(DROVER_SOURCE_DIR "/docs/reference/agent-settings.md", 100'000);
  ASSERT_TRUE(page) << page.error().message();
  for (const SettingInfo& info : setting_infos()) {
    const std::size_t row = page->find("| `" + std::string(info.name) + "` |");
    ASSERT_NE(row, std::string::npos) << info.name;
    EXPECT_NE(page->substr(row, page->find('\n', row) - row).find(info.sentence), std::string::npos) << info.name;
  }
}

}  // namespace
}  // namespace drover::agent
