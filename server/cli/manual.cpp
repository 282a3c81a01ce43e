#include "server/cli/manual.h"

#include <fmt/format.h>

#include <functional>

#include "server/cli/exit_code.h"

namespace drover::cli {
namespace {

using Path = std::vector<const CommandSpec*>;

std::string joined(const Path& path, std::string_view by) {
  std::string out;
  for (const CommandSpec* command : path) out += (out.empty() ? "" : std::string(by)) + command->name;
  return out;
}

// A dot at a line's beginning and every backslash and hyphen mean something to roff.
std::string roff(std::string_view text) {
  std::string out;
  for (char c : text) {
    if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

std::string option_head(const OptionSpec& option) {
  std::string names = option.names;
  for (std::size_t at = 0; (at = names.find(',', at)) != std::string::npos; at += 2) names.insert(at + 1, " ");
  return option.is_flag() || option.positional() ? names : names + " " + option.placeholder;
}

std::string option_text(const OptionSpec& option) {
  std::string text = option.help;
  if (!option.choices.empty()) text += fmt::format(" (one of {})", fmt::join(option.choices, ", "));
  if (option.required && !option.positional()) text += "; needed";
  if (option.repeats() && !option.positional()) text += "; may be repeated";
  return text + ".";
}

std::string roff_options(const CommandSpec& command, std::string_view title) {
  if (command.options.empty()) return "";
  std::string out = fmt::format(".SH {}\n", title);
  for (const auto& option : command.options)
    out += fmt::format(".TP\n.B {}\n{}\n", roff(option_head(*option)), roff(option_text(*option)));
  return out;
}

std::string roff_details(const CommandSpec& command) {
  std::string out = roff(command.help) + ".\n";
  std::string_view rest = command.details;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    out += ".PP\n" + roff(rest.substr(0, end)) + "\n";
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return out;
}

std::string roff_subs(const CommandSpec& command) {
  std::string out;
  for (const auto& sub : command.subs) out += fmt::format(".TP\n.B {}\n{}.\n", roff(sub->name), roff(sub->help));
  return out.empty() ? "" : ".SH COMMANDS\n" + out;
}

std::string roff_examples(const CommandSpec& command) {
  if (command.examples.empty()) return "";
  std::string out = ".SH EXAMPLES\n.nf\n";
  for (const std::string& example : command.examples) out += roff(example) + "\n";
  return out + ".fi\n";
}

std::string roff_tool_sections() {
  std::string out = ".SH EXIT STATUS\n";
  for (const ExitCodeRow& row : exit_code_rows())
    out += fmt::format(".TP\n.B {}\n{}.\n", static_cast<int>(row.code), roff(row.meaning));
  out +=
      ".SH ENVIRONMENT\n.TP\n.B DROVER_CONFIG\nFolder of the profile, when \\-\\-profile is absent.\n"
      ".TP\n.B DROVER_URL, DROVER_TOKEN, DROVER_CA\nStand above what the profile says, for pipelines.\n"
      ".TP\n.B NO_COLOR\nNo colours.\n";
  out +=
      ".SH FILES\n.TP\n.I $XDG_CONFIG_HOME/drover/profile.json\nServer and token (mode 0600).\n"
      ".TP\n.I $XDG_CONFIG_HOME/drover/trust/\nThe server's root as it was first seen, and what was verified from it "
      "on.\n";
  return out;
}

std::string roff_page(const Path& path, std::string_view version) {
  const CommandSpec& command = *path.back();
  const std::string name = joined(path, "-");
  std::string upper = name;
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  std::string text = fmt::format(".TH {} 1 \"\" \"drover {}\" \"Drover\"\n", upper, version);
  text += fmt::format(".SH NAME\n{} \\- {}\n", roff(name), roff(command.help));
  text += fmt::format(".SH SYNOPSIS\n.B {}\n", roff(usage_line(path)));
  text += ".SH DESCRIPTION\n" + roff_details(command) + roff_subs(command);
  text += roff_options(command, path.size() == 1 ? "OPTIONS FOR EVERY COMMAND" : "OPTIONS");
  text += roff_examples(command);
  return text + (path.size() == 1 ? roff_tool_sections() : ".SH SEE ALSO\n.BR drover (1)\n");
}

void each_command(Path& path, const std::function<void(const Path&)>& visit) {
  visit(path);
  for (const auto& sub : path.back()->subs) {
    path.push_back(sub.get());
    each_command(path, visit);
    path.pop_back();
  }
}

std::string markdown_options(const CommandSpec& command) {
  if (command.options.empty()) return "";
  std::string out = "\n| | |\n|---|---|\n";
  for (const auto& option : command.options) {
    std::string text = option_text(*option);
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
    std::string head = option_head(*option);
    for (std::size_t at = 0; (at = head.find('|', at)) != std::string::npos; at += 2) head.insert(at, "\\");
    out += fmt::format("| `{}` | {} |\n", head, text);
  }
  return out;
}

std::string markdown_command(const Path& path) {
  const CommandSpec& command = *path.back();
  std::string out = fmt::format("## `{}`\n\n{}.\n\n```\n{}\n```\n", joined(path, " "), command.help, usage_line(path));
  std::string_view rest = command.details;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    out += "\n" + std::string(rest.substr(0, end)) + "\n";
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  out += markdown_options(command);
  if (!command.examples.empty()) out += fmt::format("\n```sh\n{}\n```\n", fmt::join(command.examples, "\n"));
  return out + "\n";
}

std::string markdown_index(const CommandSpec& root) {
  std::string out =
      "# The `drover` tool\n\nMade from the tool's own command tree (`drover help --markdown DIR`).\n\n| | "
      "|\n|---|---|\n";
  for (const auto& sub : root.subs) out += fmt::format("| [`drover {0}`]({0}.md) | {1} |\n", sub->name, sub->help);
  out += "\n## Options for every command\n" + markdown_options(root);
  out += "\n## Exit statuses\n\n| | |\n|---|---|\n";
  for (const ExitCodeRow& row : exit_code_rows())
    out += fmt::format("| {} | {} |\n", static_cast<int>(row.code), row.meaning);
  return out;
}

}  // namespace

std::vector<Page> manual_pages(const CommandSpec& root, std::string_view version) {
  std::vector<Page> pages;
  Path path = {&root};
  each_command(path, [&](const Path& at) { pages.push_back({joined(at, "-") + ".1", roff_page(at, version)}); });
  return pages;
}

std::vector<Page> reference_pages(const CommandSpec& root) {
  std::vector<Page> pages = {{"index.md", markdown_index(root)}};
  for (const auto& group : root.subs) {
    std::string text = fmt::format("# `drover {}`\n\n{}.\n\n", group->name, group->help);
    Path path = {&root, group.get()};
    each_command(path, [&](const Path& at) {
      if (at.back()->subs.empty()) text += markdown_command(at);
    });
    while (text.ends_with("\n\n")) text.pop_back();
    pages.push_back({group->name + ".md", std::move(text)});
  }
  return pages;
}

}  // namespace drover::cli
