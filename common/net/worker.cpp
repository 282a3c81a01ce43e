// One io thread of the server: accepting, the clock tick, deadlines, stopping.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "common/net/server_impl.h"
#include "common/obs/log.h"

namespace drover::net::detail {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

// Connections taken before those that are there already get their turn again.
constexpr int kAcceptsInARow = 64;
constexpr int kBacklog = 4096;
constexpr std::chrono::milliseconds kShortestTick{2}, kLongestTick{500};
// After "too many open files" and the like.
constexpr std::chrono::milliseconds kAcceptPause{100};

// Deadlines are looked at once a tick: an eighth of the shortest of them.
std::chrono::milliseconds choose_tick(const HttpServerOptions& options) {
  const auto shortest = std::min(std::min(options.header_timeout, options.body_timeout),
                                 std::min(options.write_timeout, options.idle_timeout));
  return std::clamp(shortest / 8, kShortestTick, kLongestTick);
}

std::string http_date(WallTime time) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  char text[80];
  std::snprintf(text, sizeof text, "Date: %s, %02u %s %04d %02d:%02d:%02d GMT\r\n",
                kDays[std::chrono::weekday(day).c_encoding()], static_cast<unsigned>(date.day()),
                kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text;
}

std::string address_text(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET)
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof text);
  else if (address.ss_family == AF_INET6)
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, text, sizeof text);
  return text;
}

}  // namespace

struct Worker::Acceptor {
  Acceptor(asio::io_context& io, bool tls_connections) : socket(io), pause(io), tls(tls_connections) {}
  tcp::acceptor socket;
  asio::steady_timer pause;
  bool tls;
};

Worker::Worker(ServerShared& shared)
    : shared_(shared),
      io_(std::make_unique<asio::io_context>(1)),
      work_(io_->get_executor()),
      timer_(*io_),
      scratch_(std::make_unique<char[]>(kScratch)),
      tick_(choose_tick(shared.options)) {
  refresh_time();
}

Worker::~Worker() {
  finish();
  acceptors_.clear();
  timer_.reset();
  work_.reset();
  io_.reset();
}

Result<std::uint16_t> Worker::listen(const Listen& where) {
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(where.address, ec);
  if (ec) return Error(Code::invalid_argument, "'" + where.address + "' is not an IP address");
  auto acceptor = std::make_unique<Acceptor>(*io_, where.tls);
  tcp::acceptor& socket = acceptor->socket;
  const tcp::endpoint endpoint(address, where.port);
  socket.open(endpoint.protocol(), ec);
  if (!ec) socket.set_option(tcp::acceptor::reuse_address(true), ec);
  const int on = 1;
  // Every worker listens on a socket of its own; connections inherit TCP_NODELAY.
  ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (!ec) socket.bind(endpoint, ec);
  if (!ec) socket.listen(kBacklog, ec);
  if (!ec) socket.non_blocking(true, ec);
  if (ec)
    return Error(Code::io, "listening on " + where.address + ":" + std::to_string(where.port) + ": " + ec.message());
  const std::uint16_t port = socket.local_endpoint().port();
  acceptors_.push_back(std::move(acceptor));
  return port;
}

void Worker::start() {
  for (const auto& acceptor : acceptors_) wait_to_accept(*acceptor);
  sweep();
  thread_ = std::thread([this] { io_->run(); });
}

void Worker::wait_to_accept(Acceptor& acceptor) {
  acceptor.socket.async_wait(tcp::acceptor::wait_read, [this, &acceptor](boost::system::error_code ec) {
    if (ec || stopping_) return;
    accept_some(acceptor);
  });
}

void Worker::accept_some(Acceptor& acceptor) {
  for (int i = 0; i < kAcceptsInARow; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    const int fd = ::accept4(acceptor.socket.native_handle(), reinterpret_cast<sockaddr*>(&address), &size,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      adopt(fd, acceptor, &address);
      continue;
    }
    if (errno == ECONNABORTED || errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) break;
    log::warn("no connection can be taken", {{"reason", std::strerror(errno)}});
    acceptor.pause.expires_after(kAcceptPause);
    acceptor.pause.async_wait([this, &acceptor](boost::system::error_code ec) {
      if (!ec && !stopping_) accept_some(acceptor);
    });
    return;
  }
  if (!stopping_) wait_to_accept(acceptor);
}

void Worker::adopt(int fd, const Acceptor& acceptor, const void* address) {
  auto& stats = shared_.stats;
  stats.accepted.fetch_add(1, std::memory_order_relaxed);
  if (stats.open.load(std::memory_order_relaxed) >= shared_.options.max_connections) {
    stats.refused.fetch_add(1, std::memory_order_relaxed);
    ::close(fd);
    return;
  }
  const auto& peer = *static_cast<const sockaddr_storage*>(address);
  tcp::socket socket(*io_);
  boost::system::error_code ec;
  socket.assign(peer.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), fd, ec);
  if (ec) {
    ::close(fd);
    return;
  }
  auto connection = std::make_shared<Connection>(*this, std::move(socket), address_text(peer), acceptor.tls);
  stats.open.fetch_add(1, std::memory_order_relaxed);
  connection->index = connections_.size();
  connections_.push_back(connection.get());
  asio::co_spawn(*io_, Connection::run(std::move(connection)), asio::detached);
}

void Worker::remove(Connection& connection) {
  shared_.stats.open.fetch_sub(1, std::memory_order_relaxed);
  connections_[connection.index] = connections_.back();
  connections_[connection.index]->index = connection.index;
  connections_.pop_back();
  if (!stopping_ || !connections_.empty()) return;
  const std::lock_guard lock(drained_mutex_);
  drained_ = true;
  drained_changed_.notify_all();
}

void Worker::refresh_time() {
  now_ = system_clock().mono();
  const WallTime wall = system_clock().wall();
  if (wall == date_) return;
  date_ = wall;
  date_line_ = http_date(wall);
}

void Worker::sweep() {
  refresh_time();
  for (Connection* connection : connections_) connection->check_deadline(now_);
  timer_->expires_after(tick_);
  timer_->async_wait([this](boost::system::error_code ec) {
    if (!ec) sweep();
  });
}

void Worker::begin_stop() {
  asio::post(*io_, [this] {
    // Who has connected already is answered; only then is the door shut.
    for (const auto& acceptor : acceptors_) accept_some(*acceptor);
    stopping_ = true;
    for (const auto& acceptor : acceptors_) {
      boost::system::error_code ignored;
      acceptor->pause.cancel();
      acceptor->socket.close(ignored);
    }
    for (Connection* connection : connections_) connection->stop_if_idle();
    const std::lock_guard lock(drained_mutex_);
    drained_ = connections_.empty();
    drained_changed_.notify_all();
  });
}

bool Worker::wait_until_drained(std::chrono::steady_clock::time_point until) {
  std::unique_lock lock(drained_mutex_);
  return drained_changed_.wait_until(lock, until, [this] { return drained_; });
}

// What is left is cut off, but lives on until the destructor: another thread may still answer a coroutine that waits, and
// that answer needs an event loop to go to, if only one that stands still.
void Worker::finish() {
  io_->stop();
  if (!thread_.joinable()) return;
  thread_.join();
  for (Connection* connection : connections_) connection->cut();
}

}  // namespace drover::net::detail
