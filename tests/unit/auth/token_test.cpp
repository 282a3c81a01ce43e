#include "server/auth/token.h"

#include <gtest/gtest.h>

#include "common/crypto/secret.h"
#include "common/rng/rng.h"

namespace drover::auth {
namespace {

TEST(Token, IsAPrefixAndThirtyTwoBytes) {
  const Bytes zeros(32, 0);
  EXPECT_EQ(*token_text(zeros), "drv_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
  EXPECT_FALSE(token_text(Bytes(31, 0)));
  EXPECT_FALSE(token_text(Bytes(33, 0)));
  EXPECT_TRUE(is_token(*token_text(zeros)));
}

TEST(Token, MadeByTheCryptoFolderIsOne) {
  SeededRng rng(7);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(is_token(crypto::random_token(kTokenPrefix, rng)));
}

TEST(Token, IsNothingElse) {
  const std::string good = *token_text(Bytes(32, 0xFB));
  EXPECT_TRUE(is_token(good));
  EXPECT_FALSE(is_token(""));
  EXPECT_FALSE(is_token("drv_"));
  EXPECT_FALSE(is_token(good.substr(4)));
  EXPECT_FALSE(is_token(good.substr(0, good.size() - 1)));
  EXPECT_FALSE(is_token(good + "A"));
  EXPECT_FALSE(is_token("DRV_" + good.substr(4)));
  std::string odd = good;
  odd[10] = '+';
  EXPECT_FALSE(is_token(odd));
  odd = good;
  odd.back() = 'B';
  EXPECT_FALSE(is_token(odd)) << "stray bits: a second text for the same bytes";
  odd = good;
  odd[10] = '\0';
  EXPECT_FALSE(is_token(odd));
}

TEST(Token, IsStoredAsAHashOfItsText) {
  const std::string text = *token_text(Bytes(32, 0));
  const auto hash = token_hash(text);
  ASSERT_TRUE(hash.has_value());
  EXPECT_EQ(hash->size(), 64u);
  EXPECT_NE(*hash, *token_hash(*token_text(Bytes(32, 1))));
  EXPECT_EQ(token_hash(*hash).error().code(), Code::unauthenticated) << "who has read the database has no token";
}

TEST(Token, ComesInABearerHeader) {
  const std::string text = *token_text(Bytes(32, 0));
  EXPECT_EQ(*bearer("Bearer " + text), text);
  EXPECT_EQ(*bearer("bearer " + text), text);
  for (const std::string& header :
       {std::string(), std::string("Bearer"), "Bearer  " + text, "Basic " + text, text, "Bearer " + text + " "})
    EXPECT_EQ(bearer(header).error().code(), Code::unauthenticated) << header;
}

}  // namespace
}  // namespace drover::auth
