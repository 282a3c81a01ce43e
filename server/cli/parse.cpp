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

bool names(const OptionSpec& option, std::string_view word) {
  const std::string padded = "," + option.names + ",";
  return padded.find("," + std::string(word) + ",") != std::string::npos;
}

// Words that belong to an option of the root in front of the command: "--profile x release list".
std::size_t option_words(const CommandSpec& root, std::string_view word) {
  for (const auto& option : root.options)
    if (!option->is_flag() && names(*option, word)) return 2;
  return 1;
}

struct Split {
  std::vector<const CommandSpec*> path;  // from the root on
  std::vector<std::string> rest;         // options and arguments
  std::string unknown;                   // a word where a command was expected
};

// Command words first: CLI11 would take an argument such as "token" for a command wherever it stands.
Split split(const CommandSpec& root, const std::vector<std::string>& arguments) {
  Split out{.path = {&root}, .rest = {}, .unknown = {}};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (out.path.back()->subs.empty() || !out.unknown.empty()) {
      out.rest.push_back(word);
    } else if (word.starts_with('-')) {
      for (std::size_t end = std::min(i + option_words(root, word), arguments.size()); i < end; ++i)
        out.rest.push_back(arguments[i]);
      --i;
    } else if (const CommandSpec* next = out.path.back()->find(word); next != nullptr) {
      out.path.push_back(next);
    } else {
      out.unknown = word;
    }
  }
  return out;
}

Status fill_targets(const Split& words) {
  CLI::App app;
  app.set_help_flag("");  // asked for before
  for (const auto& option : words.path.front()->options) add_option(app, *option);
  if (words.path.size() > 1)
    for (const auto& option : words.path.back()->options) add_option(app, *option);
  std::vector<std::string> reversed(words.rest.rbegin(), words.rest.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return usage_error(words.path, error.what());
  }
  return {};
}

bool asks_for_help(const std::vector<std::string>& words) {
  const auto end = std::find(words.begin(), words.end(), "--");
  return std::find_if(words.begin(), end, [](const std::string& word) { return word == "--help" || word == "-h"; }) !=
         end;
}

}  // namespace

Result<Parsed> parse_command_line(const CommandSpec& root, const std::vector<std::string>& arguments) {
  const Split words = split(root, arguments);
  if (!words.unknown.empty()) return usage_error(words.path, unknown_command(*words.path.back(), words.unknown));
  const CommandSpec& last = *words.path.back();
  if (asks_for_help(words.rest) || (!last.action && (words.path.size() > 1 || arguments.empty())))
    return Parsed{nullptr, help_text(words.path)};
  TRY(fill_targets(words));
  if (last.action) return Parsed{&last, ""};
  return usage_error(words.path, "a command is missing");
}

}  // namespace drover::cli
