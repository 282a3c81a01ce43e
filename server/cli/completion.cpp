// Completion scripts. Both hold the whole tree, so that pressing Tab starts no process and needs no server.
#include <fmt/format.h>

#include <functional>

#include "server/cli/manual.h"

namespace drover::cli {
namespace {

std::vector<std::string> split_names(const std::string& names) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at <= names.size();) {
    const std::size_t comma = std::min(names.find(',', at), names.size());
    out.push_back(names.substr(at, comma - at));
    at = comma + 1;
  }
  return out;
}

std::string words_of(const CommandSpec& command) {
  std::string words;
  for (const auto& sub : command.subs) words += (words.empty() ? "" : " ") + sub->name;
  return words;
}

std::string option_words(const CommandSpec& command) {
  std::string words;
  for (const auto& option : command.options)
    if (!option->positional())
      for (const std::string& name : split_names(option->names)) words += (words.empty() ? "" : " ") + name;
  return words;
}

// compgen's way of completing a value; empty when there is nothing to offer.
std::string bash_value(const OptionSpec& option) {
  if (!option.choices.empty()) return fmt::format("-W '{}'", fmt::join(option.choices, " "));
  if (option.completes == Completes::files) return "-f";
  return option.completes == Completes::folders ? "-d" : "";
}

void walk(const CommandSpec& command, const std::string& path,
          const std::function<void(const CommandSpec&, const std::string&)>& visit) {
  visit(command, path);
  for (const auto& sub : command.subs) walk(*sub, path.empty() ? sub->name : path + " " + sub->name, visit);
}

std::string bash_options_case(const CommandSpec& root) {
  std::string cases;
  walk(root, "", [&](const CommandSpec& command, const std::string& path) {
    for (const auto& option : command.options) {
      if (option->positional() || option->is_flag()) continue;
      for (const std::string& name : split_names(option->names))
        cases += fmt::format("    {}) COMPREPLY=($(compgen {} -- \"$cur\")); return ;;\n",
                             path.empty() ? fmt::format("*\"|{}\"", name) : fmt::format("\"{}|{}\"", path, name),
                             bash_value(*option));
    }
  });
  return cases;
}

std::string bash_words_case(const CommandSpec& root) {
  std::string cases;
  const std::string common = option_words(root);
  walk(root, "", [&](const CommandSpec& command, const std::string& path) {
    std::string options = path.empty() ? common : option_words(command) + " " + common;
    std::string files;
    for (const auto& option : command.options)
      if (option->positional() && option->completes != Completes::nothing) files = bash_value(*option);
    cases += fmt::format("    \"{}\") words='{}' options='{} --help' files='{}' ;;\n", path, words_of(command), options,
                         files);
  });
  return cases;
}

std::string zsh_quote(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\'')
      out += "'\\''";
    else if (c == '[' || c == ']' || c == ':')
      out += fmt::format("\\{}", c);
    else
      out += c;
  }
  return out;
}

std::string zsh_value(const OptionSpec& option) {
  if (option.is_flag()) return "";
  std::string action = " ";
  if (!option.choices.empty())
    action = fmt::format("({})", fmt::join(option.choices, " "));
  else if (option.completes == Completes::files)
    action = "_files";
  else if (option.completes == Completes::folders)
    action = "_files -/";
  return fmt::format(":{}:{}", zsh_quote(option.placeholder), action);
}

std::string zsh_options(const CommandSpec& command) {
  std::string out;
  for (const auto& option : command.options) {
    if (option->positional()) {
      out += fmt::format("    '{}{}' \\\n", option->repeats() ? "*" : "", zsh_value(*option));
      continue;
    }
    for (const std::string& name : split_names(option->names))
      out += fmt::format("    '{}{}[{}]{}' \\\n", option->repeats() ? "*" : "", name, zsh_quote(option->help),
                         zsh_value(*option));
  }
  return out;
}

std::string function_name(const std::string& path) {
  std::string name = "_drover" + (path.empty() ? "" : "_" + path);
  for (char& c : name)
    if (c == ' ' || c == '-') c = '_';
  return name;
}

std::string zsh_function(const CommandSpec& root, const CommandSpec& command, const std::string& path) {
  std::string out = fmt::format("{}() {{\n", function_name(path));
  const std::string common = zsh_options(root) + "    '--help[show help]'";
  if (command.subs.empty()) return out + "  _arguments -s \\\n" + zsh_options(command) + common + "\n}\n";
  out += "  local line state\n  _arguments -C \\\n" + common +
         " \\\n    '1: :->command' '*:: :->rest'\n  case $state in\n  command) _values 'command'";
  for (const auto& sub : command.subs) out += fmt::format(" \\\n    '{}[{}]'", sub->name, zsh_quote(sub->help));
  out += " ;;\n  rest)\n    case $line[1] in\n";
  for (const auto& sub : command.subs)
    out += fmt::format("    {}) {} ;;\n", sub->name, function_name(path.empty() ? sub->name : path + " " + sub->name));
  return out + "    esac ;;\n  esac\n}\n";
}

}  // namespace

std::string bash_completion(const CommandSpec& root) {
  std::string paths;
  walk(root, "", [&](const CommandSpec& command, const std::string& path) {
    if (!command.subs.empty())
      for (const auto& sub : command.subs)
        paths += fmt::format("    \"{0}|{1}\") path=\"{2}\" ;;\n", path, sub->name,
                             path.empty() ? sub->name : path + " " + sub->name);
  });
  return "# bash completion for drover: made by `drover completion bash`\n"
         "_drover() {\n"
         "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path='' words='' options='' files='' "
         "i\n"
         "  COMPREPLY=()\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case \"$path|${COMP_WORDS[i]}\" in\n" +
         paths +
         "    esac\n"
         "  done\n"
         "  case \"$path|$prev\" in\n" +
         bash_options_case(root) +
         "  esac\n"
         "  case \"$path\" in\n" +
         bash_words_case(root) +
         "  esac\n"
         "  if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W \"$options\" -- \"$cur\")); return; fi\n"
         "  if [[ -n $words ]]; then COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); return; fi\n"
         "  if [[ -n $files ]]; then COMPREPLY=($(compgen $files -- \"$cur\")); fi\n"
         "}\n"
         "complete -o filenames -F _drover drover\n";
}

std::string zsh_completion(const CommandSpec& root) {
  std::string out = "#compdef drover\n# zsh completion for drover: made by `drover completion zsh`\n";
  walk(root, "",
       [&](const CommandSpec& command, const std::string& path) { out += zsh_function(root, command, path); });
  return out + "_drover \"$@\"\n";
}

}  // namespace drover::cli
