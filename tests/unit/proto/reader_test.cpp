#include "proto/json/reader.h"

#include <gtest/gtest.h>

namespace drover::json {
namespace {

// Reads {"name": text<=4, "count": 1..10, "rate": 0..1, "on": bool, "items": [{"id": text}]} and says what was wrong.
std::string fault_of(std::string_view text) {
  const auto document = parse(text, 1000);
  if (!document) return document.error().message();
  Reader in(*document);
  in.text("name", 4);
  in.integer_or("count", 1, 1, 10);
  in.number_or("rate", 0, 0, 1);
  in.boolean_or("on", false);
  in.array_or_none("items", 2, [](Reader& item) { item.text("id", 8); });
  in.text_map_or_none("attributes", 2, 4, 4);
  in.texts_or_none("tags", 2, 4);
  const Status status = in.finish();
  return status ? "" : status.error().message();
}

TEST(ParseTest, refuses_what_a_lenient_parser_lets_pass) {
  EXPECT_FALSE(parse("", 100));
  EXPECT_FALSE(parse(std::string_view("123\0junk", 8), 100));
  EXPECT_FALSE(parse("{} {}", 100));
  EXPECT_FALSE(parse("{\"a\":1,}", 100));
  EXPECT_FALSE(parse("NaN", 100));
  EXPECT_FALSE(parse("\"\xff\"", 100));
  EXPECT_EQ(parse("[1,2,3]", 5).error().code(), Code::too_large);
  EXPECT_EQ(parse("{\"a\":1,\"a\":2}", 100).error().message(), "the field \"a\" stands twice");
  EXPECT_TRUE(parse("{\"a\":{\"a\":1},\"b\":{\"a\":2}}", 100));
}

TEST(ParseTest, bounds_the_depth) {
  EXPECT_TRUE(parse(std::string(kMaxDepth, '[') + std::string(kMaxDepth, ']'), 1000));
  EXPECT_FALSE(parse(std::string(kMaxDepth + 1, '[') + std::string(kMaxDepth + 1, ']'), 1000));
}

TEST(ReaderTest, names_the_place_and_the_reason_of_the_first_fault) {
  EXPECT_EQ(fault_of(R"({"name":"ab"})"), "");
  EXPECT_EQ(fault_of(R"({})"), "/name: is missing");
  EXPECT_EQ(fault_of(R"({"name":null})"), "/name: is missing");
  EXPECT_EQ(fault_of(R"({"name":5})"), "/name: must be text");
  EXPECT_EQ(fault_of(R"({"name":"abcde"})"), "/name: is longer than 4 bytes");
  EXPECT_EQ(fault_of(R"({"name":"a","count":11})"), "/count: must lie between 1 and 10");
  EXPECT_EQ(fault_of(R"({"name":"a","count":1.5})"), "/count: must be a whole number");
  EXPECT_EQ(fault_of(R"({"name":"a","count":18446744073709551615})"), "/count: must lie between 1 and 10");
  EXPECT_EQ(fault_of(R"({"name":"a","rate":"x"})"), "/rate: must be a number");
  EXPECT_EQ(fault_of(R"({"name":"a","on":1})"), "/on: must be true or false");
  EXPECT_EQ(fault_of(R"({"name":"a","items":{}})"), "/items: must be a list");
  EXPECT_EQ(fault_of(R"({"name":"a","items":[{"id":"x"},{"id":1}]})"), "/items/1/id: must be text");
  EXPECT_EQ(fault_of(R"({"name":"a","items":[{"id":"x","more":1}]})"),
            "/items/0/more: is not a field that is known here");
  EXPECT_EQ(fault_of(R"({"name":"a","items":[1,2,3]})"), "/items: has more than 2 items");
  EXPECT_EQ(fault_of(R"({"name":"a","items":[1]})"), "/items/0: must be an object");
  EXPECT_EQ(fault_of(R"({"name":"a","attributes":{"k":1}})"), "/attributes/k: must be text");
  EXPECT_EQ(fault_of(R"({"name":"a","tags":["x","y","z"]})"), "/tags: has more than 2 items");
  EXPECT_EQ(fault_of(R"({"nmae":"a","name":"a"})"), "/nmae: is not a field that is known here");
  EXPECT_EQ(fault_of("[]"), "/: must be an object");
}

}  // namespace
}  // namespace drover::json
