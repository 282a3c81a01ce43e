#include "common/net/http_client.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "common/net/client_impl.h"

namespace drover::net {
namespace {

namespace asio = boost::asio;
using detail::Exchange;
using detail::TlsContext;
using detail::Transport;
using detail::Watch;

bool repeatable(const ClientRequest& request) {
  switch (request.method) {
    case Method::get:
    case Method::head:
    case Method::put:
    case Method::del: return true;
    default: return request.repeatable;
  }
}

class Client final : public HttpClient {
 public:
  Client(asio::any_io_executor executor, ClientOptions options, Url url, std::shared_ptr<TlsContext> tls)
      : executor_(std::move(executor)), options_(std::move(options)), url_(std::move(url)), tls_(std::move(tls)) {}

  asio::awaitable<Result<ClientResponse>> send(ClientRequest request) override {
    std::unique_ptr<Transport> kept = take_kept();
    if (kept) {
      Running first(*this, request);
      first.exchange.use(std::move(kept));
      Status done = co_await first.exchange.run();
      if (done) co_return finish(first.exchange);
      if (!first.exchange.unheard() || !repeatable(request)) co_return std::move(done).error();
    }
    Running fresh(*this, request);
    CO_TRY(co_await fresh.exchange.connect());
    Status done = co_await fresh.exchange.run();
    if (!done) co_return std::move(done).error();
    co_return finish(fresh.exchange);
  }

  void close() override {
    idle_.clear();
    // A copy: an exchange that ends takes itself off the list.
    const std::vector<Exchange*> running = running_;
    for (Exchange* exchange : running) exchange->cancel();
  }

 private:
  struct Kept {
    std::unique_ptr<Transport> transport;
    MonoTime since;
  };

  // An exchange that close() can reach.
  struct Running {
    Running(Client& owner, const ClientRequest& request)
        : client(owner), exchange(owner.executor_, owner.options_, owner.url_, owner.tls_.get(), request) {
      client.running_.push_back(&exchange);
    }
    ~Running() { std::erase(client.running_, &exchange); }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    Client& client;
    Exchange exchange;
  };

  std::unique_ptr<Transport> take_kept() {
    const MonoTime oldest = Watch::now() - options_.max_idle_age;
    while (!idle_.empty()) {
      Kept kept = std::move(idle_.back());
      idle_.pop_back();
      if (kept.since >= oldest && !kept.transport->stale()) return std::move(kept.transport);
    }
    return nullptr;
  }

  Result<ClientResponse> finish(Exchange& exchange) {
    auto transport = exchange.release();
    if (transport && idle_.size() < options_.max_idle) {
      Kept kept{std::move(transport), Watch::now()};
      idle_.push_back(std::move(kept));
    }
    return std::move(exchange.response());
  }

  asio::any_io_executor executor_;
  ClientOptions options_;
  Url url_;
  std::shared_ptr<TlsContext> tls_;
  std::vector<Kept> idle_;
  std::vector<Exchange*> running_;
};

// co_spawn wants a result that can be made from nothing.
asio::awaitable<void> send_into(HttpClient* client, ClientRequest request, std::optional<Result<ClientResponse>>* out) {
  out->emplace(co_await client->send(std::move(request)));
}

class BlockingClient final : public BlockingHttpClient {
 public:
  Status open(ClientOptions options) {
    TRY_ASSIGN(client_, HttpClient::create(io_.get_executor(), std::move(options)));
    return {};
  }

  Result<ClientResponse> send(ClientRequest request) override {
    std::optional<Result<ClientResponse>> out;
    std::exception_ptr thrown;
    asio::co_spawn(io_, send_into(client_.get(), std::move(request), &out),
                   [&thrown](std::exception_ptr e) { thrown = e; });
    io_.restart();
    io_.run();
    if (thrown) std::rethrow_exception(thrown);
    if (!out) return Error(Code::cancelled, "the request was cancelled");
    return std::move(*out);
  }

 private:
  asio::io_context io_{1};
  std::unique_ptr<HttpClient> client_;
};

}  // namespace

Result<std::unique_ptr<HttpClient>> HttpClient::create(asio::any_io_executor executor, ClientOptions options) {
  TRY_ASSIGN(Url url, Url::parse(options.base_url));
  std::shared_ptr<TlsContext> tls;
  if (url.tls) {
    TRY_ASSIGN(tls, TlsContext::client(options.tls));
  }
  return std::unique_ptr<HttpClient>(
      std::make_unique<Client>(std::move(executor), std::move(options), std::move(url), std::move(tls)));
}

Result<std::unique_ptr<BlockingHttpClient>> BlockingHttpClient::create(ClientOptions options) {
  auto client = std::make_unique<BlockingClient>();
  TRY(client->open(std::move(options)));
  return std::unique_ptr<BlockingHttpClient>(std::move(client));
}

}  // namespace drover::net
