#include "common/net/ranges.h"

#include <algorithm>
#include <charconv>

namespace drover::net {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Digits only. A number too big for 64 bits counts as the biggest: it lies behind the end of any file.
bool parse_number(std::string_view text, std::uint64_t& out) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return false;
  if (std::from_chars(text.data(), text.data() + text.size(), out).ec != std::errc()) out = UINT64_MAX;
  return true;
}

bool strip_unit(std::string_view& text, char separator) {
  constexpr std::string_view kUnit = "bytes";
  if (text.size() <= kUnit.size() || text[kUnit.size()] != separator) return false;
  for (std::size_t i = 0; i < kUnit.size(); ++i)
    if ((text[i] | 0x20) != kUnit[i]) return false;
  text.remove_prefix(kUnit.size() + 1);
  return true;
}

RangeDecision suffix(std::uint64_t count, std::uint64_t size) {
  if (count == 0 || size == 0) return {RangeDecision::Kind::unsatisfiable, 0, 0};
  count = std::min(count, size);
  return {RangeDecision::Kind::partial, size - count, count};
}

std::string_view opaque_tag(std::string_view tag) { return tag.starts_with("W/") ? tag.substr(2) : tag; }

}  // namespace

RangeDecision decide_range(std::string_view range, std::string_view if_range, std::string_view etag,
                           std::uint64_t size) {
  const RangeDecision full{RangeDecision::Kind::full, 0, size};
  if (range.empty() || (!if_range.empty() && trim(if_range) != etag)) return full;
  range = trim(range);
  if (!strip_unit(range, '=') || range.find(',') != std::string_view::npos) return full;
  range = trim(range);
  const std::size_t dash = range.find('-');
  if (dash == std::string_view::npos) return full;
  const std::string_view from = range.substr(0, dash), to = range.substr(dash + 1);
  std::uint64_t first = 0, last = UINT64_MAX;
  if (from.empty()) return parse_number(to, last) ? suffix(last, size) : full;
  if (!parse_number(from, first) || (!to.empty() && !parse_number(to, last)) || last < first) return full;
  if (first >= size) return {RangeDecision::Kind::unsatisfiable, 0, 0};
  return {RangeDecision::Kind::partial, first, std::min(last, size - 1) - first + 1};
}

std::string content_range(const RangeDecision& decision, std::uint64_t size) {
  if (decision.kind == RangeDecision::Kind::full) return {};
  std::string out = "bytes ";
  if (decision.kind == RangeDecision::Kind::unsatisfiable) {
    out += '*';
  } else {
    out += std::to_string(decision.offset);
    out += '-';
    out += std::to_string(decision.offset + decision.length - 1);
  }
  out += '/';
  return out += std::to_string(size);
}

bool none_match_hit(std::string_view if_none_match, std::string_view etag) {
  while (!if_none_match.empty()) {
    const std::size_t comma = std::min(if_none_match.find(','), if_none_match.size());
    const std::string_view tag = trim(if_none_match.substr(0, comma));
    if (tag == "*" || (!tag.empty() && opaque_tag(tag) == opaque_tag(etag))) return true;
    if_none_match.remove_prefix(std::min(if_none_match.size(), comma + 1));
  }
  return false;
}

bool parse_content_range(std::string_view text, ContentRange& out) {
  text = trim(text);
  if (!strip_unit(text, ' ')) return false;
  const std::size_t dash = text.find('-'), slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) return false;
  ContentRange range;
  if (!parse_number(text.substr(0, dash), range.first) ||
      !parse_number(text.substr(dash + 1, slash - dash - 1), range.last) ||
      !parse_number(text.substr(slash + 1), range.size))
    return false;
  if (range.last < range.first || range.last >= range.size) return false;
  out = range;
  return true;
}

}  // namespace drover::net
