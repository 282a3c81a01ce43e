#include "server/cli/human.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

namespace drover::cli {
namespace {

using std::chrono::seconds;

constexpr seconds kMinute{60}, kHour{3600}, kDay{86400}, kWeek{7 * 86400};
constexpr seconds kMaxSpan = 3653 * kDay;  // ten years: longer is a typing error

struct Decoded {
  char32_t point = 0;
  std::size_t size = 0;  // 0: not UTF-8 here
};

Decoded decode_utf8(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
  if (size == 0 || lead > 0xf4 || text.size() < size) return {};
  char32_t point = lead & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    point = point << 6 | (byte(i) & 0x3fU);
  }
  constexpr std::array<char32_t, 5> kLowest = {0, 0, 0x80, 0x800, 0x10000};
  if (point < kLowest[size] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return {};
  return {point, size};
}

// C0, DEL, C1, line separators, and the marks that reorder text.
bool is_control(char32_t point) {
  return point < 0x20 || (point >= 0x7f && point < 0xa0) || (point >= 0x2028 && point <= 0x202e) ||
         (point >= 0x2066 && point <= 0x2069) || point == 0x200e || point == 0x200f || point == 0xfeff;
}

bool is_wide(char32_t point) {
  return (point >= 0x1100 && point <= 0x115f) || (point >= 0x2e80 && point <= 0xa4cf) ||
         (point >= 0xac00 && point <= 0xd7a3) || (point >= 0xf900 && point <= 0xfaff) ||
         (point >= 0xfe30 && point <= 0xfe6f) || (point >= 0xff00 && point <= 0xff60) ||
         (point >= 0x1f300 && point <= 0x1faff) || (point >= 0x20000 && point <= 0x3fffd);
}

std::size_t columns(char32_t point) { return point >= 0x300 && point <= 0x36f ? 0 : is_wide(point) ? 2 : 1; }

seconds unit_of(char c) {
  switch (c) {
    case 's':
      return seconds{1};
    case 'm':
      return kMinute;
    case 'h':
      return kHour;
    case 'd':
      return kDay;
    case 'w':
      return kWeek;
    default:
      return seconds{0};
  }
}

Error bad_span(std::string_view text) {
  return Error(Code::invalid_argument,
               fmt::format("\"{}\" is no duration; write it like 90s, 15m, 1h30m, 7d", printable(text)));
}

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (value /= 1024; value >= 999.95 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  if (value >= 99.95 || value == std::floor(value)) return fmt::format("{:.0f} {}", value, kUnits[unit]);
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string human_span(seconds span) {
  if (span < kMinute) return fmt::format("{} s", span.count());
  if (span < kHour) return fmt::format("{} min", span / kMinute);
  if (span < 2 * kDay) return fmt::format("{} h", span / kHour);
  return fmt::format("{} d", span / kDay);
}

std::string relative_time(WallTime time, WallTime now) {
  constexpr seconds kNow{2};
  if (time == WallTime{}) return "never";
  const seconds ago = now - time;
  if (ago <= kNow && ago >= -kNow) return "now";
  return ago > seconds{0} ? human_span(ago) + " ago" : "in " + human_span(-ago);
}

std::string relative_time(std::string_view wire_time, WallTime now) {
  if (wire_time.empty()) return "never";
  const auto time = parse_time(wire_time);
  return time ? relative_time(*time, now) : printable(wire_time);
}

Result<seconds> parse_span(std::string_view text) {
  seconds total{0}, last_unit = seconds::max();
  std::string_view rest = text;
  if (rest.empty()) return bad_span(text);
  while (!rest.empty()) {
    std::int64_t number = 0;
    const auto [end, fault] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    const auto digits = static_cast<std::size_t>(end - rest.data());
    if (fault != std::errc{} || rest[0] == '-' || digits == rest.size()) return bad_span(text);
    const seconds unit = unit_of(rest[digits]);
    if (unit.count() == 0 || unit >= last_unit || number > kMaxSpan / unit) return bad_span(text);
    total += number * unit;
    last_unit = unit;
    rest.remove_prefix(digits + 1);
  }
  if (total > kMaxSpan) return bad_span(text);
  return total;
}

Result<double> parse_percent(std::string_view text) {
  std::string_view digits = text;
  if (digits.ends_with('%')) digits.remove_suffix(1);
  double value = 0;
  const auto [end, fault] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::fixed);
  if (digits.empty() || fault != std::errc{} || end != digits.data() + digits.size() || !(value >= 0 && value <= 100))
    return Error(Code::invalid_argument, fmt::format("\"{}\" is no percentage between 0% and 100%", printable(text)));
  return value;
}

Result<std::int64_t> parse_count(std::string_view text, std::int64_t low, std::int64_t high) {
  std::int64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || fault != std::errc{} || end != text.data() + text.size() || value < low || value > high)
    return Error(Code::invalid_argument,
                 fmt::format("\"{}\" is no whole number between {} and {}", printable(text), low, high));
  return value;
}

std::string counted(std::int64_t count, std::string_view singular) {
  return fmt::format("{} {}{}", count, singular, count == 1 ? "" : "s");
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Decoded next = decode_utf8(text);
    const bool shown = next.size > 0 && !is_control(next.point);
    const std::size_t taken = next.size == 0 ? 1 : next.size;
    if (shown)
      out.append(text.substr(0, taken));
    else
      out.push_back('?');
    text.remove_prefix(taken);
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const Decoded next = decode_utf8(text);
    width += next.size == 0 ? 1 : columns(next.point);
    text.remove_prefix(next.size == 0 ? 1 : next.size);
  }
  return width;
}

std::string fit_width(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  if (width == 0) return "";
  std::string out;
  std::size_t used = 0;
  while (!text.empty()) {
    const Decoded next = decode_utf8(text);
    const std::size_t wide = next.size == 0 ? 1 : columns(next.point);
    const std::size_t taken = next.size == 0 ? 1 : next.size;
    if (used + wide > width - 1) break;
    out.append(text.substr(0, taken));
    used += wide;
    text.remove_prefix(taken);
  }
  return out + "…";
}

std::string fit_middle(std::string_view text, std::size_t width) {
  if (display_width(text) <= width || width < 4) return fit_width(text, width);
  const std::string front = fit_width(text, (width - 1) / 3 + 1);  // with the "…"
  std::size_t room = width - display_width(front);
  // From the end, one character at a time: those that follow may be as wide as what is left.
  std::string_view tail = text;
  while (display_width(tail) > room) {
    const Decoded next = decode_utf8(tail);
    tail.remove_prefix(next.size == 0 ? 1 : next.size);
  }
  return front + std::string(tail);
}

}  // namespace drover::cli
