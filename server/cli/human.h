// Text for people: sizes, times, durations; and the reverse for what they type. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/time/clock.h"

namespace drover::cli {

// "0 B", "1.5 KiB", "12 MiB": three significant digits at most.
std::string human_bytes(std::uint64_t bytes);

// "45 s", "3 min", "2 h", "5 d": the largest unit that gives at least 1 (2 from days on: 36 h stays hours).
std::string human_span(std::chrono::seconds span);

// "3 min ago", "in 2 d", "now" (within 2 s); "never" for the epoch, which stands for "not yet" on the wire.
std::string relative_time(WallTime time, WallTime now);
// The same for the wire's text; "never" for empty text, the text itself when it is no time.
std::string relative_time(std::string_view wire_time, WallTime now);

// "90s", "15m", "1h30m", "7d", "2w": whole numbers, each with a unit (s m h d w), largest first. No sign, no spaces.
// At most ten years. Errors: invalid_argument that shows the form.
Result<std::chrono::seconds> parse_span(std::string_view text);

// "25" or "25%" or "2.5%": 0 to 100.
Result<double> parse_percent(std::string_view text);

// A whole number in [low, high], digits only.
Result<std::int64_t> parse_count(std::string_view text, std::int64_t low, std::int64_t high);

// "1 device", "3 devices".
std::string counted(std::int64_t count, std::string_view singular);

// What a terminal must not obey (control characters, escape sequences, broken UTF-8) replaced by '?'. Everything that
// came from outside goes through here before a person sees it.
std::string printable(std::string_view text);

// Columns on a terminal: code points, wide East Asian ones counted twice.
std::size_t display_width(std::string_view text);
// Cut to `width` columns, with "…" at the end if something was lost.
std::string fit_width(std::string_view text, std::size_t width);
// The same with "…" in the middle: a third of what fits from the front, the rest from the end.
std::string fit_middle(std::string_view text, std::size_t width);

}  // namespace drover::cli
