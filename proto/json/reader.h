// Strict reading of JSON that came from outside: types, bounds and unknown fields are checked, and the first thing
// wrong is named with its place ("/stages/1/percent: must be a whole number").
//
//   TRY_ASSIGN(json::Value document, json::parse(body, kMaxBody));
//   json::Reader in(document);
//   Group group{.name = in.text("name", kMaxName), .query = in.text_or("query", "", kMaxQuery)};
//   TRY(in.finish());
//
// After the first fault every further read gives a default, so that the code stays straight; finish() tells.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace drover::json {

using Value = nlohmann::json;

inline constexpr int kMaxDepth = 32;  // deeper nesting is refused: no message of ours goes beyond 8

// Refuses: over `limit` bytes, invalid UTF-8, duplicate keys, NUL or anything else behind the document, depth over
// kMaxDepth.
Result<Value> parse(std::string_view text, std::size_t limit);

class Reader {
 public:
  // `object` must outlive the reader. Not an object: a fault.
  explicit Reader(const Value& object, std::string path = "");

  bool has(std::string_view name) const;
  std::string text(std::string_view name, std::size_t max_length);
  std::string text_or(std::string_view name, std::string_view fallback, std::size_t max_length);
  std::int64_t integer(std::string_view name, std::int64_t low, std::int64_t high);
  std::int64_t integer_or(std::string_view name, std::int64_t fallback, std::int64_t low, std::int64_t high);
  double number(std::string_view name, double low, double high);
  double number_or(std::string_view name, double fallback, double low, double high);
  bool boolean_or(std::string_view name, bool fallback);
  // A nested object, read by `read`; absent: a fault (object) or nothing (object_or_none).
  void object(std::string_view name, const std::function<void(Reader&)>& read);
  void object_or_none(std::string_view name, const std::function<void(Reader&)>& read);
  // An array of objects, at most `max_items`.
  void array(std::string_view name, std::size_t max_items, const std::function<void(Reader&)>& read_item);
  void array_or_none(std::string_view name, std::size_t max_items, const std::function<void(Reader&)>& read_item);
  std::vector<std::string> texts_or_none(std::string_view name, std::size_t max_items, std::size_t max_length);
  // An object of text to text (attributes); bounds on count, key and value.
  std::vector<std::pair<std::string, std::string>> text_map_or_none(std::string_view name, std::size_t max_items,
                                                                    std::size_t max_key, std::size_t max_value);
  // The raw value, whatever it is; null when absent.
  const Value& raw(std::string_view name);
  // Fields that are not asked for are accepted (messages from newer versions). Without it they are a fault.
  void allow_unknown() { allow_unknown_ = true; }

  void fail(std::string_view name, std::string_view why);
  // The first fault, or an unknown field.
  Status finish();

 private:
  const Value* find(std::string_view name, bool required);

  const Value& object_;
  std::string path_;
  std::vector<std::string> asked_;
  bool allow_unknown_ = false;
  Status fault_;
};

}  // namespace drover::json
