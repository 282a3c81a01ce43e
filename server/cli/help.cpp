// completion, help, version.
#include <fmt/format.h>

#include <filesystem>

#include "server/cli/api.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/files.h"
#include "server/cli/manual.h"

namespace drover::cli {
namespace {

constexpr std::string_view kToolVersion = DROVER_VERSION;

struct HelpOptions {
  std::vector<std::string> words;
  std::string man, markdown;
};

Status write_pages(const std::vector<Page>& pages, const std::string& folder) {
  TRY(make_folder(folder));
  for (const Page& page : pages) TRY(write_file(std::filesystem::path(folder) / page.name, page.text));
  return {};
}

Result<int> help(const HelpOptions& options, const CommandSpec& root, Context& context) {
  if (!options.man.empty()) TRY(write_pages(manual_pages(root, kToolVersion), options.man));
  if (!options.markdown.empty()) TRY(write_pages(reference_pages(root), options.markdown));
  if (!options.man.empty() || !options.markdown.empty()) return kOk;
  std::vector<const CommandSpec*> path = {&root};
  for (const std::string& word : options.words) {
    path.push_back(path.back()->find(word));
    if (path.back() == nullptr)
      return Error(Code::invalid_argument, fmt::format("there is no command \"{}\"", fmt::join(options.words, " ")));
  }
  context.terminal.out(help_text(path));
  return kOk;
}

}  // namespace

void add_help_commands(CommandSpec& root, Context& context) {
  auto shell = std::make_shared<std::string>();
  CommandSpec& completion = root.sub("completion", "Print the completion script for a shell");
  completion.examples = {"source <(drover completion bash)", "drover completion zsh > \"${fpath[1]}/_drover\""};
  completion.argument("SHELL", shell.get(), "the shell").one_of({"bash", "zsh"});
  completion.action = [shell, &root, &context]() -> Result<int> {
    context.terminal.out(*shell == "bash" ? bash_completion(root) : zsh_completion(root));
    return kOk;
  };
  auto options = std::make_shared<HelpOptions>();
  CommandSpec& c = root.sub("help", "Show help for a command; or write the manual");
  OptionSpec& words = c.argument("COMMAND", &options->words, "the command, such as: release build");
  words.required = false;
  c.option("--man", "DIR", &options->man, "write the manual pages into this folder").folder();
  c.option("--markdown", "DIR", &options->markdown, "write the reference pages into this folder").folder();
  c.action = [options, &root, &context] { return help(*options, root, context); };
  root.sub("version", "Show the tool's version").action = [&context]() -> Result<int> {
    context.show({{"version", kToolVersion}}, [] { return fmt::format("drover {}\n", kToolVersion); });
    return kOk;
  };
}

}  // namespace drover::cli
