#include "common/net/http_server.h"

#include <csignal>

#include "common/net/server_impl.h"

namespace drover::net {
namespace {

using detail::ServerShared;
using detail::TlsContext;
using detail::Worker;

// More threads than this would not be served by the kernel's hashing of connections to sockets any better.
constexpr unsigned kMaxThreads = 64;

class Server final : public HttpServer {
 public:
  Server(HttpServerOptions options, Handler handler, FastPath fast, BodyPlanner plan) {
    shared_.options = std::move(options);
    shared_.handler = std::move(handler);
    shared_.fast = std::move(fast);
    shared_.plan = std::move(plan);
  }
  ~Server() override { stop(std::chrono::milliseconds(0)); }

  Status open() {
    TRY_ASSIGN(std::shared_ptr<TlsContext> context, make_tls());
    use(std::move(context));
    unsigned threads = shared_.options.threads;
    if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < std::min(threads, kMaxThreads); ++i) workers_.push_back(std::make_unique<Worker>(shared_));
    for (Listen where : shared_.options.listen) {
      TRY(probe(where));
      for (const auto& worker : workers_) {
        TRY_ASSIGN(where.port, worker->listen(where));
      }
      ports_.push_back(where.port);
    }
    return {};
  }

  void start() override {
    running_ = true;
    for (const auto& worker : workers_) worker->start();
  }

  std::uint16_t port(std::size_t i) const override { return i < ports_.size() ? ports_[i] : std::uint16_t{0}; }

  bool stop(std::chrono::milliseconds deadline) override {
    if (!running_) return true;
    running_ = false;
    stopped_ = true;
    const auto until = std::chrono::steady_clock::now() + deadline;
    for (const auto& worker : workers_) worker->begin_stop();
    bool all = true;
    for (const auto& worker : workers_) all = worker->wait_until_drained(until) && all;
    for (const auto& worker : workers_) worker->finish();
    return all;
  }

  Status reload_certificates() override {
    TRY_ASSIGN(std::shared_ptr<TlsContext> context, make_tls());
    if (context && context->expires() <= system_clock().wall())
      return Error(Code::metadata_expired, "the certificate " + shared_.options.tls.certificate + " ended at " +
                                               format_time(context->expires()));
    use(std::move(context));
    return {};
  }

  WallTime certificate_expires() const override {
    const auto context = shared_.tls();
    return context ? context->expires() : WallTime::max();
  }

  std::vector<boost::asio::any_io_executor> executors() override {
    std::vector<boost::asio::any_io_executor> out;
    if (stopped_) return out;
    for (const auto& worker : workers_) out.push_back(worker->executor());
    return out;
  }

  const HttpServerStats& stats() const override { return shared_.stats; }

 private:
  // Null when nothing listens with TLS.
  Result<std::shared_ptr<TlsContext>> make_tls() const {
    bool wanted = false;
    for (const Listen& where : shared_.options.listen) wanted = wanted || where.tls;
    return wanted ? TlsContext::server(shared_.options.tls) : std::shared_ptr<TlsContext>();
  }

  void use(std::shared_ptr<TlsContext> context) {
    const std::lock_guard lock(shared_.tls_mutex);
    shared_.tls_context = std::move(context);
  }

  // With SO_REUSEPORT a second server on the same port would not be noticed. This listens once without it.
  static Status probe(const Listen& where) {
    if (where.port == 0) return {};
    boost::system::error_code ec;
    const auto address = boost::asio::ip::make_address(where.address, ec);
    if (ec) return {};  // Worker::listen says it better
    boost::asio::io_context io;
    boost::asio::ip::tcp::acceptor acceptor(io);
    const boost::asio::ip::tcp::endpoint endpoint(address, where.port);
    acceptor.open(endpoint.protocol(), ec);
    if (!ec) acceptor.set_option(boost::asio::ip::tcp::acceptor::reuse_address(true), ec);
    if (!ec) acceptor.bind(endpoint, ec);
    if (!ec) return {};
    return Error(Code::io, "listening on " + where.address + ":" + std::to_string(where.port) + ": " + ec.message());
  }

  ServerShared shared_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::uint16_t> ports_;
  bool running_ = false, stopped_ = false;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::create(HttpServerOptions options, Handler handler, FastPath fast,
                                                       BodyPlanner plan) {
  if (options.listen.empty()) return Error(Code::invalid_argument, "no address to listen on");
  // sendfile(2) has no flag against it; every write tells of a closed connection by its error.
  std::signal(SIGPIPE, SIG_IGN);
  auto server = std::make_unique<Server>(std::move(options), std::move(handler), std::move(fast), std::move(plan));
  TRY(server->open());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace drover::net
