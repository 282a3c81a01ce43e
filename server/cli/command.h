// The tree of commands, as data: the parser, --help, completion, the manual and the reference pages are all made from
// it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.h"

namespace drover::cli {

// What a command does; its value is the process's exit status.
using Action = std::function<Result<int>()>;

enum class Completes { nothing, files, folders };

struct OptionSpec {
  // Where the value goes: owned by whoever declared the option, alive until the action has run.
  using Target = std::variant<bool*, std::string*, std::int64_t*, std::vector<std::string>*>;

  std::string names;        // "--out,-o"; for an argument without a name its placeholder: "MODEL"
  std::string placeholder;  // "FILE"; empty for a flag
  std::string help;         // a phrase without a full stop
  Target target;
  bool required = false;
  std::int64_t low = INT64_MIN, high = INT64_MAX;  // of a number
  std::vector<std::string> choices;                // of a text; empty: anything
  Completes completes = Completes::nothing;

  bool is_flag() const { return std::holds_alternative<bool*>(target); }
  bool repeats() const { return std::holds_alternative<std::vector<std::string>*>(target); }
  bool positional() const { return !names.starts_with('-'); }
  OptionSpec& require() { return required = true, *this; }
  OptionSpec& between(std::int64_t from, std::int64_t to) { return low = from, high = to, *this; }
  OptionSpec& one_of(std::vector<std::string> values) { return choices = std::move(values), *this; }
  OptionSpec& file() { return completes = Completes::files, *this; }
  OptionSpec& folder() { return completes = Completes::folders, *this; }
};

struct CommandSpec {
  std::string name;
  std::string help;     // one line, a phrase without a full stop
  std::string details;  // paragraphs for --help and the manual; may be empty
  std::vector<std::string> examples;
  std::vector<std::unique_ptr<OptionSpec>> options;  // in the order of declaration, arguments without a name too
  std::vector<std::unique_ptr<CommandSpec>> subs;
  Action action;  // empty for a command that only groups others

  CommandSpec& sub(std::string sub_name, std::string sub_help);
  // An argument by position. A vector takes the rest.
  OptionSpec& argument(std::string placeholder, OptionSpec::Target target, std::string option_help);
  OptionSpec& option(std::string names, std::string placeholder, OptionSpec::Target target, std::string option_help);
  OptionSpec& flag(std::string names, bool& target, std::string option_help);
  const CommandSpec* find(std::string_view sub_name) const;
};

// What the command line asks for.
struct Parsed {
  const CommandSpec* command = nullptr;  // its options' targets are filled; null when only help is wanted
  std::string help;                      // text to print, when help was asked for
};

// `arguments` without the program's name. Errors: invalid_argument, one line that ends in what to type for help.
// Options of the root may stand behind any command.
Result<Parsed> parse_command_line(const CommandSpec& root, const std::vector<std::string>& arguments);

// "drover release build MODEL VERSION --variant KIND=DIR --out DIR [options]"
std::string usage_line(const std::vector<const CommandSpec*>& path);
std::string help_text(const std::vector<const CommandSpec*>& path);

}  // namespace drover::cli
