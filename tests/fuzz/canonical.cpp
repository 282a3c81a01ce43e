// Strict JSON and its canonical form: what is signed does not depend on how the text was written down.
#include "common/tuf/canonical.h"

#include "common/tuf/limits.h"
#include "proto/json/reader.h"
#include "tests/fuzz/fuzz.h"

namespace drover::fuzz {
namespace {

// Numbers with a fraction have no canonical form, in whatever depth.
bool whole_numbers_only(const json::Value& value) {
  if (value.is_number_float()) return false;
  for (const json::Value& inner : value)
    if (value.is_structured() && !whole_numbers_only(inner)) return false;
  return true;
}

}  // namespace

void run(ByteView input) {
  const auto value = json::parse(as_text(input), tuf::kMaxTargetsBytes);
  if (!value) return;
  require(as_text(input).find('\0') == std::string_view::npos, "a NUL is never taken");
  const auto canonical = tuf::canonical_json(*value);
  require(canonical.has_value() == whole_numbers_only(*value), "whole numbers, and they alone, have a canonical form");
  for (const int indent : {-1, 2}) {
    for (const bool ascii : {false, true}) {
      const auto again = json::parse(value->dump(indent, ' ', ascii), 16 * tuf::kMaxTargetsBytes);
      require(again.has_value() && *again == *value, "what was read is written and read again");
      if (canonical) require(*tuf::canonical_json(*again) == *canonical, "the canonical form is one");
    }
  }
}

std::vector<std::string> seeds() {
  return {R"({"b":[1,-2,true,null],"a":{"":"x\"\\\n\u0000\u00e9\ud83d\ude00"},"\uffff":18446744073709551615})", R"([])",
          R"({"a":1.5,"b":1e3,"c":-9223372036854775808})",
          R"(  {"keytype":"ecdsa","keyval":{"public":"-----BEGIN PUBLIC KEY-----\nMFk=\n"}}  )",
          "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"};
}

}  // namespace drover::fuzz
