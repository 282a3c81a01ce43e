#include "server/cli/command.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/cli/human.h"

namespace drover::cli {
namespace {

constexpr std::size_t kHelpWidth = 96;
constexpr std::size_t kHelpColumn = 34;

// Breaks at blanks; each line after the first is indented.
std::string wrap(std::string_view text, std::size_t indent) {
  std::string out, line;
  while (!text.empty()) {
    const std::size_t blank = text.find(' ');
    const std::string_view word = text.substr(0, blank);
    if (!line.empty() && indent + display_width(line) + 1 + display_width(word) > kHelpWidth) {
      out += line + "\n" + std::string(indent, ' ');
      line.clear();
    }
    line += (line.empty() ? "" : " ") + std::string(word);
    text.remove_prefix(blank == std::string_view::npos ? text.size() : blank + 1);
  }
  return out + line;
}

std::string help_row(std::string_view left, std::string_view right) {
  std::string row = "  " + std::string(left);
  if (row.size() + 2 > kHelpColumn)
    row += "\n" + std::string(kHelpColumn, ' ');
  else
    row.resize(kHelpColumn, ' ');
  return row + wrap(right, kHelpColumn) + "\n";
}

std::string option_left(const OptionSpec& option) {
  std::string left = option.names;
  for (std::size_t at = 0; (at = left.find(',', at)) != std::string::npos; at += 2) left.insert(at + 1, " ");
  if (!option.positional() && !option.placeholder.empty()) left += " " + option.placeholder;
  return left;
}

std::string option_right(const OptionSpec& option) {
  std::string right = option.help;
  if (!option.choices.empty()) right += fmt::format(" ({})", fmt::join(option.choices, ", "));
  if (option.required && !option.positional()) right += " [needed]";
  if (option.repeats() && !option.positional()) right += " [repeatable]";
  return right;
}

std::string options_block(const CommandSpec& command, bool positional, std::string_view title) {
  std::string block;
  for (const auto& option : command.options)
    if (option->positional() == positional) block += help_row(option_left(*option), option_right(*option));
  return block.empty() ? "" : fmt::format("\n{}:\n{}", title, block);
}

}  // namespace

CommandSpec& CommandSpec::sub(std::string sub_name, std::string sub_help) {
  subs.push_back(std::make_unique<CommandSpec>());
  subs.back()->name = std::move(sub_name);
  subs.back()->help = std::move(sub_help);
  return *subs.back();
}

OptionSpec& CommandSpec::argument(std::string placeholder, OptionSpec::Target target, std::string option_help) {
  OptionSpec& option = this->option(placeholder, placeholder, target, std::move(option_help));
  return option.require();
}

OptionSpec& CommandSpec::option(std::string names, std::string placeholder, OptionSpec::Target target,
                                std::string option_help) {
  options.push_back(std::make_unique<OptionSpec>());
  OptionSpec& option = *options.back();
  option.names = std::move(names);
  option.placeholder = std::move(placeholder);
  option.help = std::move(option_help);
  option.target = target;
  return option;
}

OptionSpec& CommandSpec::flag(std::string names, bool& target, std::string option_help) {
  return option(std::move(names), "", &target, std::move(option_help));
}

const CommandSpec* CommandSpec::find(std::string_view sub_name) const {
  const auto at = std::find_if(subs.begin(), subs.end(), [&](const auto& sub) { return sub->name == sub_name; });
  return at == subs.end() ? nullptr : at->get();
}

std::string usage_line(const std::vector<const CommandSpec*>& path) {
  std::string line;
  for (const CommandSpec* command : path) line += (line.empty() ? "" : " ") + command->name;
  const CommandSpec& last = *path.back();
  if (!last.subs.empty()) return line + " COMMAND";
  for (const auto& option : last.options)
    if (option->positional())
      line += fmt::format(fmt::runtime(option->required ? " {}{}" : " [{}{}]"), option->placeholder,
                          option->repeats() ? "..." : "");
  bool more = false;
  for (const auto& option : last.options) {
    if (option->positional()) continue;
    if (option->required)
      line += fmt::format(" {} {}", option->names.substr(0, option->names.find(',')), option->placeholder);
    else
      more = true;
  }
  return line + (more ? " [options]" : "");
}

std::string help_text(const std::vector<const CommandSpec*>& path) {
  const CommandSpec& last = *path.back();
  std::string text = fmt::format("{}\n\nusage: {}\n", wrap(last.help, 0), usage_line(path));
  if (!last.details.empty()) {
    std::string_view rest = last.details;
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      text += "\n" + wrap(rest.substr(0, end), 0) + "\n";
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
  }
  std::string commands;
  for (const auto& sub : last.subs) commands += help_row(sub->name, sub->help);
  if (!commands.empty()) text += "\ncommands:\n" + commands;
  text += options_block(last, true, "arguments");
  text += options_block(last, false, path.size() == 1 ? "options for every command" : "options");
  if (!last.examples.empty()) text += "\nexamples:\n";
  for (const std::string& example : last.examples) text += "  " + example + "\n";
  if (path.size() > 1) text += fmt::format("\nOptions for every command: {} --help\n", path.front()->name);
  return text;
}

}  // namespace drover::cli
