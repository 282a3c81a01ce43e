// Internal: one non-blocking stream, plain or TLS. OpenSSL works on the socket itself (no copy through memory), so that
// reading, writing and waiting look the same for both. Nothing outside of common/net includes this.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/net/tls_files.h"
#include "common/time/clock.h"

struct ssl_st;
struct ssl_ctx_st;

namespace drover::net::detail {

// Certificates and protocol versions (TLS 1.2 and 1.3, AEAD ciphers with forward secrecy only). Thread-safe.
class TlsContext {
 public:
  // With an authority clients are asked for a certificate: one of another authority ends the handshake, none does not.
  static Result<std::shared_ptr<TlsContext>> server(const TlsFiles& files);
  // Checks the server's certificate against the authority, or against the system's store when none is named. Shows its
  // own certificate when it has one and is asked.
  static Result<std::shared_ptr<TlsContext>> client(const TlsFiles& files);
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ssl_ctx_st* get() const { return context_; }
  // When its own certificate ends; the end of time when it has none.
  WallTime expires() const;

 private:
  ssl_ctx_st* context_;
};

enum class Io : std::uint8_t { done, want_read, want_write, closed, failed };
struct IoResult {
  Io state = Io::done;
  std::size_t bytes = 0;  // for done; never 0
};

class Transport {
 public:
  // Takes a connected (or connecting), non-blocking socket.
  explicit Transport(boost::asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // After one of these, handshake() until it is done. False: out of memory or a host name that cannot be checked.
  bool begin_server_tls(const TlsContext& context);
  bool begin_client_tls(const TlsContext& context, const std::string& host);
  // Before the first handshake(): judge the dates of the peer's certificate by this time, or not at all.
  void judge_dates(std::optional<WallTime> time);
  Io handshake();
  bool tls() const { return ssl_ != nullptr; }
  // Why the last handshake failed, for people; `untrusted` is set when it was the peer's certificate.
  std::string handshake_failure(bool& untrusted) const;
  // The common name in the certificate that the peer has shown and that was verified; nullopt: it has shown none.
  std::optional<std::string> peer_name() const;

  // None of these blocks. want_* says what to wait for before the same call is made again (a write with the same bytes).
  IoResult read(char* data, std::size_t size);
  IoResult write(const char* data, std::size_t size, bool more_follows = false);
  // Plain connections only; `offset` moves on.
  IoResult send_file(int fd, std::uint64_t& offset, std::size_t size);
  // Takes bytes off the socket without looking at them, encrypted or not.
  IoResult discard(char* data, std::size_t size);
  // TLS has decrypted or received bytes that no wait will announce.
  bool has_buffered() const;
  // Received bytes or an end wait in the kernel: an idle kept connection on which this is so is of no use.
  bool stale();

  auto wait(Io direction) {
    return socket_.async_wait(direction == Io::want_write ? boost::asio::ip::tcp::socket::wait_write
                                                          : boost::asio::ip::tcp::socket::wait_read,
                              boost::asio::as_tuple(boost::asio::deferred));
  }
  // Says goodbye (TLS close_notify, FIN) without waiting; reading stays possible.
  void end_writing();
  // Wakes every wait on it; reads and writes then end. May be called while a wait is pending.
  void cut();
  boost::asio::ip::tcp::socket& socket() { return socket_; }

 private:
  IoResult ssl_result(int result);

  boost::asio::ip::tcp::socket socket_;
  ssl_st* ssl_ = nullptr;
  bool broken_ = false;  // a TLS error: not even goodbye may be said
};

}  // namespace drover::net::detail
