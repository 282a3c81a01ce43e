// The group query language: one condition over a device's fields, attributes and tags, parsed once, evaluated either in
// memory (a check-in) or as SQL (a listing, a preview, a stage). Both give the same answer for every device.
//
//   kind = "kiosk-x64" and attr.region in ("eu", "us") and not tag:lab
//   attr.os_version >= 2.10.1 and exists attr.gpu and name like "kiosk-%"
//
//   query      = either
//   either     = both { "or" both }
//   both       = single { "and" single }
//   single     = "not" single | "(" either ")" | term
//   term       = "all"                                       every device
//              | "tag:" name
//              | "exists" attribute
//              | field ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
//              | field "in" "(" value { "," value } ")"
//              | field "like" text                           % any text, _ one character, \% \_ \\ themselves
//   field      = "id" | "name" | "kind" | "state" | attribute
//   attribute  = "attr." name
//   name       = letters, digits and _ . : / - , or text in quotes
//   value      = text | number | version | "true" | "false"
//   text       = "..." or '...', with \\ and the escaped quote
//
// Words of the language may be written in capitals. `state` knows =, != and in only, with pending, active,
// decommissioned.
//
// What a comparison means. id, name and kind compare as text, byte by byte. An attribute compares as a number when both
// sides are numbers, as a version when both are semantic versions (value.h says what they are), else as text; quotes
// make no difference. Every comparison with an attribute that the device lacks is false, != too; its `not` is true.
// `like` looks at text only and takes ASCII capitals and small letters for the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "server/fleet/device.h"

namespace drover::fleet {

inline constexpr std::size_t kMaxQueryLength = 4096;  // bytes; people write them, and they stand in the control plane
inline constexpr int kMaxQueryDepth = 32;             // parentheses and nots in each other: bounds the stack
inline constexpr std::size_t kMaxQueryTerms = 256;    // comparisons and values of `in`: bounds the work of a check-in

struct Literal {
  std::string text;
  std::optional<double> number;
  std::optional<std::string> semver;  // its key
};

enum class Field : std::uint8_t { id, name, kind, state, attribute };
enum class Op : std::uint8_t { eq, ne, lt, le, gt, ge };

// A pattern of `like`, taken apart.
struct PatternPart {
  enum class Kind : std::uint8_t { text, one, any } kind = Kind::text;
  std::string text;  // in small letters
};

struct Node {
  enum class Kind : std::uint8_t { all, compare, in, like, exists, tag, negation, conjunction, disjunction };
  Kind kind = Kind::all;
  Field field = Field::attribute;
  Op op = Op::eq;
  std::string name;                     // of the attribute or tag
  std::vector<Literal> values;          // compare: one; in: one or more
  std::vector<PatternPart> pattern;     // like
  std::vector<std::uint32_t> children;  // indexes into Query::nodes, always smaller than the own one
};

// A parsed query. A value type; immutable after parsing, so it may be shared between threads.
class Query {
 public:
  // invalid_argument, with the byte where it went wrong, what was expected there and what was found, and under it the
  // text with a caret; too_large past the bounds above.
  static Result<Query> parse(std::string_view text);

  const std::string& text() const { return text_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  const Node& root() const { return nodes_.back(); }

 private:
  Query(std::string text, std::vector<Node> nodes) : text_(std::move(text)), nodes_(std::move(nodes)) {}
  std::string text_;
  std::vector<Node> nodes_;
};

bool matches(const Query& query, const DeviceView& device);

using SqlValue = std::variant<std::int64_t, double, std::string>;
struct SqlPredicate {
  std::string where;                 // an expression, in parentheses where needed; `?` for each parameter, in order
  std::vector<SqlValue> parameters;  // never part of the text
};

// Over these tables, columns without NULL unless said (in PostgreSQL the text columns need COLLATE "C"):
//   device d         (device_no, id, name, kind, state)   state as the number of DeviceState
//   device_attribute (device_no, key, value, num NULL, semver NULL)   from number_of and semver_key_of
//   device_tag       (device_no, tag)
// The fragment stands behind `SELECT ... FROM device d WHERE`.
SqlPredicate to_sql(const Query& query);

}  // namespace drover::fleet
