// From a base URL to a connection, and the watch over a request's time.
#include <algorithm>
#include <vector>

#include "common/net/client_impl.h"

namespace drover::net::detail {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// Addresses of one name that are tried.
constexpr std::size_t kMaxAddresses = 8;

}  // namespace

Watch::Watch(asio::any_io_executor executor, std::chrono::milliseconds deadline)
    : timer_(std::move(executor)), deadline_(now() + deadline) {}

void Watch::start(std::function<void()> cut) {
  cut_ = std::move(cut);
  set_timer();
}

void Watch::stop() {
  cut_ = nullptr;
  timer_.cancel();
}

// The timer may be set for later than a new limit: what comes first is found only if it is set again.
void Watch::limit_phase(std::chrono::milliseconds length) {
  phase_end_ = now() + length;
  if (cut_) set_timer();
}

void Watch::expect_progress(std::chrono::milliseconds window, std::uint64_t bytes) {
  window_ = window;
  expected_ = std::max<std::uint64_t>(1, bytes);
  moved_ = 0;
  window_end_ = now() + window;
  if (cut_) set_timer();
}

void Watch::set_timer() {
  timer_.expires_at(std::min(std::min(deadline_, phase_end_), window_end_));
  timer_.async_wait([self = shared_from_this()](boost::system::error_code ec) {
    if (!ec && self->cut_) self->look();
  });
}

void Watch::look() {
  const MonoTime time = now();
  if (time >= deadline_) return end_with(Code::timeout, "no complete answer before the deadline");
  if (time >= phase_end_) return end_with(Code::timeout, "no connection in time");
  if (time >= window_end_) {
    if (moved_ < expected_) return end_with(Code::timeout, "the transfer stalled");
    moved_ = 0;
    window_end_ = time + window_;
  }
  set_timer();
}

void Watch::end_with(Code code, std::string_view why) {
  if (verdict_ || !cut_) return;
  verdict_.emplace(code, std::string(why));
  cut_();
}

void Watch::cancel() { end_with(Code::cancelled, "the client was closed"); }

asio::awaitable<Status> Exchange::connect() {
  watch_->limit_phase(options_.connect_timeout);
  CO_TRY(co_await connect_socket());
  if (tls_ != nullptr) CO_TRY(co_await shake_hands());
  watch_->end_phase();
  co_return Status();
}

asio::awaitable<Status> Exchange::connect_socket() {
  std::vector<tcp::endpoint> endpoints;
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(url_.host, ec);
  if (!ec) {
    endpoints.emplace_back(address, url_.port);
  } else {
    resolver_.emplace(executor_);
    const std::string port = std::to_string(url_.port);
    const auto resolved = co_await resolver_->async_resolve(url_.host, port, asio::as_tuple(asio::deferred));
    resolver_.reset();
    if (std::get<0>(resolved)) co_return failure(Code::unavailable, "the name is not known");
    for (const auto& entry : std::get<1>(resolved))
      if (endpoints.size() < kMaxAddresses) endpoints.push_back(entry.endpoint());
  }
  std::string why = "no address";
  for (const tcp::endpoint& endpoint : endpoints) {
    tcp::socket socket(executor_);
    socket.open(endpoint.protocol(), ec);
    if (!ec) socket.non_blocking(true, ec);
    if (!ec) socket.set_option(tcp::no_delay(true), ec);
    if (ec) co_return failure(Code::io, "no socket: " + ec.message());
    transport_ = std::make_unique<Transport>(std::move(socket));
    const auto connected = co_await transport_->socket().async_connect(endpoint, asio::as_tuple(asio::deferred));
    if (watch_->verdict()) break;
    if (!std::get<0>(connected)) co_return Status();
    why = std::get<0>(connected).message();
  }
  transport_.reset();
  co_return failure(Code::unavailable, "no connection: " + why);
}

asio::awaitable<Status> Exchange::shake_hands() {
  if (!transport_->begin_client_tls(*tls_, url_.host)) co_return failure(Code::internal, "TLS cannot be set up");
  if (options_.certificate_time) transport_->judge_dates(options_.certificate_time());
  for (;;) {
    const Io state = transport_->handshake();
    if (state == Io::done) co_return Status();
    if (state == Io::closed) co_return failure(Code::unavailable, "the connection was closed during the TLS handshake");
    if (state == Io::failed) {
      bool untrusted = false;
      const std::string why = transport_->handshake_failure(untrusted);
      if (untrusted) co_return failure(Code::unauthenticated, "the server's certificate is not trusted: " + why);
      co_return failure(Code::unavailable, "the TLS handshake failed: " + why);
    }
    const bool going_on = co_await wait(state);
    if (!going_on) co_return failure(Code::timeout, "cut off during the TLS handshake");
  }
}

}  // namespace drover::net::detail
