#include "common/tuf/verify.h"

#include <gtest/gtest.h>

#include "tests/unit/tuf/repository.h"

namespace drover::tuf::testing {
namespace {

// A document signed by whom the test says, checked against a role of whom the test says.
class Threshold : public ::testing::Test {
 protected:
  Envelope signed_by(const std::vector<std::string>& names) {
    Document document = make_targets(kStart);
    for (const std::string& name : names) EXPECT_TRUE(document.sign(repository.key(name)));
    return *document.envelope();
  }
  RoleKeys role(const std::vector<std::string>& names, int threshold) {
    RoleKeys out{.keyids = {}, .threshold = threshold};
    for (const std::string& name : names) {
      Key key = Repository::public_key(repository.key(name));
      out.keyids.push_back(key.id);
      keys.emplace(key.id, key);
    }
    return out;
  }
  Code check(const RoleKeys& of, const Envelope& envelope) {
    const Status status = verify_threshold(keys, of, envelope);
    return status ? Code::ok : status.error().code();
  }
  Repository repository;
  Keys keys;
};

TEST_F(Threshold, IsMetByEnoughDifferentKeys) {
  EXPECT_EQ(check(role({"a"}, 1), signed_by({"a"})), Code::ok);
  EXPECT_EQ(check(role({"a", "b", "c"}, 2), signed_by({"c", "a"})), Code::ok);
}

TEST_F(Threshold, IsNotMetByTooFew) {
  EXPECT_EQ(check(role({"a", "b", "c"}, 2), signed_by({"a"})), Code::threshold_not_met);
  EXPECT_EQ(check(role({"a"}, 1), signed_by({})), Code::threshold_not_met);
  EXPECT_EQ(check(role({"a"}, 2), signed_by({"a"})), Code::threshold_not_met);
}

TEST_F(Threshold, IsNotMetByKeysOfOthers) {
  const RoleKeys others = role({"x", "y"}, 2);  // known keys, of another role
  EXPECT_EQ(check(role({"a", "b"}, 2), signed_by({"a", "x", "y"})), Code::threshold_not_met);
  (void)others;
}

TEST_F(Threshold, BelowOneIsRefused) {
  for (const int threshold : {0, -1, INT32_MIN})
    EXPECT_EQ(check(role({"a"}, threshold), signed_by({"a"})), Code::invalid_argument) << threshold;
}

TEST_F(Threshold, CountsAKeyUnderTwoIdsOnce) {
  RoleKeys of = role({"a"}, 2);
  nlohmann::json twin = make_key(repository.key("a").public_key()).object;
  twin["x-twin"] = 1;
  Key other = *read_key(twin);
  of.keyids.push_back(other.id);
  keys.emplace(other.id, other);
  Envelope envelope = signed_by({"a"});
  envelope.signatures.push_back({other.id, envelope.signatures[0].signature});
  EXPECT_EQ(check(of, envelope), Code::threshold_not_met);
}

TEST_F(Threshold, CountsAKeyWrittenInCapitalsOnce) {
  RoleKeys of = role({"a"}, 2);
  nlohmann::json twin = make_key(repository.key("a").public_key()).object;
  std::string hex = twin["keyval"]["public"];
  for (char& c : hex) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  twin["keyval"]["public"] = hex;
  Key other = *read_key(twin);
  of.keyids.push_back(other.id);
  keys.emplace(other.id, other);
  Envelope envelope = signed_by({"a"});
  envelope.signatures.push_back({other.id, envelope.signatures[0].signature});
  EXPECT_EQ(check(of, envelope), Code::threshold_not_met);
}

TEST_F(Threshold, CountsASignatureUnderTheSameIdOnceEvenBehindTheParser) {
  Envelope envelope = signed_by({"a"});
  envelope.signatures.push_back(envelope.signatures[0]);
  EXPECT_EQ(check(role({"a", "b"}, 2), envelope), Code::threshold_not_met);
}

TEST_F(Threshold, IsMetBesideInvalidAndEmptySignatures) {
  Envelope envelope = signed_by({"a", "b", "c"});
  envelope.signatures[0].signature[5] ^= 1;
  envelope.signatures[1].signature.clear();
  EXPECT_EQ(check(role({"a", "b", "c"}, 1), envelope), Code::ok);
  EXPECT_EQ(check(role({"a", "b", "c"}, 2), envelope), Code::threshold_not_met);
}

TEST_F(Threshold, IsNotMetByAKeyThatIsNamedButNotGiven) {
  const RoleKeys of = role({"a"}, 1);
  keys.clear();
  EXPECT_EQ(check(of, signed_by({"a"})), Code::threshold_not_met);
}

TEST_F(Threshold, IsNotMetByASignatureOfOtherBytes) {
  Envelope envelope = signed_by({"a"});
  envelope.canonical += " ";
  EXPECT_EQ(check(role({"a"}, 1), envelope), Code::threshold_not_met);
}

TEST(Signature, OfAnUnknownSchemeOrMixedTypeIsNeverValid) {
  Repository repository;
  const Bytes message = bytes_of("message");
  const auto signature = repository.key("a").sign(message);
  Key key = make_key(repository.key("a").public_key());
  ASSERT_TRUE(verify_signature(key, message, signature));
  key.scheme = "ecdsa-sha2-nistp256";
  EXPECT_FALSE(verify_signature(key, message, signature));
  key.scheme = "ed25519";
  key.keytype = "rsa";
  EXPECT_FALSE(verify_signature(key, message, signature));
}

TEST(Signature, OfAForeignKeyIsAskedOfWhoKnowsIt) {
  const ForeignVerify yes = [](std::string_view scheme, std::string_view pem, ByteView, ByteView) {
    return scheme == "ecdsa-sha2-nistp256" && pem == "PEM";
  };
  const Bytes some = {1};
  for (const char* keytype : {"ecdsa", "ecdsa-sha2-nistp256"}) {
    const Key key{.id = "k", .keytype = keytype, .scheme = "ecdsa-sha2-nistp256", .public_text = "PEM", .object = {}};
    EXPECT_TRUE(verify_signature(key, some, some, yes));
    EXPECT_FALSE(verify_signature(key, some, some));
    EXPECT_FALSE(verify_signature(key, some, {}, yes));
    Key other = key;
    other.scheme = "rsassa-pss-sha256";  // of another kind of key
    const ForeignVerify anything = [](std::string_view, std::string_view, ByteView, ByteView) { return true; };
    EXPECT_FALSE(verify_signature(other, some, some, anything));
  }
}

TEST(ListedFile, MustHaveItsLengthAndEveryHash) {
  const Bytes bytes = bytes_of("content");
  const std::string sha256 = crypto::sha256(bytes).hex(), sha512 = to_hex(crypto::sha512(bytes));
  EXPECT_TRUE(verify_listed({1, 7, {{"sha256", sha256}, {"sha512", sha512}}}, bytes));
  EXPECT_TRUE(verify_listed({1, std::nullopt, {}}, bytes));
  EXPECT_EQ(verify_listed({1, 8, {{"sha256", sha256}}}, bytes).error().code(), Code::size_mismatch);
  EXPECT_EQ(verify_listed({1, 6, {}}, bytes).error().code(), Code::size_mismatch);
  EXPECT_EQ(verify_listed({1, 7, {{"sha256", sha512}}}, bytes).error().code(), Code::digest_mismatch);
  EXPECT_EQ(verify_listed({1, 7, {{"sha256", sha256}, {"sha512", sha256}}}, bytes).error().code(),
            Code::digest_mismatch);
}

TEST(ListedFile, WithAnUnknownHashAlgorithmIsRefused) {
  const Bytes bytes = bytes_of("content");
  EXPECT_EQ(verify_listed({1, 7, {{"md5", "9a0364b9e99bb480dd25e1f0284c8555"}}}, bytes).error().code(),
            Code::unsupported);
  EXPECT_EQ(verify_target_bytes({7, {}, nullptr}, bytes).error().code(), Code::unsupported);
}

TEST(RoleName, IsOneFileNameWhateverItHolds) {
  EXPECT_EQ(encode_role_name("mnist"), "mnist");
  EXPECT_EQ(encode_role_name("../delegatedrole"), "..%2Fdelegatedrole");
  EXPECT_EQ(encode_role_name("/delegatedrole"), "%2Fdelegatedrole");
  EXPECT_EQ(encode_role_name("?#%"), "%3F%23%25");
  EXPECT_EQ(encode_role_name("\xc3\xa9"), "%C3%A9");
  EXPECT_EQ(encode_role_name("A-Za_z0.9~"), "A-Za_z0.9~");
  EXPECT_EQ(encode_role_name(std::string_view("\0", 1)), "%00");
}

}  // namespace
}  // namespace drover::tuf::testing
