// Internal to the query language: text into tokens.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace drover::fleet::detail {

struct Token {
  enum class Kind { word, text, literal, symbol, end };
  Kind kind = Kind::end;
  std::size_t at = 0;      // byte where it begins
  std::size_t length = 0;  // bytes in the query
  std::string value;       // word: as written; text: between the quotes, escapes kept; symbol: itself
};

// The token that begins at or behind `from`. Errors: invalid_argument for a character of no token, an open quote,
// a control character.
Result<Token> next_token(std::string_view query, std::size_t from);

// "at byte 17: expected a value, found ')'" and below it the place with a caret.
Error query_error(std::string_view query, std::size_t at, std::string_view what);

// Takes escapes out of a text token; `query` and `at` (of the token) are for the error.
Result<std::string> unescape(std::string_view query, const Token& token);

bool equals_ignoring_case(std::string_view a, std::string_view b);

}  // namespace drover::fleet::detail
