// An HTTP/1.1 client for one server (one base URL), over TCP or TLS, with keep-alive.
//
// HttpClient is for a coroutine on an io_context that one thread runs; it may have several requests in flight (each on
// a connection of its own, kept for the next one). BlockingHttpClient is the same for code without an event loop.
// A status such as 404 or 503 is an answer, not an error. Errors:
//   timeout          no answer, or not all of it, before a deadline; or slower than min_rate for stall_timeout
//   unavailable      name not found, connection refused or reset, answer cut short
//   unauthenticated  the server's certificate is not trusted or is for another name
//   malformed        the answer is not HTTP
//   too_large        header or body over its bound
//   cancelled        close() was called
//   io               a file to be sent cannot be read; whatever a sink returns is passed on as it is
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "common/net/http.h"
#include "common/net/tls_files.h"
#include "common/time/clock.h"

namespace drover::net {

struct ClientOptions {
  std::string base_url;  // "https://host[:port][/prefix]" or "http://..."
  TlsFiles tls;          // authority of the server, empty: the system's store; a certificate of its own if it has one
  // What the dates of the server's certificate are judged by; nothing: not at all, for a machine that does not know
  // what time it is. Asked for each connection. Empty: the machine's clock.
  std::function<std::optional<WallTime>()> certificate_time{};
  std::string user_agent = "drover";
  std::chrono::milliseconds connect_timeout{10'000};  // name, TCP and TLS together
  std::chrono::milliseconds deadline{30'000};         // of a request that has none of its own
  std::chrono::milliseconds stall_timeout{30'000};    // a transfer below min_rate for so long is given up
  std::uint32_t min_rate = 128;                       // bytes a second, measured over stall_timeout
  std::size_t max_idle = 2;                           // connections kept
  std::chrono::seconds max_idle_age{60};              // and how long
};

class ClientResponse {
 public:
  int status = 0;
  HeaderLines headers;
  std::string body;            // empty when a sink took it
  std::uint64_t received = 0;  // body bytes, wherever they went

  std::string_view header(std::string_view name) const { return headers.get(name); }
  bool ok() const { return status >= 200 && status < 300; }
};

// Takes a body as it arrives. Calls are in order, on the client's thread; taking its time is the back-pressure.
// An error ends the request and is what the caller gets.
class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  // Once, with status and headers, only for 200 and 206; other bodies go to ClientResponse::body.
  // To resume a download look at the status and at Content-Range (common/net/ranges.h) here: 200 starts at byte 0.
  virtual Status begin(const ClientResponse& head) = 0;
  virtual Status write(std::string_view chunk) = 0;
};

struct ClientRequest {
  Method method = Method::get;
  std::string target;   // appended to the base URL: "/api/v1/...", encoded
  HeaderLines headers;  // Host, Content-Length, User-Agent and Connection are added
  std::variant<std::string, FileBody> body;
  std::chrono::milliseconds deadline{0};       // whole request with its answer; 0: the options' one. With a sink choose
                                               // hours: stalls are found by min_rate
  std::size_t max_body = 1024 * 1024;          // of a body kept in memory
  std::uint64_t max_streamed = UINT64_MAX;     // of a body that goes to the sink
  ResponseSink* sink = nullptr;                // must live until send() has returned
  std::uint64_t max_rate = 0;                  // bytes a second from the server; 0: no cap
  bool repeatable = false;                     // may be sent twice (idempotent). GET, HEAD, PUT and DELETE are anyway.
};

class HttpClient {
 public:
  // invalid_argument for a bad URL, io for a CA file that cannot be read. Connects only when asked to send.
  static Result<std::unique_ptr<HttpClient>> create(boost::asio::any_io_executor executor, ClientOptions options);
  virtual ~HttpClient() = default;  // no request may be in flight

  // A kept connection that the server has closed is replaced once, if the request is repeatable.
  virtual boost::asio::awaitable<Result<ClientResponse>> send(ClientRequest request) = 0;
  // Ends requests in flight with `cancelled` and drops kept connections. The client stays usable.
  virtual void close() = 0;
};

// For tools. Not thread-safe.
class BlockingHttpClient {
 public:
  static Result<std::unique_ptr<BlockingHttpClient>> create(ClientOptions options);
  virtual ~BlockingHttpClient() = default;
  virtual Result<ClientResponse> send(ClientRequest request) = 0;
};

struct Url {
  bool tls = false;
  std::string host;  // without brackets
  std::uint16_t port = 0;
  std::string prefix;  // "" or "/x", never ends in '/'

  // invalid_argument with a sentence that says what is wrong.
  static Result<Url> parse(std::string_view text);
  // As it stands in a Host header.
  std::string authority() const;
};

}  // namespace drover::net
