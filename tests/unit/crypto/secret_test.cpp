#include "common/crypto/secret.h"

#include <gtest/gtest.h>

namespace drover::crypto {
namespace {

TEST(ConstantTimeComparison, IsAComparison) {
  EXPECT_TRUE(equal_constant_time(std::string_view("abc"), std::string_view("abc")));
  EXPECT_TRUE(equal_constant_time(std::string_view(), std::string_view()));
  EXPECT_FALSE(equal_constant_time(std::string_view("abc"), std::string_view("abd")));
  EXPECT_FALSE(equal_constant_time(std::string_view("abc"), std::string_view("abcd")));
  EXPECT_FALSE(equal_constant_time(std::string_view("abc"), std::string_view()));
}

TEST(RandomToken, HasItsPrefixAnd256Bits) {
  SeededRng rng(3);
  const std::string token = random_token("drv_", rng);
  EXPECT_TRUE(token.starts_with("drv_"));
  const auto bytes = from_base64url(std::string_view(token).substr(4));
  ASSERT_TRUE(bytes);
  EXPECT_EQ(bytes->size(), 32u);
  EXPECT_NE(token, random_token("drv_", rng));
}

TEST(Wiping, LeavesZeroes) {
  Bytes bytes = {1, 2, 3};
  wipe(bytes);
  EXPECT_EQ(bytes, Bytes(3, 0));
  std::string text = "secret";
  wipe(text);
  EXPECT_TRUE(text.empty());
}

}  // namespace
}  // namespace drover::crypto
