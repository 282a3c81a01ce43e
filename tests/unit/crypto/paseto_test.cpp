#include "common/crypto/paseto.h"

#include <gtest/gtest.h>

#include <set>

namespace drover::crypto {
namespace {

class LocalToken : public ::testing::Test {
 protected:
  std::string seal(std::string_view payload, std::string_view footer = "", std::string_view implicit = "") {
    return seal_local(key_, payload, footer, implicit, rng_);
  }
  SeededRng rng_{7};
  LocalKey key_ = make_local_key(rng_);
};

TEST_F(LocalToken, GivesBackPayloadAndFooter) {
  const auto opened = open_local(key_, seal(R"({"device":"d1"})", "key-1", "session"), "session");
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->payload, R"({"device":"d1"})");
  EXPECT_EQ(opened->footer, "key-1");
}

TEST_F(LocalToken, MayBeEmptyInside) {
  const auto opened = open_local(key_, seal(""), "");
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->payload, "");
}

TEST_F(LocalToken, IsNeverTheSameTwice) { EXPECT_NE(seal("payload"), seal("payload")); }

TEST_F(LocalToken, DoesNotShowItsPayload) { EXPECT_EQ(seal("payload").find("cGF5bG9hZ"), std::string::npos); }

TEST_F(LocalToken, IsWorthlessUnderAnotherKey) {
  const LocalKey other = make_local_key(rng_);
  EXPECT_EQ(open_local(other, seal("payload"), "").error().code(), Code::unauthenticated);
}

TEST_F(LocalToken, IsWorthlessForAnotherPurpose) {
  const std::string token = seal("payload", "", "challenge");
  EXPECT_FALSE(open_local(key_, token, "session"));
  EXPECT_FALSE(open_local(key_, token, ""));
}

TEST_F(LocalToken, IsRefusedWhenAnyCharacterDiffers) {
  const std::string token = seal("payload", "footer");
  ASSERT_TRUE(open_local(key_, token, ""));
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string damaged = token;
    damaged[i] = damaged[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(open_local(key_, damaged, "")) << "character " << i;
  }
}

TEST_F(LocalToken, IsRefusedWhenCutOrLengthened) {
  const std::string token = seal("payload", "footer");
  for (std::size_t length = 0; length < token.size(); ++length)
    EXPECT_FALSE(open_local(key_, std::string_view(token).substr(0, length), "")) << length;
  EXPECT_FALSE(open_local(key_, token + "A", ""));
  EXPECT_FALSE(open_local(key_, token + ".", ""));
  EXPECT_FALSE(open_local(key_, seal("payload") + ".", ""));
}

TEST_F(LocalToken, IsRefusedOverItsBoundWithoutWork) {
  EXPECT_FALSE(open_local(key_, "v4.local." + std::string(kMaxLocalToken, 'A'), ""));
}

TEST_F(LocalToken, OfAnotherVersionOrPurposeIsRefused) {
  std::string token = seal("payload");
  for (const char* header : {"v3.local.", "v4.public", "V4.local."}) {
    token.replace(0, 9, header);
    EXPECT_FALSE(open_local(key_, token, "")) << header;
  }
}

TEST_F(LocalToken, SaysTheSameForEveryFault) {
  const std::string good = seal("payload");
  std::set<std::string> messages;
  for (const std::string& token :
       {std::string("x"), std::string("v4.local.AA"), good.substr(0, good.size() - 1) + "~", good + ".AA"})
    messages.insert(open_local(key_, token, "").error().message());
  EXPECT_EQ(messages.size(), 1u);
}

}  // namespace
}  // namespace drover::crypto
