#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <memory>

#include "server/app/data_folder.h"

namespace drover::server {
namespace {

constexpr long kLife = 825L * 24 * 3600;  // the most that common clients take of a server's certificate

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using File = std::unique_ptr<FILE, decltype(&fclose)>;

Error failed() { return Error(Code::internal, "OpenSSL could not make a certificate"); }

std::string alternative_names(const std::vector<std::string>& hosts) {
  std::string names;
  for (const std::string& host : hosts) {
    unsigned char address[16];
    const bool is_ip = inet_pton(AF_INET, host.c_str(), address) == 1 || inet_pton(AF_INET6, host.c_str(), address) == 1;
    if (!names.empty()) names += ",";
    names += (is_ip ? "IP:" : "DNS:") + host;
  }
  return names;
}

bool add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) return false;
  const bool added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

Result<Certificate> sign_certificate(EVP_PKEY* key, const std::vector<std::string>& hosts, Rng& rng) {
  Certificate certificate(X509_new(), X509_free);
  if (!certificate) return failed();
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), rng.next() >> 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kLife);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>("drover-server"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  X509_set_pubkey(certificate.get(), key);
  // Its own authority and a server's certificate at once: clients are given this one file as trust anchor.
  const bool extended = add_extension(certificate.get(), NID_subject_alt_name, alternative_names(hosts)) &&
                        add_extension(certificate.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                        add_extension(certificate.get(), NID_ext_key_usage, "serverAuth") &&
                        add_extension(certificate.get(), NID_subject_key_identifier, "hash");
  if (!extended || X509_sign(certificate.get(), key, EVP_sha256()) == 0) return failed();
  return certificate;
}

Result<File> create(const std::filesystem::path& path, mode_t mode) {
  const mode_t before = ::umask(0777 & ~mode);
  File file(std::fopen(path.c_str(), "wx"), fclose);
  ::umask(before);
  if (!file) return Error(Code::io, "cannot make " + path.string());
  return file;
}

}  // namespace

Status make_certificate(const std::filesystem::path& certificate_path, const std::filesystem::path& key_path,
                        const std::vector<std::string>& hosts, Rng& rng) {
  if (std::filesystem::exists(certificate_path) && std::filesystem::exists(key_path))
    return Error(Code::already_exists, certificate_path.string() + " is there already");
  std::error_code ignored;
  std::filesystem::create_directories(certificate_path.parent_path(), ignored);
  const Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  if (!key) return failed();
  TRY_ASSIGN(const Certificate certificate, sign_certificate(key.get(), hosts, rng));
  TRY_ASSIGN(const File key_file, create(key_path, 0600));
  if (PEM_write_PrivateKey(key_file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) return failed();
  TRY_ASSIGN(const File file, create(certificate_path, 0644));
  if (PEM_write_X509(file.get(), certificate.get()) != 1) return failed();
  return {};
}

}  // namespace drover::server
