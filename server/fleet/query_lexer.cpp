#include "server/fleet/query_lexer.h"

#include <algorithm>

namespace drover::fleet::detail {
namespace {

constexpr std::size_t kContext = 48;  // bytes shown on either side of the caret: one line of a terminal

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_word_char(char c) {
  return is_letter(c) || is_digit(c) || std::string_view("_.:/-").find(c) != std::string_view::npos;
}
bool is_literal_char(char c) { return is_word_char(c) || c == '+'; }
bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

template <class Predicate>
Token take_while(std::string_view query, std::size_t at, Token::Kind kind, Predicate belongs) {
  std::size_t end = at;
  while (end < query.size() && belongs(query[end])) ++end;
  return {kind, at, end - at, std::string(query.substr(at, end - at))};
}

Result<Token> take_text(std::string_view query, std::size_t at) {
  const char quote = query[at];
  for (std::size_t i = at + 1; i < query.size(); ++i) {
    if (static_cast<unsigned char>(query[i]) < 0x20)
      return query_error(query, i, "control characters are not allowed in text");
    if (query[i] == quote)
      return Token{Token::Kind::text, at, i + 1 - at, std::string(query.substr(at + 1, i - at - 1))};
    if (query[i] == '\\') ++i;
  }
  return query_error(query, at, "this quote is not closed");
}

Result<Token> take_symbol(std::string_view query, std::size_t at) {
  for (const std::string_view symbol : {"!=", "<=", ">=", "=", "<", ">", "(", ")", ","})
    if (query.substr(at).starts_with(symbol)) return Token{Token::Kind::symbol, at, symbol.size(), std::string(symbol)};
  return query_error(query, at, "this character means nothing here");
}

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

Result<Token> next_token(std::string_view query, std::size_t from) {
  while (from < query.size() && is_space(query[from])) ++from;
  if (from == query.size()) return Token{Token::Kind::end, from, 0, ""};
  const char c = query[from];
  const bool negative = c == '-' && from + 1 < query.size() && is_digit(query[from + 1]);
  if (is_digit(c) || negative) return take_while(query, from, Token::Kind::literal, is_literal_char);
  if (is_letter(c)) return take_while(query, from, Token::Kind::word, is_word_char);
  if (c == '"' || c == '\'') return take_text(query, from);
  return take_symbol(query, from);
}

Error query_error(std::string_view query, std::size_t at, std::string_view what) {
  std::size_t begin = at > kContext ? at - kContext : 0;
  while (begin < at && is_continuation(query[begin])) ++begin;
  std::size_t end = std::min(query.size(), at + kContext);
  while (end < query.size() && is_continuation(query[end])) ++end;
  std::string line(query.substr(begin, end - begin));
  // One line, whatever stands in it: a caret under a tab or a line feed would point elsewhere.
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, ' ');
  const auto columns =
      std::count_if(query.begin() + static_cast<std::ptrdiff_t>(begin), query.begin() + static_cast<std::ptrdiff_t>(at),
                    [](char c) { return !is_continuation(c); });
  return Error(Code::invalid_argument, "at byte " + std::to_string(at) + ": " + std::string(what) + "\n  " + line +
                                           "\n  " + std::string(static_cast<std::size_t>(columns), ' ') + "^");
}

Result<std::string> unescape(std::string_view query, const Token& token) {
  std::string out;
  for (std::size_t i = 0; i < token.value.size(); ++i) {
    if (token.value[i] == '\\') {
      ++i;
      if (i == token.value.size() || std::string_view("\\\"'").find(token.value[i]) == std::string_view::npos)
        return query_error(query, token.at + i, "after a backslash stands a backslash or a quote");
    }
    out += token.value[i];
  }
  return out;
}

}  // namespace drover::fleet::detail
