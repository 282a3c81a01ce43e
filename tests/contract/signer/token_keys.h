// Makes in a SoftHSM token what the product does not make: keys of other kinds, and keys put together wrongly.
#pragma once

#include <string>
#include <vector>

#include "common/crypto/pkcs11_impl.h"
#include "tests/support/expect.h"
#include "tests/support/soft_hsm.h"

namespace drover::test {

struct MadeKey {
  std::string label;
  Bytes id;           // of the private half
  Bytes public_id{};  // of the public one; the same when empty
  bool each_time = false;
  bool p256 = false;
};

inline void make_key(const SoftHsm& hsm, const std::string& token, MadeKey made) {
  const auto uri = crypto::parse_pkcs11_uri(hsm.uri("token=" + token));
  ASSERT_OK(uri);
  const auto found = crypto::find_token(*uri);
  ASSERT_OK(found);
  const auto session = crypto::Session::open(*found, true);
  ASSERT_OK(session);
  const auto pin = crypto::log_in(*session, *found, *uri, {});
  ASSERT_OK(pin);
  Bytes params = made.p256 ? Bytes{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
                           : Bytes{0x06, 0x03, 0x2b, 0x65, 0x70};
  if (made.public_id.empty()) made.public_id = made.id;
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE, each = made.each_time ? CK_TRUE : CK_FALSE;
  std::vector<CK_ATTRIBUTE> open = {{CKA_TOKEN, &yes, 1},
                                    {CKA_PRIVATE, &no, 1},
                                    {CKA_VERIFY, &yes, 1},
                                    {CKA_LABEL, made.label.data(), made.label.size()},
                                    {CKA_ID, made.public_id.data(), made.public_id.size()},
                                    {CKA_EC_PARAMS, params.data(), params.size()}};
  std::vector<CK_ATTRIBUTE> secret = {{CKA_TOKEN, &yes, 1},
                                      {CKA_PRIVATE, &yes, 1},
                                      {CKA_SENSITIVE, &yes, 1},
                                      {CKA_SIGN, &yes, 1},
                                      {CKA_ALWAYS_AUTHENTICATE, &each, 1},
                                      {CKA_LABEL, made.label.data(), made.label.size()},
                                      {CKA_ID, made.id.data(), made.id.size()}};
  CK_MECHANISM mechanism{made.p256 ? CKM_EC_KEY_PAIR_GEN : CKM_EC_EDWARDS_KEY_PAIR_GEN, nullptr, 0};
  CK_OBJECT_HANDLE one = 0, two = 0;
  ASSERT_EQ(session->call().C_GenerateKeyPair(session->handle(), &mechanism, open.data(), open.size(), secret.data(),
                                              secret.size(), &one, &two),
            CKR_OK);
}

}  // namespace drover::test
