#include "server/cli/command.h"

#include "server/cli/exit_code.h"
#include "server/cli/rollout_watch.h"
#include "tests/support/expect.h"

namespace drover::cli {
namespace {

struct Tool {
  Tool() {
    root.name = "drover";
    root.help = "Delivers";
    root.flag("--json", json, "print JSON");
    CommandSpec& rollout = root.sub("rollout", "Rollouts");
    CommandSpec& create = rollout.sub("create", "Open one");
    create.argument("NAME", &name, "its name");
    create.option("--stage", "STAGE", &stages, "a stage").require();
    create.option("--limit", "N", &limit, "a number").between(1, 9);
    create.option("--role", "ROLE", &role, "a role").one_of({"viewer", "admin"});
    create.action = []() -> Result<int> { return 0; };
  }
  Result<Parsed> parse(std::vector<std::string> words) { return parse_command_line(root, words); }

  CommandSpec root;
  bool json = false;
  std::string name, role;
  std::vector<std::string> stages;
  std::int64_t limit = 5;
};

TEST(CommandLine, FillsArgumentsOptionsAndFlags) {
  Tool tool;
  const auto parsed =
      tool.parse({"rollout", "create", "spring", "--stage", "25%,auto", "--stage", "100%", "--limit", "7"});
  ASSERT_OK(parsed);
  EXPECT_EQ(parsed->command->name, "create");
  EXPECT_EQ(tool.name, "spring");
  EXPECT_EQ(tool.stages, (std::vector<std::string>{"25%,auto", "100%"}));
  EXPECT_EQ(tool.limit, 7);
}

TEST(CommandLine, ARepeatableOptionTakesOneValueAtATime) {
  Tool tool;
  ASSERT_OK(tool.parse({"rollout", "create", "--stage", "25%", "spring"}));
  EXPECT_EQ(tool.name, "spring");
  EXPECT_EQ(tool.stages.size(), 1u);
}

TEST(CommandLine, OptionsOfTheRootMayStandBehindAnyCommand) {
  Tool tool;
  ASSERT_OK(tool.parse({"rollout", "create", "a", "--stage", "1", "--json"}));
  EXPECT_TRUE(tool.json);
}

TEST(CommandLine, AnArgumentMayBeCalledLikeACommand) {
  Tool tool;
  ASSERT_OK(tool.parse({"rollout", "create", "rollout", "--stage", "1"}));
  EXPECT_EQ(tool.name, "rollout");
}

TEST(CommandLine, OptionsOfTheRootMayStandInFrontOfTheCommand) {
  Tool tool;
  tool.root.option("--profile", "FOLDER", &tool.role, "a folder");
  ASSERT_OK(tool.parse({"--json", "--profile", "rollout", "rollout", "create", "a", "--stage", "1"}));
  EXPECT_TRUE(tool.json);
  EXPECT_EQ(tool.role, "rollout");
  EXPECT_EQ(tool.name, "a");
}

TEST(CommandLine, AnUnknownCommandNamesItsNeighbour) {
  Tool tool;
  const auto parsed = tool.parse({"rollotu", "create"});
  ASSERT_CODE(parsed, Code::invalid_argument);
  EXPECT_EQ(parsed.error().message(), "there is no command \"rollotu\"; did you mean rollout? (see drover --help)");
}

TEST(CommandLine, WrongUseIsRefusedWithTheWayToHelp) {
  const std::vector<std::vector<std::string>> wrong = {{"rollout", "create"},
                                                       {"rollout", "create", "a"},
                                                       {"rollout", "create", "a", "b", "--stage", "1"},
                                                       {"rollout", "create", "a", "--stage", "1", "--limit", "10"},
                                                       {"rollout", "create", "a", "--stage", "1", "--limit", "x"},
                                                       {"rollout", "create", "a", "--stage", "1", "--role", "king"},
                                                       {"rollout", "create", "a", "--stage", "1", "--colour"}};
  for (const auto& words : wrong) {
    Tool tool;
    const auto parsed = tool.parse(words);
    ASSERT_CODE(parsed, Code::invalid_argument);
    EXPECT_NE(parsed.error().message().find("(see drover rollout create --help)"), std::string::npos)
        << parsed.error().message();
    EXPECT_EQ(parsed.error().message().find('\n'), std::string::npos);
  }
}

TEST(CommandLine, HelpShowsUsageOptionsAndChoices) {
  Tool tool;
  const auto parsed = tool.parse({"rollout", "create", "--help"});
  ASSERT_OK(parsed);
  EXPECT_EQ(parsed->command, nullptr);
  for (const char* part :
       {"usage: drover rollout create NAME --stage STAGE [options]", "--role ROLE", "(viewer, admin)", "[repeatable]"})
    EXPECT_NE(parsed->help.find(part), std::string::npos) << part << "\n" << parsed->help;
}

TEST(CommandLine, AGroupWithoutACommandShowsItsCommands) {
  Tool tool;
  const auto parsed = tool.parse({"rollout"});
  ASSERT_OK(parsed);
  EXPECT_EQ(parsed->command, nullptr);
  EXPECT_NE(parsed->help.find("create"), std::string::npos);
}

TEST(ExitCode, EachKindOfErrorHasItsOwn) {
  EXPECT_EQ(exit_code(Code::invalid_argument), 2);
  EXPECT_EQ(exit_code(Code::not_found), 3);
  EXPECT_EQ(exit_code(Code::permission_denied), 4);
  EXPECT_EQ(exit_code(Code::unauthenticated), 4);
  EXPECT_EQ(exit_code(Code::conflict), 5);
  EXPECT_EQ(exit_code(Code::already_exists), 5);
  EXPECT_EQ(exit_code(Code::unavailable), 6);
  EXPECT_EQ(exit_code(Code::bad_signature), 1);
}

TEST(ExitCode, RowsCountUpFromZeroWithoutGaps) {
  int next = 0;
  for (const ExitCodeRow& row : exit_code_rows()) EXPECT_EQ(row.code, next++);
}

TEST(Watch, EndsWhereTheRolloutStandsStillAndSaysHow) {
  using enum wire::RolloutState;
  EXPECT_EQ(watch_ends(running, std::nullopt), std::nullopt);
  EXPECT_EQ(watch_ends(paused, std::nullopt), std::nullopt);
  EXPECT_EQ(watch_ends(completed, std::nullopt), 0);
  EXPECT_EQ(watch_ends(halted, std::nullopt), 7);
  EXPECT_EQ(watch_ends(awaiting_promotion, std::nullopt), 8);
  EXPECT_EQ(watch_ends(rolled_back, std::nullopt), 9);
}

TEST(Watch, UntilAStateGoesOnPastPromotionAndFailsAtAnotherEnd) {
  using enum wire::RolloutState;
  EXPECT_EQ(watch_ends(awaiting_promotion, completed), std::nullopt);
  EXPECT_EQ(watch_ends(halted, halted), 0);
  EXPECT_EQ(watch_ends(halted, completed), 7);
  EXPECT_EQ(watch_ends(completed, halted), 1);
}

}  // namespace
}  // namespace drover::cli
