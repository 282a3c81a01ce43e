// Settings declared once, as a table: from it come the command line (--name-with-dashes VALUE), the configuration file (one JSON
// object, "name_with_underscores"), --help and the reference page. The command line goes over the file, the file over defaults.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace drover::config {

struct Setting {
  enum class Type : std::uint8_t { text, number, truth };
  std::string_view name;      // "poll_seconds"
  Type type;
  std::string_view sentence;  // what it does
  std::string_view fallback;  // as text; empty text: none
  std::string_view unit;      // "seconds", "file", ...; may be empty
  std::int64_t low = 0, high = 0;  // of a number
  std::string_view alias{};   // another spelling on the command line; may be empty
};

class Values {
 public:
  // The table's fallback where nothing was given. Asking for a name or type that the table has not is a bug.
  const std::string& text(std::string_view name) const;
  std::int64_t number(std::string_view name) const;
  bool truth(std::string_view name) const;

 private:
  friend Result<Values> parse(std::span<const Setting>, std::span<const std::string>, std::string_view);
  std::map<std::string, std::string, std::less<>> values_;
};

inline constexpr std::size_t kMaxFile = 64 * 1024;

// `arguments`: without the program's name and command. `file`: the configuration file's text, empty for none.
// invalid_argument names what is wrong: an unknown setting, one without its value, a number out of its bounds.
Result<Values> parse(std::span<const Setting> table, std::span<const std::string> arguments, std::string_view file = {});
// The value of --`name` alone, before everything is parsed (for --config); empty when it is not given.
std::string peek(std::span<const std::string> arguments, std::string_view name);

std::string help(std::span<const Setting> table);
// A Markdown table.
std::string reference(std::span<const Setting> table);

}  // namespace drover::config
