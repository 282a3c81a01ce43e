#include <algorithm>
#include <array>

#include "server/fleet/query.h"
#include "server/fleet/query_lexer.h"
#include "server/fleet/value.h"

namespace drover::fleet {
namespace {

using detail::query_error;
using detail::Token;

constexpr std::string_view kAttributePrefix = "attr.";
constexpr std::string_view kTagPrefix = "tag:";

Literal make_literal(std::string text) {
  Literal literal{std::move(text), std::nullopt, std::nullopt};
  literal.number = number_of(literal.text);
  if (!literal.number) literal.semver = semver_key_of(literal.text);
  return literal;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Recursive descent. Nodes are appended children first, so that the root comes to stand last.
class Parser {
 public:
  explicit Parser(std::string_view query) : query_(query) {}

  Result<std::vector<Node>> run() {
    TRY(advance());
    TRY(parse_either());
    if (token_.kind != Token::Kind::end) return expected("'and', 'or' or the end");
    return std::move(nodes_);
  }

 private:
  Status advance() {
    TRY_ASSIGN(token_, detail::next_token(query_, token_.at + token_.length));
    return {};
  }

  bool is_word(std::string_view word) const {
    return token_.kind == Token::Kind::word && detail::equals_ignoring_case(token_.value, word);
  }
  bool is_symbol(std::string_view symbol) const { return token_.kind == Token::Kind::symbol && token_.value == symbol; }

  Error expected(std::string_view what) const {
    std::string found =
        token_.kind == Token::Kind::end ? "the end" : std::string(query_.substr(token_.at, token_.length));
    if (token_.kind != Token::Kind::end) found = "'" + found + "'";
    return query_error(query_, token_.at, "expected " + std::string(what) + ", found " + found);
  }

  Status expect_symbol(std::string_view symbol, std::string_view what) {
    if (!is_symbol(symbol)) return expected(what);
    return advance();
  }

  std::uint32_t add(Node node) {
    nodes_.push_back(std::move(node));
    return static_cast<std::uint32_t>(nodes_.size() - 1);
  }

  // Every parse_ function leaves its node last in nodes_.
  Status parse_list(Node::Kind kind, std::string_view word, Status (Parser::*parse_part)()) {
    Node node;
    node.kind = kind;
    TRY((this->*parse_part)());
    node.children.push_back(last());
    while (is_word(word)) {
      TRY(advance());
      TRY((this->*parse_part)());
      node.children.push_back(last());
    }
    if (node.children.size() > 1) add(std::move(node));
    return {};
  }
  std::uint32_t last() const { return static_cast<std::uint32_t>(nodes_.size() - 1); }

  Status parse_either() { return parse_list(Node::Kind::disjunction, "or", &Parser::parse_both); }
  Status parse_both() { return parse_list(Node::Kind::conjunction, "and", &Parser::parse_single); }

  Status parse_single() {
    if (!is_word("not") && !is_symbol("(")) return parse_term();
    if (++depth_ > kMaxQueryDepth)
      return query_error(query_, token_.at,
                         "more than " + std::to_string(kMaxQueryDepth) + " parentheses and nots in each other");
    TRY(is_word("not") ? parse_negation() : parse_parentheses());
    --depth_;
    return {};
  }

  Status parse_negation() {
    TRY(advance());
    TRY(parse_single());
    Node node;
    node.kind = Node::Kind::negation;
    node.children.push_back(last());
    add(std::move(node));
    return {};
  }

  Status parse_parentheses() {
    TRY(advance());
    TRY(parse_either());
    return expect_symbol(")", "'and', 'or' or ')'");
  }

  Status count_term() {
    if (++terms_ <= kMaxQueryTerms) return {};
    return query_error(query_, token_.at, "more than " + std::to_string(kMaxQueryTerms) + " comparisons and values");
  }

  Status parse_term() {
    TRY(count_term());
    if (token_.kind != Token::Kind::word) return expected("a condition");
    Node node;
    if (is_word("all")) {
      TRY(advance());
    } else if (token_.value.starts_with(kTagPrefix)) {
      node.kind = Node::Kind::tag;
      TRY(parse_name(kTagPrefix, node.name));
    } else if (is_word("exists")) {
      TRY(parse_exists(node));
    } else {
      TRY(parse_field(node));
      TRY(parse_comparison(node));
    }
    add(std::move(node));
    return {};
  }

  Status parse_exists(Node& node) {
    TRY(advance());
    if (token_.kind != Token::Kind::word || !token_.value.starts_with(kAttributePrefix))
      return expected("an attribute (attr.name)");
    node.kind = Node::Kind::exists;
    return parse_name(kAttributePrefix, node.name);
  }

  // "attr.region", or "attr." with the name in quotes right behind it.
  Status parse_name(std::string_view prefix, std::string& name) {
    name = token_.value.substr(prefix.size());
    const std::size_t end = token_.at + token_.length;
    TRY(advance());
    if (!name.empty()) return {};
    if (token_.kind != Token::Kind::text || token_.at != end || token_.value.empty())
      return query_error(query_, end, "expected a name right behind '" + std::string(prefix) + "'");
    TRY_ASSIGN(name, detail::unescape(query_, token_));
    return advance();
  }

  Status parse_field(Node& node) {
    static constexpr std::array<std::pair<std::string_view, Field>, 4> kFields = {
        {{"id", Field::id}, {"name", Field::name}, {"kind", Field::kind}, {"state", Field::state}}};
    for (const auto& [word, field] : kFields) {
      if (!is_word(word)) continue;
      node.field = field;
      return advance();
    }
    if (!token_.value.starts_with(kAttributePrefix))
      return expected("a field (id, name, kind, state, attr.name, tag:name), 'exists', 'not' or 'all'");
    return parse_name(kAttributePrefix, node.name);
  }

  Status parse_comparison(Node& node) {
    static constexpr std::array<std::pair<std::string_view, Op>, 6> kOps = {
        {{"=", Op::eq}, {"!=", Op::ne}, {"<", Op::lt}, {"<=", Op::le}, {">", Op::gt}, {">=", Op::ge}}};
    if (is_word("in")) return parse_in(node);
    if (is_word("like")) return parse_like(node);
    if (is_word("not")) return expected("a comparison ('not' stands before the whole condition)");
    for (const auto& [symbol, op] : kOps) {
      if (!is_symbol(symbol)) continue;
      if (node.field == Field::state && op != Op::eq && op != Op::ne) return expected("'=', '!=' or 'in' behind state");
      node.kind = Node::Kind::compare;
      node.op = op;
      TRY(advance());
      return parse_value(node);
    }
    return expected("'=', '!=', '<', '<=', '>', '>=', 'in' or 'like'");
  }

  Status parse_in(Node& node) {
    node.kind = Node::Kind::in;
    TRY(advance());
    TRY(expect_symbol("(", "'('"));
    TRY(parse_value(node));
    while (is_symbol(",")) {
      TRY(count_term());
      TRY(advance());
      TRY(parse_value(node));
    }
    return expect_symbol(")", "',' or ')'");
  }

  Status parse_value(Node& node) {
    const Token token = token_;
    Literal literal;
    if (token.kind == Token::Kind::text) {
      TRY_ASSIGN(std::string text, detail::unescape(query_, token));
      literal = make_literal(std::move(text));
    } else if (token.kind == Token::Kind::literal || is_word("true") || is_word("false")) {
      literal = make_literal(token.value);
    } else {
      return expected(token.kind == Token::Kind::word ? "a value (text stands in quotes)" : "a value");
    }
    if (token.kind == Token::Kind::literal && !literal.number && !literal.semver)
      return expected("a number (2.5) or a version (1.2.3); other text stands in quotes");
    if (node.field == Field::state && literal.text != "pending" && literal.text != "active" &&
        literal.text != "decommissioned")
      return expected("\"pending\", \"active\" or \"decommissioned\"");
    node.values.push_back(std::move(literal));
    return advance();
  }

  Status parse_like(Node& node) {
    if (node.field == Field::state) return expected("'=', '!=' or 'in' behind state");
    node.kind = Node::Kind::like;
    TRY(advance());
    if (token_.kind != Token::Kind::text) return expected("a pattern in quotes");
    TRY(parse_pattern(token_, node.pattern));
    return advance();
  }

  Status parse_pattern(const Token& token, std::vector<PatternPart>& pattern) const {
    for (std::size_t i = 0; i < token.value.size(); ++i) {
      const char c = token.value[i];
      if (c == '%' || c == '_') {
        pattern.push_back({c == '%' ? PatternPart::Kind::any : PatternPart::Kind::one, ""});
        continue;
      }
      if (c == '\\' &&
          (++i == token.value.size() || std::string_view("\\\"'%_").find(token.value[i]) == std::string_view::npos))
        return query_error(query_, token.at + i, "after a backslash stands a backslash, a quote, % or _");
      if (pattern.empty() || pattern.back().kind != PatternPart::Kind::text) pattern.push_back({});
      pattern.back().text += lower(token.value[i]);
    }
    return {};
  }

  std::string_view query_;
  Token token_;
  std::vector<Node> nodes_;
  int depth_ = 0;
  std::size_t terms_ = 0;
};

}  // namespace

Result<Query> Query::parse(std::string_view text) {
  if (text.size() > kMaxQueryLength)
    return Error(Code::too_large, "a query has at most " + std::to_string(kMaxQueryLength) + " bytes, this one " +
                                      std::to_string(text.size()));
  TRY_ASSIGN(std::vector<Node> nodes, Parser(text).run());
  return Query(std::string(text), std::move(nodes));
}

}  // namespace drover::fleet
