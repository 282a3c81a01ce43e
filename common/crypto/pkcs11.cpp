#include "common/crypto/pkcs11.h"

#include <algorithm>
#include <array>

#include "common/crypto/hash.h"
#include "common/crypto/pem_verify.h"
#include "common/crypto/pkcs11_impl.h"

namespace drover::crypto {
namespace {

constexpr std::size_t kSignatureBytes = 64;  // of both kinds: (R, S) and (r, s)
constexpr std::size_t kIdBytes = 8;          // of a key made here
constexpr std::size_t kEd25519Point = 32, kP256Point = 65;

// CKA_EC_PARAMS as tokens write them: an object identifier, or (PKCS#11 3.0) a curve's name as PrintableString.
constexpr std::array<std::uint8_t, 5> kEd25519Oid = {0x06, 0x03, 0x2b, 0x65, 0x70};
constexpr std::array<std::uint8_t, 11> kEd25519OldOid = {0x06, 0x09, 0x2b, 0x06, 0x01, 0x04,
                                                         0x01, 0xda, 0x47, 0x0f, 0x01};
constexpr std::array<std::uint8_t, 14> kEd25519Name = {0x13, 0x0c, 'e', 'd', 'w', 'a', 'r',
                                                       'd',  's',  '2', '5', '5', '1', '9'};
constexpr std::array<std::uint8_t, 10> kP256Oid = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

template <std::size_t n>
bool same(const Bytes& bytes, const std::array<std::uint8_t, n>& other) {
  return std::equal(bytes.begin(), bytes.end(), other.begin(), other.end());
}

// The point in its DER wrapping (OCTET STRING by the standard, BIT STRING of some), or bare.
std::optional<Bytes> point_of(const Bytes& value, std::size_t size) {
  const auto tail = [&] { return Bytes(value.end() - static_cast<std::ptrdiff_t>(size), value.end()); };
  if (value.size() == size) return value;
  if (value.size() == size + 2 && value[0] == 0x04 && value[1] == size) return tail();
  if (value.size() == size + 3 && value[0] == 0x03 && value[1] == size + 1 && value[2] == 0) return tail();
  return {};
}

CK_MECHANISM_TYPE mechanism_of(Scheme scheme) { return scheme == Scheme::ed25519 ? CKM_EDDSA : CKM_ECDSA; }

// INTEGER without leading zeros, and with one where the top bit would make it negative.
void append_integer(Bytes& der, ByteView number) {
  while (number.size() > 1 && number.front() == 0) number = number.subspan(1);
  const bool pad = (number.front() & 0x80) != 0;
  der.push_back(0x02);
  der.push_back(static_cast<std::uint8_t>(number.size() + (pad ? 1 : 0)));
  if (pad) der.push_back(0);
  der.insert(der.end(), number.begin(), number.end());
}

Bytes der_signature(ByteView raw) {
  Bytes body;
  append_integer(body, raw.first(kSignatureBytes / 2));
  append_integer(body, raw.subspan(kSignatureBytes / 2));
  Bytes der = {0x30, static_cast<std::uint8_t>(body.size())};
  der.insert(der.end(), body.begin(), body.end());
  return der;
}

bool fits(const PublicHalf& half, ByteView message, ByteView signature) {
  if (half.scheme == Scheme::ecdsa_p256) return verify_ecdsa_p256(public_text(half), message, signature);
  const auto key = ed25519_key(half);
  return key && verify(*key, message, signature);
}

TokenKey describe(const Session& session, const Token& token, const Pkcs11Uri& uri, CK_OBJECT_HANDLE object,
                  PublicHalf half) {
  TokenKey key;
  key.token = token.label;
  key.label = session.label(object);
  key.id = session.bytes(object, CKA_ID).value_or(Bytes());
  key.half = std::move(half);
  key.uri.token = token.label;
  if (uri.serial) key.uri.serial = token.serial;
  if (!key.label.empty()) key.uri.object = key.label;
  if (!key.id.empty()) key.uri.id = key.id;
  key.uri.module_path = uri.module_path;
  return key;
}

std::string names(const std::vector<TokenKey>& keys) {
  std::string text;
  for (const TokenKey& key : keys) text += "\n  " + to_text(key.uri);
  return text;
}

Result<std::vector<TokenKey>> public_keys(const Session& session, const Token& token, const Pkcs11Uri& uri) {
  TRY_ASSIGN(const std::vector<CK_OBJECT_HANDLE> objects, session.find(CKO_PUBLIC_KEY, uri));
  std::vector<TokenKey> keys;
  for (const CK_OBJECT_HANDLE object : objects)
    if (auto half = read_half(session, object)) keys.push_back(describe(session, token, uri, object, std::move(*half)));
  std::sort(keys.begin(), keys.end(), [](const TokenKey& a, const TokenKey& b) { return a.label < b.label; });
  return keys;
}

Error none_fits(const Session& session, const Token& token, const Pkcs11Uri& uri) {
  Pkcs11Uri any = uri;
  any.object.reset();
  any.id.reset();
  const auto there = public_keys(session, token, any);
  return {Code::not_found, "no Ed25519 or P-256 key fits " + to_text(uri) +
                               (there && !there->empty() ? "; the token shows:" + names(*there) : "")};
}

struct PrivateKey {
  CK_OBJECT_HANDLE handle = 0;
  PublicHalf half;
  bool each_time = false;  // wants its PIN for each signature
};

// The public half stands beside the private one under the same id (or, without ids, the same label); some tokens show
// it in the private object.
Result<PublicHalf> half_beside(const Session& session, const Token& token, const Pkcs11Uri& uri,
                               CK_OBJECT_HANDLE object) {
  Pkcs11Uri beside;
  beside.module_path = uri.module_path;
  const Bytes id = session.bytes(object, CKA_ID).value_or(Bytes());
  if (!id.empty())
    beside.id = id;
  else
    beside.object = session.label(object);
  TRY_ASSIGN(const std::vector<TokenKey> keys, public_keys(session, token, beside));
  if (keys.size() == 1) return keys.front().half;
  if (keys.size() > 1)
    return Error(Code::invalid_argument, "several public keys stand beside the private one:" + names(keys));
  if (auto half = read_half(session, object)) return std::move(*half);
  return Error(Code::not_found, "the token shows no public half of " + to_text(uri) + "; store it under the same id");
}

Result<PrivateKey> find_private(const Session& session, const Token& token, const Pkcs11Uri& uri) {
  TRY_ASSIGN(std::vector<CK_OBJECT_HANDLE> objects, session.find(CKO_PRIVATE_KEY, uri));
  std::erase_if(objects, [&](CK_OBJECT_HANDLE object) { return !read_scheme(session, object); });
  if (objects.empty()) return none_fits(session, token, uri);
  if (objects.size() > 1) {
    std::vector<TokenKey> keys;
    for (const CK_OBJECT_HANDLE object : objects) keys.push_back(describe(session, token, uri, object, {}));
    return Error(Code::invalid_argument, "several keys fit " + to_text(uri) + "; take one of:" + names(keys));
  }
  PrivateKey key;
  key.handle = objects.front();
  TRY_ASSIGN(key.half, half_beside(session, token, uri, key.handle));
  key.each_time = session.truth(key.handle, CKA_ALWAYS_AUTHENTICATE);
  return key;
}

class TokenSigner final : public Signer {
 public:
  static Result<std::unique_ptr<Signer>> open(const Pkcs11Uri& uri, const AskPin& ask) {
    TRY_ASSIGN(Opened opened, open_session(uri, ask));
    return std::unique_ptr<Signer>(new TokenSigner(uri, std::move(opened)));
  }

  const PublicHalf& public_half() const override { return opened_.key.half; }

  Result<Bytes> sign(ByteView message) override {
    CK_RV value = CKR_OK;
    auto signature = sign_once(message, value);
    if (!signature && is_gone(value)) {
      TRY(open_again());
      signature = sign_once(message, value);
    }
    if (!signature) return signature;
    if (fits(opened_.key.half, message, *signature)) return signature;
    return Error(Code::bad_signature, "the token's signature does not fit the public half that it shows for " +
                                          to_text(uri_) + "; are two keys stored under one id?");
  }

 private:
  struct Opened {
    Session session;
    PrivateKey key;
    Pin pin;
  };

  TokenSigner(Pkcs11Uri uri, Opened opened) : uri_(std::move(uri)), opened_(std::move(opened)) {}

  static Result<Opened> open_session(const Pkcs11Uri& uri, const AskPin& ask) {
    TRY_ASSIGN(const Token token, find_token(uri));
    TRY_ASSIGN(Session session, Session::open(token, false));
    TRY_ASSIGN(Pin pin, log_in(session, token, uri, ask));
    TRY_ASSIGN(PrivateKey key, find_private(session, token, uri));
    TRY(check_mechanism(token, mechanism_of(key.half.scheme), CKF_SIGN,
                        "signing with a key of type " + std::string(to_text(key.half.scheme))));
    return Opened{std::move(session), std::move(key), std::move(pin)};
  }

  // The token was taken out and put back. The same PIN is tried once: a wrong one ends it.
  Status open_again() {
    const AskPin known = [this](const PinQuestion& question) -> Result<std::string> {
      if (opened_.pin.empty() || question.last_try)
        return Error(Code::permission_denied, "the token has lost its login; start again");
      return opened_.pin.text();
    };
    auto fresh = open_session(uri_, known);
    if (!fresh) return std::move(fresh).error();
    if (fresh->key.half != opened_.key.half)
      return Error(Code::unknown_key, to_text(uri_) + " is another key than before");
    Pin pin = fresh->pin.empty() ? std::move(opened_.pin) : std::move(fresh->pin);
    opened_ = Opened{std::move(fresh->session), std::move(fresh->key), std::move(pin)};
    return {};
  }

  Result<Bytes> sign_once(ByteView message, CK_RV& value) {
    const Session& session = opened_.session;
    const bool ed25519 = opened_.key.half.scheme == Scheme::ed25519;
    const Digest digest = sha256(message);
    const ByteView input = ed25519 ? message : ByteView(digest.raw());
    CK_MECHANISM mechanism{mechanism_of(opened_.key.half.scheme), nullptr, 0};
    value = session.call().C_SignInit(session.handle(), &mechanism, opened_.key.handle);
    if (value != CKR_OK) return token_error(value, "signing");
    if (opened_.key.each_time) TRY(log_in_for_key(session, opened_.pin));
    std::array<std::uint8_t, kSignatureBytes> raw{};
    CK_ULONG length = raw.size();
    value =
        session.call().C_Sign(session.handle(), const_cast<CK_BYTE*>(input.data()), input.size(), raw.data(), &length);
    if (value != CKR_OK) return token_error(value, "signing");
    if (length != raw.size()) return Error(Code::bad_signature, "the token's signature has the wrong length");
    return ed25519 ? Bytes(raw.begin(), raw.end()) : der_signature(raw);
  }

  Pkcs11Uri uri_;
  Opened opened_;
};

Status check_free(const Session& session, const Token& token, const Pkcs11Uri& wanted) {
  for (const CK_OBJECT_CLASS kind : {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY}) {
    for (const bool by_id : {false, true}) {
      Pkcs11Uri one;
      if (by_id)
        one.id = wanted.id;
      else
        one.object = wanted.object;
      TRY_ASSIGN(const auto found, session.find(kind, one));
      if (!found.empty())
        return Error(Code::already_exists, "token \"" + token.label + "\" has a key of that " +
                                               (by_id ? "id" : "name") + " already; a key is never overwritten");
    }
  }
  return {};
}

Result<CK_OBJECT_HANDLE> make_pair(const Session& session, Bytes params, std::string label, Bytes id, CK_RV& value) {
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  CK_ATTRIBUTE open[] = {{CKA_TOKEN, &yes, sizeof yes},  {CKA_PRIVATE, &no, sizeof no},
                         {CKA_VERIFY, &yes, sizeof yes}, {CKA_LABEL, label.data(), label.size()},
                         {CKA_ID, id.data(), id.size()}, {CKA_EC_PARAMS, params.data(), params.size()}};
  CK_ATTRIBUTE secret[] = {{CKA_TOKEN, &yes, sizeof yes},     {CKA_PRIVATE, &yes, sizeof yes},
                           {CKA_SENSITIVE, &yes, sizeof yes}, {CKA_EXTRACTABLE, &no, sizeof no},
                           {CKA_SIGN, &yes, sizeof yes},      {CKA_LABEL, label.data(), label.size()},
                           {CKA_ID, id.data(), id.size()}};
  CK_MECHANISM mechanism{CKM_EC_EDWARDS_KEY_PAIR_GEN, nullptr, 0};
  CK_OBJECT_HANDLE public_key = 0, private_key = 0;
  value = session.call().C_GenerateKeyPair(session.handle(), &mechanism, open, std::size(open), secret,
                                           std::size(secret), &public_key, &private_key);
  if (value != CKR_OK) return token_error(value, "making the key");
  return public_key;
}

// Tokens differ in how they want the curve named.
Result<CK_OBJECT_HANDLE> make_pair(const Session& session, const std::string& label, const Bytes& id) {
  CK_RV value = CKR_OK;
  auto made = make_pair(session, Bytes(kEd25519Oid.begin(), kEd25519Oid.end()), label, id, value);
  const bool other_name =
      value == CKR_ATTRIBUTE_VALUE_INVALID || value == CKR_DOMAIN_PARAMS_INVALID || value == CKR_CURVE_NOT_SUPPORTED;
  if (other_name) made = make_pair(session, Bytes(kEd25519Name.begin(), kEd25519Name.end()), label, id, value);
  return made;
}

}  // namespace

std::optional<Scheme> read_scheme(const Session& session, CK_OBJECT_HANDLE object) {
  const auto type = session.number(object, CKA_KEY_TYPE);
  const auto params = session.bytes(object, CKA_EC_PARAMS);
  if (!type || !params) return {};
  if (*type == CKK_EC && same(*params, kP256Oid)) return Scheme::ecdsa_p256;
  if (*type == CKK_EC_EDWARDS &&
      (same(*params, kEd25519Oid) || same(*params, kEd25519OldOid) || same(*params, kEd25519Name)))
    return Scheme::ed25519;
  return {};
}

std::optional<PublicHalf> read_half(const Session& session, CK_OBJECT_HANDLE object) {
  const auto scheme = read_scheme(session, object);
  const auto value = session.bytes(object, CKA_EC_POINT);
  if (!scheme || !value) return {};
  auto point = point_of(*value, *scheme == Scheme::ed25519 ? kEd25519Point : kP256Point);
  if (!point) return {};
  return PublicHalf{*scheme, std::move(*point)};
}

Result<std::vector<TokenKey>> list_pkcs11(const Pkcs11Uri& uri) {
  TRY_ASSIGN(const Token token, find_token(uri));
  TRY_ASSIGN(const Session session, Session::open(token, false));
  return public_keys(session, token, uri);
}

Result<TokenKey> find_pkcs11(const Pkcs11Uri& uri) {
  TRY_ASSIGN(const Token token, find_token(uri));
  TRY_ASSIGN(const Session session, Session::open(token, false));
  TRY_ASSIGN(std::vector<TokenKey> keys, public_keys(session, token, uri));
  if (keys.empty()) return none_fits(session, token, uri);
  if (keys.size() > 1)
    return Error(Code::invalid_argument, "several keys fit " + to_text(uri) + "; take one of:" + names(keys));
  return std::move(keys.front());
}

Result<std::unique_ptr<Signer>> open_pkcs11(const Pkcs11Uri& uri, const AskPin& ask) {
  return TokenSigner::open(uri, ask);
}

Result<TokenKey> generate_pkcs11(const Pkcs11Uri& uri, const AskPin& ask, Rng& rng) {
  if (!uri.object || uri.object->empty())
    return Error(Code::invalid_argument, "a new key needs a name: object= in the URI");
  TRY_ASSIGN(const Token token, find_token(uri));
  TRY(check_mechanism(token, CKM_EC_EDWARDS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR, "making Ed25519 keys"));
  TRY(check_mechanism(token, CKM_EDDSA, CKF_SIGN, "signing with Ed25519 keys"));
  TRY_ASSIGN(const Session session, Session::open(token, true));
  TRY_ASSIGN(const Pin pin, log_in(session, token, uri, ask));
  Pkcs11Uri wanted = uri;
  if (!wanted.id || wanted.id->empty()) {
    wanted.id = Bytes(kIdBytes);
    rng.fill(*wanted.id);
  }
  TRY(check_free(session, token, wanted));
  TRY_ASSIGN(const CK_OBJECT_HANDLE made, make_pair(session, *wanted.object, *wanted.id));
  auto half = read_half(session, made);
  if (!half) return Error(Code::unsupported, "the token made a key, but does not show its public half");
  return describe(session, token, uri, made, std::move(*half));
}

}  // namespace drover::crypto
