#include "server/cli/manual.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>

#include "common/time/clock.h"
#include "server/cli/commands.h"

namespace drover::cli {
namespace {

class NoTerminal final : public Terminal {
 public:
  void out(std::string_view) override {}
  void err(std::string_view) override {}
  bool out_is_terminal() const override { return false; }
  bool err_is_terminal() const override { return false; }
  bool can_ask() const override { return false; }
  std::size_t width() const override { return 80; }
  Result<std::string> ask(std::string_view, bool) override { return Error(Code::invalid_argument, "nobody"); }
};

// The tool's real tree: these are the texts that are shipped.
class Manual : public ::testing::Test {
 protected:
  NoTerminal terminal;
  ManualClock clock{WallTime{}};
  SeededRng rng{1};
  Context context{.terminal = terminal, .clock = clock, .rng = rng, .environment = {}, .pause = {}, .profile = {}};
  std::unique_ptr<CommandSpec> tree = make_command_tree(context);
};

void each(const CommandSpec& command, const std::function<void(const CommandSpec&)>& visit) {
  visit(command);
  for (const auto& sub : command.subs) each(*sub, visit);
}

TEST_F(Manual, EveryCommandDoesSomethingOrHasCommandsAndIsExplained) {
  each(*tree, [](const CommandSpec& command) {
    EXPECT_NE(static_cast<bool>(command.action), !command.subs.empty()) << command.name;
    EXPECT_FALSE(command.help.empty()) << command.name;
    EXPECT_FALSE(command.help.ends_with('.')) << command.name;
    for (const auto& option : command.options)
      EXPECT_FALSE(option->help.empty()) << command.name << " " << option->names;
  });
}

TEST_F(Manual, EveryCommandHasAPageWithItsOptions) {
  const auto pages = manual_pages(*tree, "9.9.9");
  const auto page =
      std::find_if(pages.begin(), pages.end(), [](const Page& p) { return p.name == "drover-rollout-create.1"; });
  ASSERT_NE(page, pages.end());
  EXPECT_TRUE(page->text.starts_with(".TH DROVER-ROLLOUT-CREATE 1 \"\" \"drover 9.9.9\" \"Drover\"\n"));
  EXPECT_NE(page->text.find(".B \\-\\-stage STAGE\n"), std::string::npos);
  std::size_t commands = 0;
  each(*tree, [&](const CommandSpec&) { ++commands; });
  EXPECT_EQ(pages.size(), commands);
}

TEST_F(Manual, TheToolsPageListsEveryExitStatus) {
  const std::string text = manual_pages(*tree, "1").front().text;
  EXPECT_NE(text.find(".SH EXIT STATUS\n.TP\n.B 0\n"), std::string::npos);
  EXPECT_NE(text.find(".B 10\n"), std::string::npos);
}

TEST_F(Manual, CompletionKnowsEveryCommandAndOption) {
  const std::string bash = bash_completion(*tree), zsh = zsh_completion(*tree);
  each(*tree, [&](const CommandSpec& command) {
    if (command.name == "drover") return;
    EXPECT_NE(bash.find(command.name), std::string::npos) << command.name;
    EXPECT_NE(zsh.find("'" + command.name + "["), std::string::npos) << command.name;
    for (const auto& option : command.options) {
      if (option->positional()) continue;
      EXPECT_NE(bash.find(option->names.substr(0, option->names.find(','))), std::string::npos) << option->names;
    }
  });
}

TEST_F(Manual, ReferenceHasAPageForEachGroup) {
  const auto pages = reference_pages(*tree);
  EXPECT_EQ(pages.size(), tree->subs.size() + 1);
  EXPECT_EQ(pages.front().name, "index.md");
  for (const Page& page : pages) EXPECT_TRUE(page.text.ends_with("\n") && !page.text.ends_with("\n\n")) << page.name;
}

// `drover help --markdown docs/reference/cli` writes them.
TEST_F(Manual, TheReferenceInTheDocumentationIsThatOfTheTool) {
  for (const Page& page : reference_pages(*tree)) {
    std::ifstream file(std::string(DROVER_SOURCE_DIR) + "/docs/reference/cli/" + page.name, std::ios::binary);
    const std::string kept(std::istreambuf_iterator<char>(file), {});
    EXPECT_EQ(kept, page.text) << page.name;
  }
}

}  // namespace
}  // namespace drover::cli
