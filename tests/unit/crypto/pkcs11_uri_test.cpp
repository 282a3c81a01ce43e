#include "common/crypto/pkcs11_uri.h"

#include <gmock/gmock.h>

#include "common/crypto/signer.h"
#include "tests/support/expect.h"

namespace drover {
namespace {

using crypto::parse_pkcs11_uri;
using testing::HasSubstr;

TEST(Pkcs11Uri, the_parts_of_a_uri_are_read_and_decoded) {
  const auto uri = parse_pkcs11_uri(
      "pkcs11:token=The%20Software%20PKCS%2311;object=my-key;type=private;id=%00%Ff%20;slot-id=327"
      "?module-path=/usr/lib/m.so&pin-source=file:/etc/pin");
  ASSERT_OK(uri);
  EXPECT_EQ(uri->token, "The Software PKCS#11");
  EXPECT_EQ(uri->object, "my-key");
  EXPECT_EQ(uri->id, (Bytes{0x00, 0xff, 0x20}));
  EXPECT_EQ(uri->slot, 327u);
  EXPECT_EQ(uri->module_path, "/usr/lib/m.so");
  EXPECT_EQ(uri->pin_source, "/etc/pin");
  EXPECT_FALSE(uri->serial);
}

TEST(Pkcs11Uri, what_matches_everything_is_a_uri_too) {
  const auto uri = parse_pkcs11_uri("pkcs11:");
  ASSERT_OK(uri);
  EXPECT_FALSE(uri->token);
  EXPECT_TRUE(uri->module_path.empty());
}

TEST(Pkcs11Uri, a_pin_source_is_a_path_however_it_is_written) {
  for (const char* text : {"pkcs11:?pin-source=/etc/pin", "pkcs11:?pin-source=file:/etc/pin",
                           "pkcs11:?pin-source=file:%2Fetc%2fpin", "pkcs11:?pin-source=file:///etc/pin"}) {
    const auto uri = parse_pkcs11_uri(text);
    ASSERT_OK(uri);
    EXPECT_EQ(uri->pin_source, "/etc/pin") << text;
  }
}

TEST(Pkcs11Uri, what_is_wrong_is_refused_and_named) {
  const std::pair<const char*, const char*> cases[] = {
      {"pkcs12:token=x", "pkcs11:"},
      {"pkcs11:token=x;token=y", "twice"},
      {"pkcs11:tokne=x", "tokne"},
      {"pkcs11:token", "name=value"},
      {"pkcs11:=x", "name=value"},
      {"pkcs11:token=%2", "hexadecimal"},
      {"pkcs11:token=%zz", "hexadecimal"},
      {"pkcs11:slot-id=1x", "slot-id"},
      {"pkcs11:slot-id=-1", "slot-id"},
      {"pkcs11:type=cert", "type"},
      {"pkcs11:?pin-source=|cat%20pin", "pin-source"},
      {"pkcs11:?pin-source=", "pin-source"},
      {"pkcs11:?module-name=x", "module-name"},
  };
  for (const auto& [text, part] : cases) {
    const auto uri = parse_pkcs11_uri(text);
    ASSERT_CODE(uri, Code::invalid_argument) << text;
    EXPECT_THAT(uri.error().message(), HasSubstr(part)) << text;
  }
  EXPECT_CODE(parse_pkcs11_uri("pkcs11:token=" + std::string(crypto::kMaxPkcs11Uri, 'x')), Code::invalid_argument);
}

TEST(Pkcs11Uri, written_again_it_means_the_same_and_never_holds_the_pin) {
  const auto uri = parse_pkcs11_uri("pkcs11:object=a%3Bb%25;token=x y;id=%01%ab?pin-value=1234&module-path=/m.so");
  ASSERT_OK(uri);
  const std::string text = to_text(*uri);
  EXPECT_EQ(text, "pkcs11:token=x%20y;object=a%3bb%25;id=%01%ab?module-path=/m.so");
  const auto again = parse_pkcs11_uri(text);
  ASSERT_OK(again);
  EXPECT_EQ(again->object, "a;b%");
  EXPECT_EQ(again->id, uri->id);
}

TEST(PublicHalf, each_scheme_has_its_text) {
  crypto::PublicKey key{};
  key[0] = 0xd7;
  EXPECT_EQ(crypto::public_text(crypto::public_half(key)), "d7" + std::string(62, '0'));
  Bytes point(65, 0x11);
  point[0] = 0x04;
  const crypto::PublicHalf p256{crypto::Scheme::ecdsa_p256, point};
  EXPECT_THAT(crypto::public_text(p256),
              testing::StartsWith("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD"));
  EXPECT_CODE(crypto::ed25519_key(p256), Code::unsupported);
}

}  // namespace
}  // namespace drover
