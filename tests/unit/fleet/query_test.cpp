#include "server/fleet/query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>

#include "common/rng/rng.h"

namespace drover::fleet {
namespace {

using testing::HasSubstr;

DeviceView kiosk() {
  return {.id = "d00",
          .name = "Kiosk-07",
          .kind = "kiosk-x64",
          .state = DeviceState::active,
          .attributes = {{"empty", ""},
                         {"load", "9.5"},
                         {"os_version", "2.10.1"},
                         {"region", "eu"},
                         {"shop floor", "2"},
                         {"town", "Köln"}},
          .tags = {"canary", "front row"}};
}

bool holds(std::string_view text, const DeviceView& device = kiosk()) {
  const auto query = Query::parse(text);
  EXPECT_TRUE(query.has_value()) << text << ": " << (query ? "" : query.error().message());
  return query.has_value() && matches(*query, device);
}

std::string fault(std::string_view text) {
  const auto query = Query::parse(text);
  return query ? "parsed" : query.error().message();
}

TEST(Query, ReadsTheExampleOfTheManual) {
  EXPECT_TRUE(holds(R"(kind = "kiosk-x64" and attr.region in ("eu","us") and not tag:lab and attr.os_version >= 2.10.1
                       and not exists attr.gpu and name like "kiosk-%")"));
}

TEST(Query, ComparesVersionsAsVersions) {
  EXPECT_TRUE(holds("attr.os_version > 2.9.0"));
  EXPECT_TRUE(holds("attr.os_version > \"2.9.0\""));
  EXPECT_TRUE(holds("attr.os_version >= 2.10.1-rc.1"));
  EXPECT_TRUE(holds("attr.os_version = 2.10.1+other.build"));
  EXPECT_FALSE(holds("attr.os_version < 2.10.1-rc.1"));
}

TEST(Query, ComparesNumbersAsNumbersAndTheRestAsText) {
  EXPECT_TRUE(holds("attr.load < 10"));
  EXPECT_TRUE(holds("attr.load = 9.50"));
  EXPECT_TRUE(holds("attr.load > -1"));
  EXPECT_TRUE(holds("attr.region > \"eq\""));
  EXPECT_TRUE(holds("attr.region > 5")) << "text and number compare as text";
  EXPECT_TRUE(holds("attr.os_version > 10")) << "a version and a number compare as text";
  EXPECT_TRUE(holds("name > \"Kiosk-\""));
}

TEST(Query, NeverHoldsForAMissingAttributeButItsNotDoes) {
  for (const char* op : {"= 1", "!= 1", "< 1", "<= 1", "> 1", ">= 1", "in (1, 2)", "like \"%\""}) {
    EXPECT_FALSE(holds("attr.gpu " + std::string(op)));
    EXPECT_TRUE(holds("not attr.gpu " + std::string(op)));
  }
  EXPECT_FALSE(holds("exists attr.gpu"));
  EXPECT_TRUE(holds("exists attr.empty"));
  EXPECT_TRUE(holds("attr.empty = \"\""));
}

TEST(Query, BindsNotBeforeAndBeforeOr) {
  EXPECT_TRUE(holds("tag:canary or tag:lab and tag:lab"));
  EXPECT_FALSE(holds("(tag:canary or tag:lab) and tag:lab"));
  EXPECT_TRUE(holds("not tag:lab and tag:canary"));
  EXPECT_FALSE(holds("not (tag:lab or tag:canary)"));
  EXPECT_TRUE(holds("not not tag:canary"));
}

TEST(Query, TakesPatternsCharacterByCharacter) {
  EXPECT_TRUE(holds("name like \"KIOSK-__\""));
  EXPECT_FALSE(holds("name like \"kiosk-_\""));
  EXPECT_TRUE(holds("name like \"%\""));
  EXPECT_TRUE(holds("name like \"%o%k%7\""));
  EXPECT_FALSE(holds("name like \"kiosk\""));
  EXPECT_TRUE(holds("attr.town like \"k_ln\"")) << "one character, not one byte";
  EXPECT_FALSE(holds("attr.town like \"k__ln\""));
  EXPECT_TRUE(holds("attr.empty like \"\""));
  EXPECT_FALSE(holds("name like \"kiosk\\_07\""));
  DeviceView odd = kiosk();
  odd.name = "100%_\\";
  EXPECT_TRUE(holds(R"(name like "100\%\_\\")", odd));
  EXPECT_FALSE(holds(R"(name like "1\%0%")", odd));
}

TEST(Query, DoesNotHangOnAPatternOfManyWildcards) {
  DeviceView device = kiosk();
  device.name = std::string(128, 'a');
  std::string pattern;
  for (int i = 0; i < 60; ++i) pattern += "%a";
  EXPECT_FALSE(holds("name like \"" + pattern + "b\"", device));
}

TEST(Query, KnowsStatesAndAll) {
  EXPECT_TRUE(holds("state = \"active\""));
  EXPECT_TRUE(holds("state in ('pending', 'active')"));
  EXPECT_TRUE(holds("state != 'decommissioned'"));
  EXPECT_TRUE(holds("all"));
  EXPECT_FALSE(holds("NOT ALL"));
}

TEST(Query, TakesQuotedNamesAndEscapes) {
  EXPECT_TRUE(holds("attr.\"shop floor\" = 2 and tag:'front row'"));
  DeviceView device = kiosk();
  device.name = "it's \"it\"";
  EXPECT_TRUE(holds(R"(name = "it's \"it\"" and name = 'it\'s "it"')", device));
}

TEST(QueryError, SaysWhereWhatWasExpectedAndWhatWasFound) {
  EXPECT_EQ(fault("kind = \"x\" and )"),
            "at byte 15: expected a condition, found ')'\n  kind = \"x\" and )\n                 ^");
  EXPECT_EQ(fault(""), "at byte 0: expected a condition, found the end\n  \n  ^");
  EXPECT_THAT(fault("kind = x"), HasSubstr("at byte 7: expected a value (text stands in quotes), found 'x'"));
  EXPECT_THAT(fault("region = \"eu\""), HasSubstr("at byte 0: expected a field"));
  EXPECT_THAT(fault("attr.a 5"), HasSubstr("at byte 7: expected '=', '!=', '<'"));
  EXPECT_THAT(fault("attr.a = 1 attr.b = 2"), HasSubstr("at byte 11: expected 'and', 'or' or the end, found 'attr.b'"));
  EXPECT_THAT(fault("(tag:a"), HasSubstr("at byte 6: expected 'and', 'or' or ')', found the end"));
  EXPECT_THAT(fault("attr.a in 1"), HasSubstr("expected '('"));
  EXPECT_THAT(fault("attr.a in ()"), HasSubstr("expected a value, found ')'"));
  EXPECT_THAT(fault("attr.a in (1 2)"), HasSubstr("expected ',' or ')', found '2'"));
  EXPECT_THAT(fault("attr.a = 2..3"), HasSubstr("expected a number (2.5) or a version (1.2.3)"));
  EXPECT_THAT(fault("attr.a not in (1)"), HasSubstr("'not' stands before the whole condition"));
  EXPECT_THAT(fault("state > 'active'"), HasSubstr("behind state"));
  EXPECT_THAT(fault("state = 'lost'"), HasSubstr("expected \"pending\", \"active\" or \"decommissioned\""));
  EXPECT_THAT(fault("state like 'a%'"), HasSubstr("behind state"));
  EXPECT_THAT(fault("exists kind"), HasSubstr("expected an attribute"));
  EXPECT_THAT(fault("tag: lab"), HasSubstr("expected a name right behind 'tag:'"));
  EXPECT_THAT(fault("tag:"), HasSubstr("expected a name right behind 'tag:'"));
  EXPECT_THAT(fault("attr.\"\" = 1"), HasSubstr("expected a name right behind 'attr.'"));
  EXPECT_THAT(fault("name like eu"), HasSubstr("a pattern in quotes"));
  EXPECT_THAT(fault("name = \"abc"), HasSubstr("at byte 7: this quote is not closed"));
  EXPECT_THAT(fault("name = \"abc\\"), HasSubstr("this quote is not closed"));
  EXPECT_THAT(fault("name = \"a\\n\""), HasSubstr("after a backslash"));
  EXPECT_THAT(fault("name like \"a\\n\""), HasSubstr("after a backslash"));
  EXPECT_THAT(fault("name = \"a\nb\""), HasSubstr("control characters"));
  EXPECT_THAT(fault("name == 'a'"), HasSubstr("expected a value, found '='"));
  EXPECT_THAT(fault("name = 'a' && all"), HasSubstr("this character means nothing here"));
  EXPECT_THAT(fault(std::string_view("all\0", 4)), HasSubstr("at byte 3"));
}

TEST(QueryError, PointsAtTheRightColumnBehindTabsAndWideCharacters) {
  EXPECT_THAT(fault("name = \"Köln\" or\n\t)"), HasSubstr("\n  name = \"Köln\" or  )\n                    ^"));
  const std::string text = std::string(200, ' ') + "kind = )";
  EXPECT_THAT(fault(text), HasSubstr("at byte 207"));
  EXPECT_LT(fault(text).size(), 300u) << "shows the place, not the whole query";
}

TEST(QueryBounds, RefuseWhatIsTooLongTooDeepOrTooMuch) {
  EXPECT_EQ(Query::parse(std::string(4097, ' ')).error().code(), Code::too_large);
  std::string deep = "all";
  for (int i = 0; i < kMaxQueryDepth; ++i) deep = "(" + deep + ")";
  EXPECT_TRUE(holds(deep));
  EXPECT_THAT(fault("not " + deep), HasSubstr("more than 32 parentheses and nots"));
  std::string nots;
  for (int i = 0; i < 1000; ++i) nots += "not ";
  EXPECT_THAT(fault(nots + "all"), HasSubstr("more than 32"));
  std::string many = "all";
  for (int i = 1; i < 256; ++i) many += " or all";
  EXPECT_TRUE(holds(many));
  EXPECT_THAT(fault(many + " or all"), HasSubstr("more than 256 comparisons"));
  std::string list = "attr.a in (0";
  for (int i = 0; i < 256; ++i) list += ",1";
  EXPECT_THAT(fault(list + ")"), HasSubstr("more than 256 comparisons"));
}

TEST(QueryError, IsAllThatRandomTextCanCause) {
  static constexpr std::string_view kPieces[] = {
      "kind", "attr.", "attr.a", "tag:",   "tag:x", "\"",  "'",  "\\",  "(",   ")",     ",", "=",
      "!=",   "<",     ">=",     "in",     "like",  "and", "or", "not", "all", "1.2.3", "-", "%",
      "\xC3", "\xFF",  "\n",     "exists", "state", "5",   " ",  " ",   " ",   "!",     "é", "1e5"};
  SeededRng rng(3);
  int parsed = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (std::uint64_t n = rng.below(9); n > 0; --n)
      text += std::string(kPieces[rng.below(std::size(kPieces))]) + (rng.below(2) == 0 ? " " : "");
    const auto query = Query::parse(text);
    if (query) {
      ++parsed;
      matches(*query, kiosk());
      to_sql(*query);
    } else {
      ASSERT_THAT(query.error().message(), HasSubstr("at byte ")) << text;
    }
  }
  EXPECT_GT(parsed, 100);
}

TEST(QueryBounds, CountDepthNotNumberOfParentheses) {
  std::string text = "(all)";
  for (int i = 0; i < 100; ++i) text += " and (not (tag:x))";
  EXPECT_TRUE(holds(text));
}

}  // namespace
}  // namespace drover::fleet
