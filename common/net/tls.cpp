// Certificates, protocol versions and the socket side of OpenSSL.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <cerrno>
#include <ctime>

#include "common/net/transport_impl.h"

namespace drover::net::detail {
namespace {

constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr const char* kGroups = "X25519:P-256";

std::string openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown TLS error";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "TLS error " + std::to_string(code);
}

int choose_http11(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                  unsigned int in_size, void*) {
  static constexpr unsigned char kOurs[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kOurs, sizeof kOurs - 1, in, in_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

std::shared_ptr<TlsContext> make_context(const SSL_METHOD* method) {
  SSL_CTX* context = SSL_CTX_new(method);
  if (context == nullptr) return nullptr;
  auto owner = std::make_shared<TlsContext>(context);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context, kCiphers);
  SSL_CTX_set1_groups_list(context, kGroups);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // Idle connections give their record buffers (34 KiB) back; one recv(2) takes a record with its header.
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  return owner;
}

// The socket as OpenSSL sees it. Its own one writes without MSG_NOSIGNAL.
int socket_fd(BIO* bio) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }

int bio_result(BIO* bio, ssize_t n, int retry_flag) {
  BIO_clear_retry_flags(bio);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
    BIO_set_flags(bio, retry_flag | BIO_FLAGS_SHOULD_RETRY);
  return static_cast<int>(n);
}

int bio_write(BIO* bio, const char* data, int size) {
  return bio_result(bio, ::send(socket_fd(bio), data, static_cast<std::size_t>(size), MSG_NOSIGNAL), BIO_FLAGS_WRITE);
}

int bio_read(BIO* bio, char* data, int size) {
  return bio_result(bio, ::recv(socket_fd(bio), data, static_cast<std::size_t>(size), 0), BIO_FLAGS_READ);
}

long bio_ctrl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO_METHOD* socket_bio() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "drover socket");
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_ctrl(made, bio_ctrl);
    return made;
  }();
  return method;
}

SSL* make_ssl(const TlsContext& context, int fd) {
  SSL* ssl = SSL_new(context.get());
  BIO* bio = ssl != nullptr ? BIO_new(socket_bio()) : nullptr;
  if (bio == nullptr) {
    SSL_free(ssl);
    return nullptr;
  }
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  return ssl;
}

}  // namespace

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

WallTime TlsContext::expires() const {
  const X509* certificate = SSL_CTX_get0_certificate(context_);
  tm time{};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) != 1) return WallTime::max();
  return WallTime(std::chrono::seconds(timegm(&time)));
}

namespace {

Status use_own_certificate(SSL_CTX* context, const TlsFiles& files) {
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1)
    return Error(Code::io, "certificate " + files.certificate + ": " + openssl_error());
  if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) == 1 &&
      SSL_CTX_check_private_key(context) == 1)
    return {};
  const int reason = ERR_GET_REASON(ERR_peek_last_error());
  if (reason != X509_R_KEY_VALUES_MISMATCH && reason != X509_R_KEY_TYPE_MISMATCH)
    return Error(Code::io, "private key " + files.key + ": " + openssl_error());
  ERR_clear_error();
  return Error(Code::invalid_argument, "private key " + files.key + " does not belong to " + files.certificate);
}

// A client that shows no certificate is let in: which addresses need one is not for this layer to say.
Status ask_for_certificates(SSL_CTX* context, const std::string& authority) {
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(authority.c_str());
  if (names == nullptr || SSL_CTX_load_verify_file(context, authority.c_str()) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return Error(Code::io, "authority of clients " + authority + ": " + openssl_error());
  }
  SSL_CTX_set_client_CA_list(context, names);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  return {};
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::server(const TlsFiles& files) {
  ERR_clear_error();
  auto context = make_context(TLS_server_method());
  if (!context) return Error(Code::internal, openssl_error());
  SSL_CTX_set_options(context->get(), SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  // No tickets: devices keep their connection or come back after hours, and a stolen ticket key would undo
  // forward secrecy.
  SSL_CTX_set_options(context->get(), SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context->get(), 0);
  SSL_CTX_set_alpn_select_cb(context->get(), choose_http11, nullptr);
  TRY(use_own_certificate(context->get(), files));
  if (!files.authority.empty()) TRY(ask_for_certificates(context->get(), files.authority));
  return context;
}

Result<std::shared_ptr<TlsContext>> TlsContext::client(const TlsFiles& files) {
  ERR_clear_error();
  auto context = make_context(TLS_client_method());
  if (!context) return Error(Code::internal, openssl_error());
  const int loaded = files.authority.empty() ? SSL_CTX_set_default_verify_paths(context->get())
                                             : SSL_CTX_load_verify_file(context->get(), files.authority.c_str());
  if (loaded != 1) return Error(Code::io, "CA certificates " + files.authority + ": " + openssl_error());
  SSL_CTX_set_verify(context->get(), SSL_VERIFY_PEER, nullptr);
  if (!files.certificate.empty()) TRY(use_own_certificate(context->get(), files));
  return context;
}

bool Transport::begin_server_tls(const TlsContext& context) {
  ssl_ = make_ssl(context, socket_.native_handle());
  if (ssl_ != nullptr) SSL_set_accept_state(ssl_);
  return ssl_ != nullptr;
}

bool Transport::begin_client_tls(const TlsContext& context, const std::string& host) {
  ssl_ = make_ssl(context, socket_.native_handle());
  if (ssl_ == nullptr) return false;
  SSL_set_connect_state(ssl_);
  boost::system::error_code not_an_address;
  boost::asio::ip::make_address(host, not_an_address);
  if (!not_an_address) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), host.c_str()) == 1;
  SSL_set_hostflags(ssl_, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set1_host(ssl_, host.c_str()) == 1 && SSL_set_tlsext_host_name(ssl_, host.c_str()) == 1;
}

void Transport::judge_dates(std::optional<WallTime> time) {
  X509_VERIFY_PARAM* rules = SSL_get0_param(ssl_);
  if (time)
    X509_VERIFY_PARAM_set_time(rules, time->time_since_epoch().count());
  else
    X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_NO_CHECK_TIME);
}

Io Transport::handshake() {
  ERR_clear_error();
  return ssl_result(SSL_do_handshake(ssl_)).state;
}

std::optional<std::string> Transport::peer_name() const {
  const X509* certificate = ssl_ != nullptr ? SSL_get0_peer_certificate(ssl_) : nullptr;
  if (certificate == nullptr || SSL_get_verify_result(ssl_) != X509_V_OK) return std::nullopt;
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  const X509_NAME_ENTRY* entry = at >= 0 ? X509_NAME_get_entry(subject, at) : nullptr;
  unsigned char* text = nullptr;
  const int size = entry != nullptr ? ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry)) : -1;
  std::string name(reinterpret_cast<const char*>(text), size > 0 ? static_cast<std::size_t>(size) : 0);
  OPENSSL_free(text);
  return name;
}

std::string Transport::handshake_failure(bool& untrusted) const {
  const long verified = SSL_get_verify_result(ssl_);
  untrusted = verified != X509_V_OK;
  if (untrusted) return X509_verify_cert_error_string(verified);
  return openssl_error();
}

}  // namespace drover::net::detail
