// Which bytes of a representation a GET asks for (RFC 9110, sections 13.1.5 and 14). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace drover::net {

struct RangeDecision {
  enum class Kind : std::uint8_t { full, partial, unsatisfiable };
  Kind kind = Kind::full;
  std::uint64_t offset = 0;  // full and partial
  std::uint64_t length = 0;
};

// `range`, `if_range`: header values, empty when absent. `etag`: the strong validator of what is served, with quotes.
// `size`: its length in bytes.
// - No Range, another unit, a Range that does not parse, or several ranges: full (a server may ignore Range).
// - If-Range that is not exactly our strong etag (a weak one, a date, another one): full.
// - One range: partial, cut to the size; unsatisfiable when it starts at or behind the end, or for a suffix of 0 bytes.
RangeDecision decide_range(std::string_view range, std::string_view if_range, std::string_view etag,
                           std::uint64_t size);

// "bytes 0-9/100" for partial, "bytes */100" for unsatisfiable, empty for full.
std::string content_range(const RangeDecision& decision, std::uint64_t size);

// True when an If-None-Match list names `etag` (weak comparison) or is "*".
bool none_match_hit(std::string_view if_none_match, std::string_view etag);

// "bytes 5-9/10" as an answer carries it.
struct ContentRange {
  std::uint64_t first = 0, last = 0, size = 0;
};
// False when it does not parse, is unsatisfied ("bytes */10") or of unknown size.
bool parse_content_range(std::string_view text, ContentRange& out);

}  // namespace drover::net
