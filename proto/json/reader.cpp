#include "proto/json/reader.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace drover::json {
namespace {

const Value kNull;

// Refuses what nlohmann's parser lets pass: duplicate keys and unbounded depth.
class StrictSax : public nlohmann::detail::json_sax_dom_parser<Value> {
 public:
  using Base = nlohmann::detail::json_sax_dom_parser<Value>;
  explicit StrictSax(Value& out) : Base(out, false) {}

  bool start_object(std::size_t count) {
    keys_.emplace_back();
    return deeper() && Base::start_object(count);
  }
  bool end_object() {
    keys_.pop_back();
    --depth_;
    return Base::end_object();
  }
  bool start_array(std::size_t count) { return deeper() && Base::start_array(count); }
  bool end_array() {
    --depth_;
    return Base::end_array();
  }
  bool key(std::string& name) {
    if (!keys_.back().insert(name).second) {
      why_ = "the field \"" + name + "\" stands twice";
      return false;
    }
    return Base::key(name);
  }
  template <class Exception>
  bool parse_error(std::size_t position, const std::string& token, const Exception& exception) {
    why_ = "not JSON at byte " + std::to_string(position);
    return Base::parse_error(position, token, exception);
  }
  const std::string& why() const { return why_; }

 private:
  bool deeper() {
    if (++depth_ <= kMaxDepth) return true;
    why_ = "nested deeper than " + std::to_string(kMaxDepth);
    return false;
  }
  int depth_ = 0;
  std::vector<std::set<std::string>> keys_;
  std::string why_;
};

}  // namespace

Result<Value> parse(std::string_view text, std::size_t limit) {
  if (text.size() > limit)
    return Error(Code::too_large, "the document is over the limit of " + std::to_string(limit) + " bytes");
  if (text.find('\0') != std::string_view::npos) return Error(Code::malformed, "the document holds a NUL byte");
  Value value;
  StrictSax sax(value);
  if (!Value::sax_parse(text, &sax)) return Error(Code::malformed, sax.why().empty() ? "not JSON" : sax.why());
  return value;
}

Reader::Reader(const Value& object, std::string path) : object_(object), path_(std::move(path)) {
  if (!object_.is_object()) fault_ = Error(Code::malformed, (path_.empty() ? "/" : path_) + ": must be an object");
}

bool Reader::has(std::string_view name) const {
  return object_.is_object() && object_.contains(name) && !object_.find(name)->is_null();
}

void Reader::fail(std::string_view name, std::string_view why) {
  if (fault_) fault_ = Error(Code::malformed, path_ + "/" + std::string(name) + ": " + std::string(why));
}

const Value* Reader::find(std::string_view name, bool required) {
  asked_.emplace_back(name);
  if (has(name)) return &*object_.find(name);
  if (required) fail(name, "is missing");
  return nullptr;
}

std::string Reader::text(std::string_view name, std::size_t max_length) {
  const Value* value = find(name, true);
  if (value == nullptr) return {};
  if (!value->is_string()) {
    fail(name, "must be text");
    return {};
  }
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() <= max_length) return text;
  fail(name, "is longer than " + std::to_string(max_length) + " bytes");
  return {};
}

std::string Reader::text_or(std::string_view name, std::string_view fallback, std::size_t max_length) {
  if (has(name)) return text(name, max_length);
  asked_.emplace_back(name);
  return std::string(fallback);
}

std::int64_t Reader::integer(std::string_view name, std::int64_t low, std::int64_t high) {
  const Value* value = find(name, true);
  if (value == nullptr) return low;
  if (!value->is_number_integer()) {
    fail(name, "must be a whole number");
    return low;
  }
  const bool huge = value->is_number_unsigned() && value->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX);
  const std::int64_t number = huge ? INT64_MAX : value->get<std::int64_t>();
  if (!huge && number >= low && number <= high) return number;
  fail(name, "must lie between " + std::to_string(low) + " and " + std::to_string(high));
  return low;
}

std::int64_t Reader::integer_or(std::string_view name, std::int64_t fallback, std::int64_t low, std::int64_t high) {
  if (has(name)) return integer(name, low, high);
  asked_.emplace_back(name);
  return fallback;
}

double Reader::number(std::string_view name, double low, double high) {
  const Value* value = find(name, true);
  if (value == nullptr) return low;
  if (!value->is_number()) {
    fail(name, "must be a number");
    return low;
  }
  const double number = value->get<double>();
  if (std::isfinite(number) && number >= low && number <= high) return number;
  fail(name, "must lie between " + Value(low).dump() + " and " + Value(high).dump());
  return low;
}

double Reader::number_or(std::string_view name, double fallback, double low, double high) {
  if (has(name)) return number(name, low, high);
  asked_.emplace_back(name);
  return fallback;
}

bool Reader::boolean_or(std::string_view name, bool fallback) {
  const Value* value = find(name, false);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  fail(name, "must be true or false");
  return fallback;
}

void Reader::object(std::string_view name, const std::function<void(Reader&)>& read) {
  const Value* value = find(name, true);
  if (value == nullptr) return;
  Reader inner(*value, path_ + "/" + std::string(name));
  inner.allow_unknown_ = allow_unknown_;
  read(inner);
  if (Status status = inner.finish(); !status && fault_) fault_ = std::move(status);
}

void Reader::object_or_none(std::string_view name, const std::function<void(Reader&)>& read) {
  if (has(name)) return object(name, read);
  asked_.emplace_back(name);
}

void Reader::array(std::string_view name, std::size_t max_items, const std::function<void(Reader&)>& read_item) {
  const Value* value = find(name, true);
  if (value == nullptr) return;
  if (!value->is_array()) return fail(name, "must be a list");
  if (value->size() > max_items) return fail(name, "has more than " + std::to_string(max_items) + " items");
  for (std::size_t i = 0; i < value->size() && fault_; ++i) {
    Reader inner((*value)[i], path_ + "/" + std::string(name) + "/" + std::to_string(i));
    inner.allow_unknown_ = allow_unknown_;
    read_item(inner);
    if (Status status = inner.finish(); !status && fault_) fault_ = std::move(status);
  }
}

void Reader::array_or_none(std::string_view name, std::size_t max_items,
                           const std::function<void(Reader&)>& read_item) {
  if (has(name)) return array(name, max_items, read_item);
  asked_.emplace_back(name);
}

std::vector<std::string> Reader::texts_or_none(std::string_view name, std::size_t max_items, std::size_t max_length) {
  std::vector<std::string> texts;
  const Value* value = find(name, false);
  if (value == nullptr) return texts;
  if (!value->is_array())
    fail(name, "must be a list");
  else if (value->size() > max_items)
    fail(name, "has more than " + std::to_string(max_items) + " items");
  if (!fault_) return texts;
  for (const Value& item : *value) {
    if (!item.is_string() || item.get_ref<const std::string&>().size() > max_length) {
      fail(name, "must hold texts of at most " + std::to_string(max_length) + " bytes");
      return {};
    }
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

std::vector<std::pair<std::string, std::string>> Reader::text_map_or_none(std::string_view name, std::size_t max_items,
                                                                          std::size_t max_key, std::size_t max_value) {
  std::vector<std::pair<std::string, std::string>> pairs;
  const Value* value = find(name, false);
  if (value == nullptr) return pairs;
  if (!value->is_object())
    fail(name, "must be an object");
  else if (value->size() > max_items)
    fail(name, "has more than " + std::to_string(max_items) + " entries");
  if (!fault_) return pairs;
  for (const auto& [key, item] : value->items()) {
    if (key.empty() || key.size() > max_key)
      fail(name, "has an empty key or one over " + std::to_string(max_key) + " bytes");
    else if (!item.is_string())
      fail(std::string(name) + "/" + key, "must be text");
    else if (item.get_ref<const std::string&>().size() > max_value)
      fail(std::string(name) + "/" + key, "is longer than " + std::to_string(max_value) + " bytes");
    else
      pairs.emplace_back(key, item.get<std::string>());
  }
  return pairs;
}

const Value& Reader::raw(std::string_view name) {
  const Value* value = find(name, false);
  return value == nullptr ? kNull : *value;
}

Status Reader::finish() {
  if (!fault_ || allow_unknown_ || !object_.is_object()) return fault_;
  for (const auto& item : object_.items())
    if (std::find(asked_.begin(), asked_.end(), item.key()) == asked_.end()) {
      fail(item.key(), "is not a field that is known here");
      break;
    }
  return fault_;
}

}  // namespace drover::json
