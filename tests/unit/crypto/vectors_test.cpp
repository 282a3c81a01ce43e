// Public vectors: Wycheproof (C2SP) and the PASETO standard's own.
#include "tests/unit/crypto/vectors.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <algorithm>

#include "common/base/bytes.h"
#include "common/crypto/box_key.h"
#include "common/crypto/ed25519.h"
#include "common/crypto/paseto.h"
#include "common/crypto/pem_verify.h"

namespace drover::crypto {
namespace {

// Gives the nonce of a vector.
class FixedRng final : public Rng {
 public:
  explicit FixedRng(Bytes bytes) : bytes_(std::move(bytes)) {}
  void fill(std::span<std::uint8_t> out) override { std::copy_n(bytes_.begin(), out.size(), out.begin()); }

 private:
  Bytes bytes_;
};

Bytes hex(const nlohmann::json& text) { return *from_hex(text.get_ref<const std::string&>()); }

// Runs every test of a Wycheproof file; returns how many there were.
template <class Verify>
int run_wycheproof(const nlohmann::json& file, Verify verify) {
  int count = 0;
  for (const auto& group : file.at("testGroups"))
    for (const auto& test : group.at("tests")) {
      const bool valid = verify(group, hex(test.at("msg")), hex(test.at("sig")));
      EXPECT_EQ(valid, test.at("result") == "valid") << "case " << test.at("tcId") << ": " << test.at("comment");
      ++count;
    }
  return count;
}

TEST(Wycheproof, AgreesOnEd25519) {
  VECTORS_OR_SKIP(file, "wycheproof-ed25519_test.json");
  const int count = run_wycheproof(file, [](const auto& group, const Bytes& message, const Bytes& signature) {
    const auto key = parse_public_key(group.at("publicKey").at("pk").template get_ref<const std::string&>());
    return key && verify(*key, message, signature);
  });
  EXPECT_EQ(count, file.at("numberOfTests").get<int>());
}

TEST(Wycheproof, AgreesOnEcdsaP256) {
  VECTORS_OR_SKIP(file, "wycheproof-ecdsa_secp256r1_sha256_test.json");
  const int count = run_wycheproof(file, [](const auto& group, const Bytes& message, const Bytes& signature) {
    const auto& pem = group.at("publicKeyPem").template get_ref<const std::string&>();
    return verify_pem("ecdsa-sha2-nistp256", pem, message, signature);
  });
  EXPECT_EQ(count, file.at("numberOfTests").get<int>());
}

TEST(Wycheproof, AgreesOnRsaPss) {
  VECTORS_OR_SKIP(file, "wycheproof-rsa_pss_2048_sha256_mgf1_32_test.json");
  const int count = run_wycheproof(file, [](const auto& group, const Bytes& message, const Bytes& signature) {
    const auto& pem = group.at("publicKeyPem").template get_ref<const std::string&>();
    return verify_pem("rsassa-pss-sha256", pem, message, signature);
  });
  EXPECT_EQ(count, file.at("numberOfTests").get<int>());
}

// What a sender makes whose ephemeral key is `from` and who has computed `shared` (libsodium's sealed box by its
// parts).
Bytes sealed_with(const Bytes& from, const Bytes& shared, const BoxPublicKey& to, ByteView secret) {
  constexpr std::uint8_t kZero[crypto_core_hsalsa20_INPUTBYTES] = {};
  std::uint8_t key[crypto_secretbox_KEYBYTES], nonce[crypto_secretbox_NONCEBYTES];
  crypto_core_hsalsa20(key, kZero, shared.data(), nullptr);
  Bytes keys = from;
  keys.insert(keys.end(), to.begin(), to.end());
  crypto_generichash(nonce, sizeof nonce, keys.data(), keys.size(), nullptr, 0);
  Bytes sealed = from;
  sealed.resize(from.size() + crypto_secretbox_MACBYTES + secret.size());
  crypto_secretbox_easy(sealed.data() + from.size(), secret.data(), secret.size(), nonce, key);
  return sealed;
}

// A sealed box is opened exactly when the shared secret is the vector's, and never by a key of small order, which
// would make the secret known to everybody.
TEST(Wycheproof, AgreesOnX25519BehindSealedBoxes) {
  VECTORS_OR_SKIP(file, "wycheproof-x25519_test.json");
  const Bytes secret(32, 7);
  int count = 0;
  for (const auto& group : file.at("testGroups"))
    for (const auto& test : group.at("tests")) {
      FixedRng secret_bytes(hex(test.at("private")));
      const BoxKey key = BoxKey::generate(secret_bytes);
      const auto& flags = test.at("flags");
      const bool known = std::find(flags.begin(), flags.end(), "ZeroSharedSecret") != flags.end();
      const auto opened =
          key.open(sealed_with(hex(test.at("public")), hex(test.at("shared")), key.public_key(), secret));
      EXPECT_EQ(opened.has_value(), !known) << "case " << test.at("tcId") << ": " << test.at("comment");
      if (opened) {
        EXPECT_EQ(*opened, secret);
      }
      Bytes other = hex(test.at("shared"));
      other[0] ^= 1;
      EXPECT_FALSE(key.open(sealed_with(hex(test.at("public")), other, key.public_key(), secret)));
      ++count;
    }
  EXPECT_EQ(count, file.at("numberOfTests").get<int>());
}

TEST(PemKeys, OfAnotherKindAreRefused) {
  VECTORS_OR_SKIP(ecdsa, "wycheproof-ecdsa_secp256r1_sha256_test.json");
  VECTORS_OR_SKIP(rsa, "wycheproof-rsa_pss_2048_sha256_mgf1_32_test.json");
  const auto& group = ecdsa.at("testGroups").at(0);
  const auto& good = group.at("tests").at(0);
  const auto& pem = group.at("publicKeyPem").get_ref<const std::string&>();
  const auto& rsa_pem = rsa.at("testGroups").at(0).at("publicKeyPem").get_ref<const std::string&>();
  ASSERT_TRUE(verify_ecdsa_p256(pem, hex(good.at("msg")), hex(good.at("sig"))));
  EXPECT_FALSE(verify_ecdsa_p256(rsa_pem, hex(good.at("msg")), hex(good.at("sig"))));
  EXPECT_FALSE(verify_rsa_pss_sha256(pem, hex(good.at("msg")), hex(good.at("sig"))));
  EXPECT_FALSE(verify_pem("ecdsa-sha2-nistp384", pem, hex(good.at("msg")), hex(good.at("sig"))));
  EXPECT_FALSE(verify_ecdsa_p256("", hex(good.at("msg")), hex(good.at("sig"))));
  EXPECT_FALSE(verify_ecdsa_p256("-----BEGIN PUBLIC KEY-----\nnonsense\n", hex(good.at("msg")), hex(good.at("sig"))));
}

bool is_local(const nlohmann::json& test) {
  return test.contains("nonce") && !test.at("key").is_null() &&
         test.at("name").get<std::string>().find("-E-") != std::string::npos;
}

TEST(PasetoVectors, ForV4LocalAreRead) {
  VECTORS_OR_SKIP(file, "paseto-v4.json");
  int read = 0;
  for (const auto& test : file.at("tests")) {
    if (!is_local(test)) continue;
    LocalKey key{};
    const Bytes raw = hex(test.at("key"));
    ASSERT_EQ(raw.size(), key.size());
    std::copy(raw.begin(), raw.end(), key.begin());
    const auto opened =
        open_local(key, test.at("token").get<std::string>(), test.at("implicit-assertion").get<std::string>());
    ASSERT_TRUE(opened) << test.at("name");
    EXPECT_EQ(opened->payload, test.at("payload").get<std::string>());
    EXPECT_EQ(opened->footer, test.at("footer").get<std::string>());
    FixedRng nonce(hex(test.at("nonce")));
    EXPECT_EQ(seal_local(key, opened->payload, opened->footer, test.at("implicit-assertion").get<std::string>(), nonce),
              test.at("token").get<std::string>());
    ++read;
  }
  EXPECT_EQ(read, 9);
}

TEST(PasetoVectors, ThatMustFailDoFail) {
  VECTORS_OR_SKIP(file, "paseto-v4.json");
  int refused = 0;
  for (const auto& test : file.at("tests")) {
    if (!test.at("expect-fail").get<bool>() || !test.contains("key")) continue;
    LocalKey key{};
    const Bytes raw = hex(test.at("key"));
    std::copy_n(raw.begin(), std::min(raw.size(), key.size()), key.begin());
    EXPECT_FALSE(open_local(key, test.at("token").get<std::string>(), test.at("implicit-assertion").get<std::string>()))
        << test.at("name");
    ++refused;
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace drover::crypto
