#include "common/config/settings.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "proto/json/reader.h"

namespace drover::config {
namespace {

std::string as_option(std::string_view name) {
  std::string option = "--";
  for (const char c : name) option += c == '_' ? '-' : c;
  return option;
}

const Setting* find_option(std::span<const Setting> table, std::string_view option) {
  for (const Setting& setting : table)
    if (as_option(setting.name) == option || (!setting.alias.empty() && as_option(setting.alias) == option))
      return &setting;
  return nullptr;
}

Status check(const Setting& setting, const std::string& text) {
  if (setting.type == Setting::Type::truth && text != "true" && text != "false")
    return Error(Code::invalid_argument, std::string(setting.name) + " is true or false");
  if (setting.type != Setting::Type::number) return {};
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && value >= setting.low && value <= setting.high) return {};
  return Error(Code::invalid_argument, std::string(setting.name) + " must be a whole number between " +
                                           std::to_string(setting.low) + " and " + std::to_string(setting.high));
}

Result<std::string> text_of(const Setting& setting, const json::Value& value) {
  if (setting.type == Setting::Type::text && value.is_string()) return value.get<std::string>();
  if (setting.type == Setting::Type::number && value.is_number_integer()) return std::to_string(value.get<std::int64_t>());
  if (setting.type == Setting::Type::truth && value.is_boolean()) return std::string(value.get<bool>() ? "true" : "false");
  return Error(Code::invalid_argument, std::string(setting.name) + " has another type in the configuration file");
}

using Texts = std::map<std::string, std::string, std::less<>>;

Status read_file(std::span<const Setting> table, std::string_view file, Texts& out) {
  if (file.empty()) return {};
  TRY_ASSIGN(const json::Value document, json::parse(file, kMaxFile));
  if (!document.is_object()) return Error(Code::malformed, "the configuration file must hold one JSON object");
  for (const auto& item : document.items()) {
    const auto found =
        std::find_if(table.begin(), table.end(), [&](const Setting& one) { return one.name == item.key(); });
    if (found == table.end()) return Error(Code::invalid_argument, "there is no setting " + item.key());
    TRY_ASSIGN(out[item.key()], text_of(*found, item.value()));
  }
  return {};
}

Status read_arguments(std::span<const Setting> table, std::span<const std::string> arguments, Texts& out) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::size_t equals = arguments[i].find('=');
    const std::string option = arguments[i].substr(0, equals);
    const Setting* setting = find_option(table, option);
    if (setting == nullptr) return Error(Code::invalid_argument, "there is no option " + option + "; see --help");
    std::string& value = out[std::string(setting->name)];
    if (equals != std::string::npos) value = arguments[i].substr(equals + 1);
    else if (setting->type == Setting::Type::truth) value = "true";
    else if (++i < arguments.size()) value = arguments[i];
    else return Error(Code::invalid_argument, option + " needs a value");
  }
  return {};
}

}  // namespace

const std::string& Values::text(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) std::abort();
  return found->second;
}

std::int64_t Values::number(std::string_view name) const { return std::strtoll(text(name).c_str(), nullptr, 10); }
bool Values::truth(std::string_view name) const { return text(name) == "true"; }

Result<Values> parse(std::span<const Setting> table, std::span<const std::string> arguments, std::string_view file) {
  Values values;
  for (const Setting& setting : table) values.values_[std::string(setting.name)] = setting.fallback;
  TRY(read_file(table, file, values.values_).within("configuration file"));
  TRY(read_arguments(table, arguments, values.values_));
  for (const Setting& setting : table)
    if (const std::string& text = values.text(setting.name); text != setting.fallback) TRY(check(setting, text));
  return values;
}

std::string peek(std::span<const std::string> arguments, std::string_view name) {
  const std::string option = as_option(name);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == option && i + 1 < arguments.size()) return arguments[i + 1];
    if (arguments[i].starts_with(option + "=")) return arguments[i].substr(option.size() + 1);
  }
  return {};
}

std::string help(std::span<const Setting> table) {
  std::string text;
  for (const Setting& setting : table) {
    std::string left = "  " + as_option(setting.name);
    if (setting.type != Setting::Type::truth) left += setting.unit.empty() ? " TEXT" : " " + std::string(setting.unit);
    left.resize(std::max<std::size_t>(left.size() + 2, 38), ' ');
    text += left + std::string(setting.sentence);
    if (!setting.fallback.empty()) text += " [" + std::string(setting.fallback) + "]";
    text += '\n';
  }
  return text;
}

std::string reference(std::span<const Setting> table) {
  std::string text = "| setting | unit | default | bounds | what it does |\n|---|---|---|---|---|\n";
  for (const Setting& setting : table) {
    text += "| `" + std::string(setting.name) + "` | " + std::string(setting.unit) + " | ";
    if (!setting.fallback.empty()) text += "`" + std::string(setting.fallback) + "`";
    text += " | ";
    if (setting.type == Setting::Type::number)
      text += std::to_string(setting.low) + " to " + std::to_string(setting.high);
    text += " | " + std::string(setting.sentence) + " |\n";
  }
  return text;
}

}  // namespace drover::config
