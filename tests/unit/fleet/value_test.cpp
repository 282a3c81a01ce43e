#include "server/fleet/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <iterator>

namespace drover::fleet {
namespace {

TEST(Number, IsWhatJsonWritesWithoutAnExponent) {
  EXPECT_EQ(number_of("0"), 0.0);
  EXPECT_EQ(number_of("42"), 42.0);
  EXPECT_EQ(number_of("-0.5"), -0.5);
  EXPECT_EQ(number_of("10.50"), 10.5);
  EXPECT_EQ(number_of("-0"), 0.0);
  EXPECT_FALSE(std::signbit(*number_of("-0")));
}

TEST(Number, LeavesSerialNumbersAndHashesText) {
  for (const char* text :
       {"", "-", "007", "1e3", "+1", ".5", "5.", "1.2.3", " 1", "1 ", "0x10", "inf", "nan", "1,5", "--1"})
    EXPECT_FALSE(number_of(text)) << text;
}

TEST(Number, NeverLetsTwoLongNumbersBecomeOne) {
  EXPECT_TRUE(number_of("123456789012345"));
  EXPECT_FALSE(number_of("1234567890123456"));
  EXPECT_FALSE(number_of("9007199254740993"));
  EXPECT_TRUE(number_of("12345.6789012345"));
  EXPECT_FALSE(number_of("123456.7890123456"));
}

// The list of semver.org, item 11, and more, in rising order.
TEST(SemverKey, OrdersAsTheSpecificationSays) {
  const char* rising[] = {"0.0.0-0",       "0.0.0",         "0.0.1",
                          "0.9.9",         "0.10.0",        "1.0.0--",
                          "1.0.0-alpha",   "1.0.0-alpha.1", "1.0.0-alpha.beta",
                          "1.0.0-alpha-1", "1.0.0-beta",    "1.0.0-beta.2",
                          "1.0.0-beta.11", "1.0.0-rc.1",    "1.0.0",
                          "1.0.1-0",       "1.9.0",         "1.10.0",
                          "2.0.0",         "10.0.0",        "99999999999999999999.0.0"};
  for (std::size_t i = 0; i < std::size(rising); ++i)
    for (std::size_t j = 0; j < std::size(rising); ++j)
      EXPECT_EQ(semver_key(rising[i]) < semver_key(rising[j]), i < j) << rising[i] << " and " << rising[j];
}

TEST(SemverKey, PutsNumericIdentifiersBelowTextAndShorterListsBelowLonger) {
  EXPECT_LT(semver_key("1.0.0-99999"), semver_key("1.0.0-a"));
  EXPECT_LT(semver_key("1.0.0-a"), semver_key("1.0.0-a.0"));
  EXPECT_LT(semver_key("1.0.0-a.0"), semver_key("1.0.0-ab"));
  EXPECT_LT(semver_key("1.0.0-a.b"), semver_key("1.0.0-a-b"));
  EXPECT_LT(semver_key("1.0.0-Z"), semver_key("1.0.0-a"));
}

TEST(SemverKey, IgnoresBuildMetadata) {
  EXPECT_EQ(semver_key("1.2.3+build.5"), semver_key("1.2.3"));
  EXPECT_EQ(semver_key("1.2.3-rc.1+sha-00aa"), semver_key("1.2.3-rc.1"));
}

TEST(SemverKey, IsNothingForWhatIsNoSemanticVersion) {
  for (const char* text : {"",        "1",        "1.2",        "1.2.3.4",  "v1.2.3", "01.2.3",     "1.02.3",
                           "1.2.3-",  "1.2.3-01", "1.2.3-a..b", "1.2.3-a.", "1.2.3+", "1.2.3+a..b", "1.2.3+a.",
                           "1.2.3-é", "1.2.3 ",   " 1.2.3",     "-1.2.3",   "1.2.",   "..",         "a.b.c"})
    EXPECT_FALSE(semver_key_of(text)) << text;
  EXPECT_EQ(semver_key("1.2"), "");
  EXPECT_FALSE(semver_key_of("1.2.3-" + std::string(300, 'a')));
}

}  // namespace
}  // namespace drover::fleet
