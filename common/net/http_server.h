// An HTTP/1.1 server over TCP and TLS for one process: it owns its threads, listeners and connections.
//
// Threads: HttpServer runs `threads` io threads, each with its own io_context and its own listening socket
// (SO_REUSEPORT); a connection stays on the thread that accepted it. Handlers run there and must not block; a handler
// that waits for another thread awaits it on its own executor (boost::asio::this_coro::executor).
// Bounds: every size and every wait below has a limit; a client that is too slow, too big or not HTTP is cut off.
#pragma once

#include <any>
#include <array>
#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/net/http.h"
#include "common/net/tls_files.h"
#include "common/time/clock.h"

namespace drover::net {

// The body of a streamed request (see BodyPlan), pulled by the handler. Not pulling is the back-pressure.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  // The next bytes, at most kMaxChunk; empty at the end of the body. The view is good until the next call.
  // timeout (client too slow), too_large (over the plan's limit), unavailable (client went away), malformed.
  virtual boost::asio::awaitable<Result<std::string_view>> next() = 0;
  static constexpr std::size_t kMaxChunk = 256 * 1024;
};

// One request. Belongs to the connection and is used again: everything in it is good until the handler has finished.
class Request {
 public:
  Method method = Method::other;
  std::string_view target;  // as sent, e.g. "/api/v1/devices?limit=3"
  std::string_view path;    // as sent, without the query: still percent-encoded
  std::string_view query;   // as sent, without '?'
  std::string body;         // whole body; empty when it is streamed
  std::uint64_t content_length = 0;  // as announced; 0 when not known (chunked)
  BodyReader* stream = nullptr;  // set when the plan says so
  std::string_view remote;       // the peer's address as text, without the port
  bool secure = false;           // came over TLS
  bool certified = false;        // the client has shown a certificate of the listener's client authority
  std::string_view client_name;  // the common name in it
  std::any context;              // for handlers (who is calling, matched route, ...); emptied for each request

  // Value of the first header of that name (case does not matter); empty when absent.
  std::string_view header(std::string_view name) const;
  // The token of "Authorization: Bearer <token>"; empty when absent. Found while parsing: costs nothing.
  std::string_view bearer() const { return bearer_; }
  // "/a/b%3Ac" gives {"a", "b:c"}; malformed for a broken escape.
  Result<std::vector<std::string>> path_segments() const;
  // Decoded query parameter, first of that name. nullopt when absent or when the query does not decode.
  std::optional<std::string> query_param(std::string_view name) const;

 private:
  friend class RequestBuilder;
  struct Span {
    std::uint32_t name = 0, name_size = 0, value = 0, value_size = 0;
  };
  std::string storage_;      // target and headers, one after the other
  std::vector<Span> fields_;  // into storage_
  std::string_view bearer_;
};

// One answer. Content-Length, Date and Connection are added by the server; HEAD sends no body but its length.
class Response {
 public:
  using Body = std::variant<std::string, std::shared_ptr<const std::string>, FileBody>;

  Response() = default;
  explicit Response(int status_code) : status(status_code) {}
  Response(int status_code, std::string_view type, std::string text) : status(status_code), body(std::move(text)) {
    content_type = type;
  }

  int status = 200;
  std::string_view content_type;  // a literal, or something that outlives the response; empty: none is sent
  HeaderLines headers;
  Body body;
  bool close = false;  // close the connection after it

  // Ready for another request; keeps memory.
  void clear();
};

// application/problem+json as every error of the API: {"type","title","status","code","detail"}.
Response problem_response(const Error& error);
Response problem_response(int status, Code code, std::string_view detail);

using Handler = std::function<boost::asio::awaitable<Response>(Request&)>;
// Tried first for every request whose body is complete; answers at once, without a coroutine, or returns false and
// leaves `response` clear. Called on io threads, in parallel. Must not throw.
using FastPath = std::function<bool(const Request&, Response& response)>;

// What to do with a request's body; asked once the header is there (path, method, headers are set).
struct BodyPlan {
  std::uint64_t limit = 64 * 1024;  // larger: 413 before a byte of it is read, where the length is announced
  bool stream = false;              // the handler pulls it through request.stream
};
using BodyPlanner = std::function<BodyPlan(const Request&)>;

struct Listen {
  std::string address = "127.0.0.1";  // numeric
  std::uint16_t port = 0;             // 0: any; HttpServer::port() tells which
  bool tls = false;
};

struct HttpServerOptions {
  std::vector<Listen> listen;
  TlsFiles tls;                  // certificate and key are needed for TLS; with an authority clients may show one too
  unsigned threads = 0;          // 0: one a core
  std::uint32_t max_connections = 20000;  // more are closed at once; each idle one costs a few KiB
  std::size_t max_header = 16 * 1024;     // request line and headers
  std::chrono::milliseconds header_timeout{10'000};  // from accept or first byte to the end of the header
  std::chrono::milliseconds body_timeout{30'000};    // plus the time that min_rate allows for the bytes so far
  std::chrono::milliseconds write_timeout{30'000};   // the same for answers
  std::chrono::milliseconds idle_timeout{75'000};    // keep-alive without a request
  std::uint32_t min_rate = 1024;                     // bytes a second; slower peers are cut off
};

struct HttpServerStats {
  std::atomic<std::uint64_t> accepted{0}, open{0}, refused{0}, requests{0}, fast{0}, failed{0}, timed_out{0};
};

class HttpServer {
 public:
  // Binds and loads certificates at once: io or invalid_argument. No request is served before start().
  static Result<std::unique_ptr<HttpServer>> create(HttpServerOptions options, Handler handler, FastPath fast = {},
                                                    BodyPlanner plan = {});
  virtual ~HttpServer() = default;  // stops at once when still running

  virtual void start() = 0;
  // Port of options.listen[i].
  virtual std::uint16_t port(std::size_t i = 0) const = 0;
  // Stops accepting, closes idle connections, lets requests in flight finish (Connection: close) until the deadline,
  // then cuts off what is left. Blocks; returns true when nothing had to be cut off. Not from an io thread. Coroutines
  // that still wait for other threads stand still from now on, and end with the server: end those threads in between.
  // What a handler waits for elsewhere (a database thread) must still be alive then: end such services after this.
  virtual bool stop(std::chrono::milliseconds deadline) = 0;
  // Loads the TLS files again, for new connections; open ones live on with what they have. The old files stay in use
  // when the new ones are wrong, do not belong together (invalid_argument) or have expired (metadata_expired).
  virtual Status reload_certificates() = 0;
  // When the certificate in use ends; the end of time without TLS.
  virtual WallTime certificate_expires() const = 0;
  // The io threads' executors, for long-lived coroutines of the application (they end with the server).
  virtual std::vector<boost::asio::any_io_executor> executors() = 0;
  virtual const HttpServerStats& stats() const = 0;
};

}  // namespace drover::net
