#include "common/tuf/canonical.h"

#include <gtest/gtest.h>

namespace drover::tuf {
namespace {

using Json = nlohmann::json;

std::string canonical(std::string_view json) {
  const auto text = canonical_json(Json::parse(json));
  return text ? *text : "error: " + text.error().message();
}

TEST(CanonicalJson, HasNoWhiteSpaceAndSortedKeys) {
  EXPECT_EQ(canonical(R"( { "b" : [ 1 , 2 ] , "a" : { } , "c" : [] } )"), R"({"a":{},"b":[1,2],"c":[]})");
}

TEST(CanonicalJson, SortsKeysByTheBytesOfTheirUtf8) {
  // U+FF5E is below U+1F600 by code point, above it in UTF-16.
  EXPECT_EQ(canonical("{\"\\ud83d\\ude00\":1,\"\\uff5e\":2,\"z\":3,\"Z\":4,\"\\u00e9\":5}"),
            "{\"Z\":4,\"z\":3,\"\xc3\xa9\":5,\"\xef\xbd\x9e\":2,\"\xf0\x9f\x98\x80\":1}");
}

TEST(CanonicalJson, EscapesQuotesAndBackslashesOnly) {
  EXPECT_EQ(canonical(R"("a\"b\\c\/d")"), R"("a\"b\\c/d")");
  EXPECT_EQ(canonical(R"("line\nfeed\ttab\u0001\u007f")"), "\"line\nfeed\ttab\x01\x7f\"");
}

TEST(CanonicalJson, WritesWhatWasEscapedInTheFileAsUtf8) {
  EXPECT_EQ(canonical("\"\\u00fc\\u20ac\\ud83d\\ude00\""), "\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

TEST(CanonicalJson, KeepsANulWithinText) { EXPECT_EQ(canonical(R"("a\u0000b")"), std::string("\"a\0b\"", 5)); }

TEST(CanonicalJson, WritesWholeNumbersPlainly) {
  EXPECT_EQ(canonical("[0,-1,9223372036854775807,18446744073709551615]"),
            "[0,-1,9223372036854775807,18446744073709551615]");
  EXPECT_EQ(canonical("[true,false,null]"), "[true,false,null]");
}

TEST(CanonicalJson, RefusesNumbersThatAreNotWhole) {
  for (const char* text : {"1.0", "1e3", "[0.5]", "{\"a\":-1.5}", "18446744073709551616"}) {
    const auto result = canonical_json(Json::parse(text));
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code(), Code::unsupported);
  }
}

}  // namespace
}  // namespace drover::tuf
