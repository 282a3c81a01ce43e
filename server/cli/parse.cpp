// The command tree on CLI11: the one file that sees it.
#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>

#include "server/cli/command.h"
#include "server/cli/human.h"

namespace drover::cli {
namespace {

CLI::Option* bind(CLI::App& app, const OptionSpec& spec) {
  const auto to = [&](auto* target) -> CLI::Option* {
    if constexpr (std::is_same_v<decltype(target), bool*>)
      return app.add_flag(spec.names, *target, spec.help);
    else
      return app.add_option(spec.names, *target, spec.help);
  };
  return std::visit(to, spec.target);
}

void add_option(CLI::App& app, const OptionSpec& spec) {
  CLI::Option* option = bind(app, spec);
  if (spec.required) option->required();
  if (!spec.is_flag()) option->type_name(spec.placeholder);
  // One value each time: `--tag a b` must not swallow an argument.
  if (spec.repeats() && !spec.positional()) option->type_size(1)->expected(1)->take_all();
  if (!spec.choices.empty())
    option->check([choices = spec.choices](const std::string& value) {
      if (std::find(choices.begin(), choices.end(), value) != choices.end()) return std::string();
      return fmt::format("\"{}\" is none of {}", printable(value), fmt::join(choices, ", "));
    });
  if (std::holds_alternative<std::int64_t*>(spec.target))
    option->check([low = spec.low, high = spec.high](const std::string& value) {
      const auto number = parse_count(value, low, high);
      return number ? std::string() : number.error().message();
    });
}

void build(CLI::App& app, const CommandSpec& command) {
  for (const auto& option : command.options) add_option(app, *option);
  for (const auto& sub : command.subs) {
    CLI::App* child = app.add_subcommand(sub->name, sub->help);
    child->fallthrough();
    build(*child, *sub);
  }
}

std::vector<const CommandSpec*> chosen_path(const CLI::App& app, const CommandSpec& root) {
  std::vector<const CommandSpec*> path = {&root};
  for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
    at = at->get_subcommands().front();
    path.push_back(path.back()->find(at->get_name()));
  }
  return path;
}

std::string joined(const std::vector<const CommandSpec*>& path) {
  std::string words;
  for (const CommandSpec* command : path) words += (words.empty() ? "" : " ") + command->name;
  return words;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

// "no such command: rollot; did you mean rollout?"
std::string unknown_command(const CommandSpec& parent, std::string_view word) {
  constexpr std::size_t kNear = 2;
  std::string text = fmt::format("there is no command \"{}\"", printable(word));
  for (const auto& sub : parent.subs)
    if (word.size() > kNear && edit_distance(word, sub->name) <= kNear)
      return text + fmt::format("; did you mean {}?", sub->name);
  return text;
}

Error usage_error(const std::vector<const CommandSpec*>& path, std::string_view what) {
  return Error(Code::invalid_argument, fmt::format("{} (see {} --help)", what, joined(path)));
}

// The walk through command words, before CLI11 sees them: its message for an unknown one names no neighbour.
const CommandSpec* first_unknown(const CommandSpec& root, const std::vector<std::string>& arguments,
                                 std::string& word) {
  const CommandSpec* at = &root;
  for (const std::string& argument : arguments) {
    if (at->subs.empty() || argument.starts_with('-')) return nullptr;
    const CommandSpec* next = at->find(argument);
    if (next == nullptr) {
      word = argument;
      return at;
    }
    at = next;
  }
  return nullptr;
}

}  // namespace

Result<Parsed> parse_command_line(const CommandSpec& root, const std::vector<std::string>& arguments) {
  std::string word;
  if (const CommandSpec* parent = first_unknown(root, arguments, word); parent != nullptr)
    return Error(Code::invalid_argument, fmt::format("{} (see drover {}--help)", unknown_command(*parent, word),
                                                     parent == &root ? "" : parent->name + " "));
  CLI::App app(root.help, root.name);
  build(app, root);
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return Parsed{nullptr, help_text(chosen_path(app, root))};
  } catch (const CLI::ParseError& error) {
    return usage_error(chosen_path(app, root), error.what());
  }
  const auto path = chosen_path(app, root);
  if (path.back()->action) return Parsed{path.back(), ""};
  if (arguments.empty() || path.size() > 1) return Parsed{nullptr, help_text(path)};
  return usage_error(path, "a command is missing");
}

}  // namespace drover::cli
