// One suite over every kind of signer: a key pair in memory, and keys in a token.
#include "common/crypto/signer.h"

#include "common/crypto/pem_verify.h"
#include "common/crypto/pkcs11.h"
#include "tests/contract/signer/token_keys.h"

namespace drover {
namespace {

using crypto::PublicHalf;
using crypto::Scheme;
using crypto::Signer;

// Where a signer comes from; lives as long as the test.
class Origin {
 public:
  virtual ~Origin() = default;
  virtual std::unique_ptr<Signer> open() = 0;
};

class MemoryOrigin final : public Origin {
 public:
  std::unique_ptr<Signer> open() override { return crypto::make_signer(crypto::KeyPair::from_seed(seed_)); }

 private:
  crypto::Seed seed_{7};
};

class TokenOrigin final : public Origin {
 public:
  explicit TokenOrigin(bool p256) {
    hsm_.make_token("t");
    test::make_key(hsm_, "t", {.label = "k", .id = {1}, .p256 = p256});
  }
  std::unique_ptr<Signer> open() override {
    const auto uri = crypto::parse_pkcs11_uri(hsm_.uri("token=t;object=k"));
    EXPECT_OK(uri);
    auto signer = crypto::open_pkcs11(*uri, {});
    EXPECT_OK(signer);
    return signer ? std::move(*signer) : nullptr;
  }

 private:
  test::SoftHsm hsm_;
};

bool verifies(const PublicHalf& half, std::string_view message, ByteView signature) {
  if (half.scheme == Scheme::ecdsa_p256)
    return crypto::verify_ecdsa_p256(crypto::public_text(half), as_bytes(message), signature);
  const auto key = crypto::ed25519_key(half);
  return key && crypto::verify(*key, as_bytes(message), signature);
}

class SignerContract : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "memory") {
      origin_ = std::make_unique<MemoryOrigin>();
      return;
    }
    if (test::SoftHsm::module().empty()) GTEST_SKIP() << "SoftHSM 2 is not installed";
    origin_ = std::make_unique<TokenOrigin>(GetParam() == "token_p256");
  }
  std::unique_ptr<Origin> origin_;
};

TEST_P(SignerContract, a_signature_verifies_with_the_public_half) {
  const auto signer = origin_->open();
  ASSERT_TRUE(signer);
  const auto signature = signer->sign("release 1.2.0");
  ASSERT_OK(signature);
  EXPECT_TRUE(verifies(signer->public_half(), "release 1.2.0", *signature));
  EXPECT_FALSE(verifies(signer->public_half(), "release 1.2.1", *signature));
}

TEST_P(SignerContract, the_empty_message_and_a_long_one_are_signed_like_others) {
  const auto signer = origin_->open();
  ASSERT_TRUE(signer);
  for (const std::string& message : {std::string(), std::string(200'000, 'x'), std::string("\0\n\xff", 3)}) {
    const auto signature = signer->sign(message);
    ASSERT_OK(signature);
    EXPECT_TRUE(verifies(signer->public_half(), message, *signature));
  }
}

TEST_P(SignerContract, opened_again_it_is_the_same_key) {
  const PublicHalf first = origin_->open()->public_half();
  const auto again = origin_->open();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->public_half(), first);
  const auto signature = again->sign("x");
  ASSERT_OK(signature);
  EXPECT_TRUE(verifies(first, "x", *signature));
}

TEST_P(SignerContract, many_signatures_in_a_row_hold_nothing_back) {
  const auto signer = origin_->open();
  ASSERT_TRUE(signer);
  for (int i = 0; i < 100; ++i) {
    const std::string message = "message " + std::to_string(i);
    const auto signature = signer->sign(message);
    ASSERT_OK(signature);
    EXPECT_TRUE(verifies(signer->public_half(), message, *signature));
  }
}

INSTANTIATE_TEST_SUITE_P(All, SignerContract, testing::Values("memory", "token", "token_p256"),
                         [](const auto& row) { return row.param; });

}  // namespace
}  // namespace drover
