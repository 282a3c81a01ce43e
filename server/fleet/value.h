// What an attribute's text is worth in a comparison: a number, a semantic version, or only text.
// The store keeps both forms beside the text (device_attribute.num and .semver), so that SQL compares as memory does.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace drover::fleet {

inline constexpr std::size_t kMaxNumberDigits = 15;  // so many are exact in a double: no two numbers become one
inline constexpr std::size_t kMaxSemver = 200;       // longer text is text

// The number, when the whole text is one as JSON writes it, without an exponent: "42", "-0.5". Not "007", "1e3", "+1",
// ".5", nor anything over kMaxNumberDigits digits: serial numbers and hashes stay text.
std::optional<double> number_of(std::string_view text);

// A key whose byte order is the precedence of semantic versions (semver 2.0.0, item 11; pre-releases included, build
// metadata ignored). Printable ASCII. Nothing when the whole text is no semantic version ("1.2", "v1.2.3", "01.2.3").
// The form is kept in the database: a change needs a migration.
//
//   number      = two decimal digits with its length, then its digits: "2" is "012", "10" is "0210"
//   key         = major minor patch rest
//   rest        = "3" for a release, else every pre-release identifier and then "0"
//   identifier  = "1" number | "2" text "!"      ("!" sorts before every character that an identifier may hold)
std::optional<std::string> semver_key_of(std::string_view text);

// As semver_key_of; the empty string when there is none.
std::string semver_key(std::string_view text);

}  // namespace drover::fleet
