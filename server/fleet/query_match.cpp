#include <algorithm>

#include "server/fleet/query.h"
#include "server/fleet/value.h"

namespace drover::fleet {
namespace {

template <class T>
bool holds(Op op, const T& left, const T& right) {
  switch (op) {
    case Op::eq:
      return left == right;
    case Op::ne:
      return left != right;
    case Op::lt:
      return left < right;
    case Op::le:
      return left <= right;
    case Op::gt:
      return left > right;
    case Op::ge:
      return left >= right;
  }
  return false;
}

bool attribute_holds(Op op, std::string_view value, const Literal& literal) {
  if (literal.number)
    if (const auto number = number_of(value)) return holds(op, *number, *literal.number);
  if (literal.semver)
    if (const auto key = semver_key_of(value)) return holds(op, *key, *literal.semver);
  return holds(op, value, std::string_view(literal.text));
}

const std::string* attribute(const DeviceView& device, std::string_view key) {
  const auto at = std::lower_bound(device.attributes.begin(), device.attributes.end(), key,
                                   [](const auto& pair, std::string_view wanted) { return pair.first < wanted; });
  return at != device.attributes.end() && at->first == key ? &at->second : nullptr;
}

std::string_view field_text(Field field, const DeviceView& device) {
  switch (field) {
    case Field::id:
      return device.id;
    case Field::name:
      return device.name;
    case Field::kind:
      return device.kind;
    default:
      return to_text(device.state);
  }
}

bool compares(const Node& node, const DeviceView& device) {
  const Op op = node.kind == Node::Kind::in ? Op::eq : node.op;
  if (node.field == Field::attribute) {
    const std::string* value = attribute(device, node.name);
    return value != nullptr && std::any_of(node.values.begin(), node.values.end(), [&](const Literal& literal) {
             return attribute_holds(op, *value, literal);
           });
  }
  const std::string_view value = field_text(node.field, device);
  return std::any_of(node.values.begin(), node.values.end(),
                     [&](const Literal& literal) { return holds(op, value, std::string_view(literal.text)); });
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool starts_with_lower(std::string_view value, std::string_view small) {
  return value.size() >= small.size() &&
         std::equal(small.begin(), small.end(), value.begin(), [](char s, char v) { return s == lower(v); });
}

// One character as SQLite steps over it: a lead byte and all continuation bytes behind it.
std::size_t character_length(std::string_view value) {
  std::size_t length = 1;
  if (static_cast<unsigned char>(value[0]) >= 0xC0)
    while (length < value.size() && (static_cast<unsigned char>(value[length]) & 0xC0) == 0x80) ++length;
  return length;
}

// Greedy, going back to the last % only: no more than |pattern| * |value| steps.
bool like(std::string_view value, const std::vector<PatternPart>& pattern) {
  std::size_t part = 0, at = 0, retry_part = pattern.size(), retry_at = 0;
  bool may_retry = false;
  for (;;) {
    if (part == pattern.size() && at == value.size()) return true;
    bool advanced = false;
    if (part < pattern.size()) {
      const PatternPart& now = pattern[part];
      if (now.kind == PatternPart::Kind::any) {
        may_retry = true, retry_part = ++part, retry_at = at;
        continue;
      }
      if (now.kind == PatternPart::Kind::one && at < value.size()) {
        at += character_length(value.substr(at)), ++part, advanced = true;
      } else if (now.kind == PatternPart::Kind::text && starts_with_lower(value.substr(at), now.text)) {
        at += now.text.size(), ++part, advanced = true;
      }
    }
    if (advanced) continue;
    if (!may_retry || retry_at >= value.size()) return false;
    retry_at += character_length(value.substr(retry_at));
    part = retry_part, at = retry_at;
  }
}

bool node_matches(const Query& query, const Node& node, const DeviceView& device) {
  const auto child = [&](std::uint32_t index) { return node_matches(query, query.nodes()[index], device); };
  switch (node.kind) {
    case Node::Kind::all:
      return true;
    case Node::Kind::compare:
    case Node::Kind::in:
      return compares(node, device);
    case Node::Kind::like: {
      if (node.field != Field::attribute) return like(field_text(node.field, device), node.pattern);
      const std::string* value = attribute(device, node.name);
      return value != nullptr && like(*value, node.pattern);
    }
    case Node::Kind::exists:
      return attribute(device, node.name) != nullptr;
    case Node::Kind::tag:
      return std::binary_search(device.tags.begin(), device.tags.end(), node.name);
    case Node::Kind::negation:
      return !child(node.children[0]);
    case Node::Kind::conjunction:
      return std::all_of(node.children.begin(), node.children.end(), child);
    case Node::Kind::disjunction:
      return std::any_of(node.children.begin(), node.children.end(), child);
  }
  return false;
}

}  // namespace

bool matches(const Query& query, const DeviceView& device) { return node_matches(query, query.root(), device); }

}  // namespace drover::fleet
