#include "server/fleet/query.h"

namespace drover::fleet {
namespace {

constexpr std::string_view kOps[] = {" = ", " <> ", " < ", " <= ", " > ", " >= "};

std::string_view sql_op(Op op) { return kOps[static_cast<std::size_t>(op)]; }

std::string_view column(Field field) {
  switch (field) {
    case Field::id:
      return "d.id";
    case Field::name:
      return "d.name";
    case Field::kind:
      return "d.kind";
    default:
      return "d.state";
  }
}

std::int64_t state_number(std::string_view text) {
  for (const DeviceState state : {DeviceState::pending, DeviceState::active})
    if (text == to_text(state)) return static_cast<std::int64_t>(state);
  return static_cast<std::int64_t>(DeviceState::decommissioned);
}

class Writer {
 public:
  explicit Writer(const Query& query) : query_(query) {}

  SqlPredicate run() {
    write(query_.root());
    return std::move(out_);
  }

 private:
  void put(std::string_view text) { out_.where += text; }
  void parameter(SqlValue value) {
    out_.where += '?';
    out_.parameters.push_back(std::move(value));
  }

  void write(const Node& node) {
    switch (node.kind) {
      case Node::Kind::all:
        return put("1 = 1");
      case Node::Kind::compare:
      case Node::Kind::in:
      case Node::Kind::like:
        return node.field == Field::attribute ? write_attribute(node) : write_field(node);
      case Node::Kind::exists:
        return write_attribute(node);
      case Node::Kind::tag:
        put("EXISTS (SELECT 1 FROM device_tag t WHERE t.device_no = d.device_no AND t.tag = ");
        parameter(node.name);
        return put(")");
      case Node::Kind::negation:
        put("NOT (");
        write(query_.nodes()[node.children[0]]);
        return put(")");
      case Node::Kind::conjunction:
        return write_list(node, " AND ");
      case Node::Kind::disjunction:
        return write_list(node, " OR ");
    }
  }

  void write_list(const Node& node, std::string_view separator) {
    for (std::size_t i = 0; i < node.children.size(); ++i) {
      put(i == 0 ? "(" : separator);
      write(query_.nodes()[node.children[i]]);
    }
    put(")");
  }

  void write_field(const Node& node) {
    if (node.kind == Node::Kind::like) return write_like(column(node.field), node.pattern);
    const Op op = node.kind == Node::Kind::in ? Op::eq : node.op;
    for (std::size_t i = 0; i < node.values.size(); ++i) {
      put(i == 0 ? "(" : " OR ");
      put(column(node.field));
      put(sql_op(op));
      if (node.field == Field::state)
        parameter(state_number(node.values[i].text));
      else
        parameter(node.values[i].text);
    }
    put(")");
  }

  // Inside EXISTS, so that a missing attribute gives false and never NULL, whose NOT would be NULL again.
  void write_attribute(const Node& node) {
    put("EXISTS (SELECT 1 FROM device_attribute a WHERE a.device_no = d.device_no AND a.key = ");
    parameter(node.name);
    if (node.kind == Node::Kind::like) {
      put(" AND ");
      write_like("a.value", node.pattern);
    } else if (node.kind != Node::Kind::exists) {
      write_attribute_values(node);
    }
    put(")");
  }

  void write_attribute_values(const Node& node) {
    const Op op = node.kind == Node::Kind::in ? Op::eq : node.op;
    for (std::size_t i = 0; i < node.values.size(); ++i) {
      put(i == 0 ? " AND (" : " OR ");
      write_attribute_value(op, node.values[i]);
    }
    put(")");
  }

  void write_attribute_value(Op op, const Literal& literal) {
    if (literal.number)
      write_typed("a.num", op, *literal.number, literal.text);
    else if (literal.semver)
      write_typed("a.semver", op, *literal.semver, literal.text);
    else
      write_compare("a.value", op, literal.text);
  }

  void write_typed(std::string_view typed, Op op, SqlValue value, const std::string& text) {
    put("CASE WHEN ");
    put(typed);
    put(" IS NOT NULL THEN ");
    write_compare(typed, op, std::move(value));
    put(" ELSE ");
    write_compare("a.value", op, text);
    put(" END");
  }

  void write_compare(std::string_view what, Op op, SqlValue value) {
    put(what);
    put(sql_op(op));
    parameter(std::move(value));
  }

  // lower() on the column: LIKE minds capitals in one database and not in the other.
  void write_like(std::string_view what, const std::vector<PatternPart>& pattern) {
    put("lower(");
    put(what);
    put(") LIKE ");
    std::string text;
    for (const PatternPart& part : pattern) {
      if (part.kind == PatternPart::Kind::any) text += '%';
      if (part.kind == PatternPart::Kind::one) text += '_';
      for (const char c : part.text) {
        if (c == '%' || c == '_' || c == '\\') text += '\\';
        text += c;
      }
    }
    parameter(std::move(text));
    put(" ESCAPE '\\'");
  }

  const Query& query_;
  SqlPredicate out_;
};

}  // namespace

SqlPredicate to_sql(const Query& query) { return Writer(query).run(); }

}  // namespace drover::fleet
