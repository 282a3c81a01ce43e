// Keys that never leave a token: an HSM, a smart card, a TPM or SoftHSM, through its PKCS#11 module, which is loaded
// when the first such key is opened and not before. A library of its own (drover_crypto_pkcs11). OpenSSL and dlopen
// stay below.
//
// One session for each signer, closed with it; no thread. Errors, each with a sentence that says what to do:
//   invalid_argument   a URI that does not fit (no object where one is needed, several keys or tokens match)
//   not_found          no such module, token or key; the sentence lists the ones that are there
//   permission_denied  wrong PIN (and how near the token is to locking), PIN locked, PIN missing, PIN file too open
//   unsupported        no PKCS#11 module; the token cannot sign with this kind of key; a kind of key not known here
//   unavailable        the token is gone, or does not answer
//   bad_signature      the token's answer does not fit the public half it shows
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/crypto/pkcs11_uri.h"
#include "common/crypto/signer.h"
#include "common/rng/rng.h"

namespace drover::crypto {

inline constexpr std::size_t kMaxTokenKeys = 256;  // looked at on one token; a release manager has a handful

struct PinQuestion {
  std::string token;      // its label
  bool last_try = false;  // one more wrong PIN locks it
};
// Asks a person. Not called when the URI has a PIN or names its file, nor when the token has a keypad of its own.
// Empty: nobody can be asked. A PIN out of a URI or a file is never spent on the last try.
using AskPin = std::function<Result<std::string>(const PinQuestion&)>;

struct TokenKey {
  std::string token, label;
  Bytes id;
  PublicHalf half;
  Pkcs11Uri uri;  // names this key and no other, without PIN
};

// The public halves that match; needs no PIN. Empty when none does. Other kinds of key are passed over.
Result<std::vector<TokenKey>> list_pkcs11(const Pkcs11Uri& uri);
// Exactly one of list_pkcs11: not_found and invalid_argument (several) otherwise.
Result<TokenKey> find_pkcs11(const Pkcs11Uri& uri);

// Logs in, and finds the one private key that matches and its public half.
Result<std::unique_ptr<Signer>> open_pkcs11(const Pkcs11Uri& uri, const AskPin& ask);

// Makes an Ed25519 key inside the token: private half sensitive and not extractable. The URI names the token and the
// object (its label); `id` is 8 random bytes when absent. already_exists when label or id is taken.
Result<TokenKey> generate_pkcs11(const Pkcs11Uri& uri, const AskPin& ask, Rng& rng);

}  // namespace drover::crypto
