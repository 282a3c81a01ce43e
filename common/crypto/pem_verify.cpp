#include "common/crypto/pem_verify.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>

namespace drover::crypto {
namespace {

constexpr std::size_t kMaxPem = 4096;  // a key of 8192 bits has 1.4 KiB
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;
constexpr int kSaltLength = 32;

template <class T, void (*free)(T*)>
struct Freer {
  void operator()(T* object) const { free(object); }
};
void free_bio(BIO* bio) { BIO_free(bio); }
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;
using ContextPtr = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX, EVP_MD_CTX_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO, free_bio>>;

KeyPtr read_pem(std::string_view pem) {
  if (pem.empty() || pem.size() > kMaxPem) return {};
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return KeyPtr(bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr) : nullptr);
}

bool is_p256(EVP_PKEY* key) {
  char group[32] = {};
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
         EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, nullptr) == 1 &&
         std::string_view(group) == "prime256v1";
}

bool is_fit_rsa(EVP_PKEY* key) {
  const int bits = EVP_PKEY_get_bits(key);
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && bits >= kMinRsaBits && bits <= kMaxRsaBits;
}

bool set_pss(EVP_PKEY_CTX* context) {
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, kSaltLength) == 1;
}

bool check(EVP_PKEY* key, bool pss, ByteView message, ByteView signature) {
  const ContextPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;
  const bool valid =
      context != nullptr && EVP_DigestVerifyInit(context.get(), &key_context, EVP_sha256(), nullptr, key) == 1 &&
      (!pss || set_pss(key_context)) &&
      EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
  // What OpenSSL queued would be found by an unrelated TLS call of the same thread.
  ERR_clear_error();
  return valid;
}

}  // namespace

bool verify_ecdsa_p256(std::string_view public_pem, ByteView message, ByteView der_signature) {
  const KeyPtr key = read_pem(public_pem);
  const bool fits = key && is_p256(key.get());
  ERR_clear_error();
  return fits && check(key.get(), false, message, der_signature);
}

bool verify_rsa_pss_sha256(std::string_view public_pem, ByteView message, ByteView signature) {
  const KeyPtr key = read_pem(public_pem);
  const bool fits = key && is_fit_rsa(key.get());
  ERR_clear_error();
  return fits && check(key.get(), true, message, signature);
}

std::string_view pem_scheme(std::string_view public_pem) {
  const KeyPtr key = read_pem(public_pem);
  ERR_clear_error();
  if (!key) return "";
  return is_p256(key.get()) ? "ecdsa-sha2-nistp256" : is_fit_rsa(key.get()) ? "rsassa-pss-sha256" : "";
}

bool verify_pem(std::string_view scheme, std::string_view public_pem, ByteView message, ByteView signature) {
  if (scheme == "ecdsa-sha2-nistp256") return verify_ecdsa_p256(public_pem, message, signature);
  if (scheme == "rsassa-pss-sha256") return verify_rsa_pss_sha256(public_pem, message, signature);
  return false;
}

}  // namespace drover::crypto
