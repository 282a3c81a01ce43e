#include "server/fleet/value.h"

#include <algorithm>
#include <charconv>

namespace drover::fleet {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_identifier_char(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-'; }
bool all_digits(std::string_view text) { return std::all_of(text.begin(), text.end(), is_digit); }
bool has_leading_zero(std::string_view digits) { return digits.size() > 1 && digits[0] == '0'; }

// Length first, so that byte order is numeric order whatever the size.
bool append_number(std::string& key, std::string_view digits) {
  if (digits.empty() || digits.size() > 99 || !all_digits(digits) || has_leading_zero(digits)) return false;
  key += static_cast<char>('0' + digits.size() / 10);
  key += static_cast<char>('0' + digits.size() % 10);
  key += digits;
  return true;
}

// Takes text up to `separator` off the front; all of it when there is none.
std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t at = std::min(text.find(separator), text.size());
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return part;
}

bool valid_identifier(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_identifier_char);
}

bool append_identifier(std::string& key, std::string_view identifier) {
  if (!valid_identifier(identifier)) return false;
  if (all_digits(identifier)) {
    key += '1';
    return append_number(key, identifier);
  }
  key += '2';
  key += identifier;
  key += '!';
  return true;
}

// A dot at the end would leave an empty last identifier that take_until cannot show.
bool append_pre_release(std::string& key, std::string_view identifiers) {
  if (identifiers.empty() || identifiers.back() == '.') return false;
  while (!identifiers.empty())
    if (!append_identifier(key, take_until(identifiers, '.'))) return false;
  key += '0';
  return true;
}

bool valid_build(std::string_view identifiers) {
  if (identifiers.empty() || identifiers.back() == '.') return false;
  while (!identifiers.empty())
    if (!valid_identifier(take_until(identifiers, '.'))) return false;
  return true;
}

}  // namespace

std::optional<double> number_of(std::string_view text) {
  std::string_view rest = text;
  if (rest.starts_with('-')) rest.remove_prefix(1);
  if (rest.size() > kMaxNumberDigits + 1) return std::nullopt;
  const std::size_t dot = rest.find('.');
  const std::string_view whole = rest.substr(0, dot);
  if (whole.empty() || !all_digits(whole) || has_leading_zero(whole)) return std::nullopt;
  if (dot != std::string_view::npos) {
    const std::string_view fraction = rest.substr(dot + 1);
    if (fraction.empty() || !all_digits(fraction)) return std::nullopt;
  } else if (whole.size() > kMaxNumberDigits) {
    return std::nullopt;
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value == 0 ? 0.0 : value;  // -0 is 0
}

std::optional<std::string> semver_key_of(std::string_view text) {
  if (text.size() > kMaxSemver) return std::nullopt;
  const std::size_t plus = text.find('+');
  if (plus != std::string_view::npos && !valid_build(text.substr(plus + 1))) return std::nullopt;
  std::string_view core = text.substr(0, plus);
  const std::size_t hyphen = core.find('-');
  const bool pre_release = hyphen != std::string_view::npos;
  const std::string_view identifiers = pre_release ? core.substr(hyphen + 1) : std::string_view();
  core = core.substr(0, hyphen);
  if (std::count(core.begin(), core.end(), '.') != 2) return std::nullopt;
  std::string key;
  for (int part = 0; part < 3; ++part)
    if (!append_number(key, take_until(core, '.'))) return std::nullopt;
  if (!pre_release) return key + '3';
  if (!append_pre_release(key, identifiers)) return std::nullopt;
  return key;
}

std::string semver_key(std::string_view text) { return semver_key_of(text).value_or(std::string()); }

}  // namespace drover::fleet
