#include "common/crypto/ed25519.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/crypto/hash.h"

namespace drover::crypto {
namespace {

struct Rfc8032 {
  const char* seed;
  const char* public_key;
  const char* message;
  const char* signature;
};

// RFC 8032, section 7.1, tests 1, 2, 3 and SHA(abc).
const Rfc8032 kVectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246"
     "55141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb"
     "00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc"
     "027beceea1ec40a"},
    {"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
     "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2"
     "a9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad"
     "9bef1177331a704"},
};

Seed seed_of(const char* hex) {
  Seed seed{};
  const Bytes bytes = *from_hex(hex);
  std::copy(bytes.begin(), bytes.end(), seed.begin());
  return seed;
}

TEST(Ed25519, GivesTheKeysAndSignaturesOfRfc8032) {
  for (const Rfc8032& vector : kVectors) {
    const KeyPair key = KeyPair::from_seed(seed_of(vector.seed));
    EXPECT_EQ(to_hex(key.public_key()), vector.public_key);
    const Bytes message = *from_hex(vector.message);
    EXPECT_EQ(to_hex(key.sign(message)), vector.signature);
    EXPECT_TRUE(verify(key.public_key(), message, *from_hex(vector.signature)));
  }
}

TEST(Ed25519, RefusesASignatureOfAnotherMessageKeyOrLength) {
  SeededRng rng(1);
  const KeyPair key = KeyPair::generate(rng), other = KeyPair::generate(rng);
  const Signature signature = key.sign("message");
  EXPECT_TRUE(verify(key.public_key(), as_bytes("message"), signature));
  EXPECT_FALSE(verify(key.public_key(), as_bytes("Message"), signature));
  EXPECT_FALSE(verify(other.public_key(), as_bytes("message"), signature));
  EXPECT_FALSE(verify(key.public_key(), as_bytes("message"), ByteView(signature).first(63)));
  EXPECT_FALSE(verify(key.public_key(), as_bytes("message"), {}));
  for (std::size_t bit = 0; bit < 512; bit += 31) {
    Signature damaged = signature;
    damaged[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    EXPECT_FALSE(verify(key.public_key(), as_bytes("message"), damaged));
  }
}

TEST(Ed25519, RefusesKeysOfSmallOrder) {
  PublicKey identity{};
  identity[0] = 1;
  Signature signature{};
  signature[0] = 1;  // R = identity, S = 0: valid for every message where small orders are let pass
  EXPECT_FALSE(verify(identity, as_bytes("anything"), signature));
}

TEST(Ed25519, LeavesNothingInAKeyThatWasMovedFrom) {
  SeededRng rng(2);
  KeyPair key = KeyPair::generate(rng);
  const KeyPair moved = std::move(key);
  EXPECT_EQ(key.seed(), Seed{});  // NOLINT: looking at what is left is the point
  EXPECT_NE(moved.seed(), Seed{});
}

TEST(PublicKeyText, IsSixtyFourHexDigits) {
  EXPECT_TRUE(parse_public_key(kVectors[0].public_key));
  EXPECT_FALSE(parse_public_key(std::string(62, 'a')));
  EXPECT_FALSE(parse_public_key(std::string(66, 'a')));
  EXPECT_FALSE(parse_public_key(std::string(64, 'g')));
}

TEST(DeviceId, IsTheBeginningOfTheKeysHash) {
  const PublicKey key = *parse_public_key(kVectors[0].public_key);
  const std::string id = device_id(key);
  EXPECT_EQ(id, "d" + sha256(ByteView(key)).hex().substr(0, 32));
  EXPECT_TRUE(is_device_id(id));
}

TEST(DeviceId, HasOneFormOnly) {
  EXPECT_FALSE(is_device_id(""));
  EXPECT_FALSE(is_device_id("d" + std::string(31, 'a')));
  EXPECT_FALSE(is_device_id("d" + std::string(33, 'a')));
  EXPECT_FALSE(is_device_id("e" + std::string(32, 'a')));
  EXPECT_FALSE(is_device_id("d" + std::string(32, 'A')));
}

}  // namespace
}  // namespace drover::crypto
