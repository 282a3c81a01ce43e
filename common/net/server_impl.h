// Internal: the parts of HttpServer. A Worker is one io thread with its connections; a Connection serves one client.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "common/net/http_server.h"
#include "common/net/parser_impl.h"
#include "common/net/transport_impl.h"
#include "common/time/clock.h"

namespace drover::net::detail {

class Connection;

// What all workers share; does not change while they run, but for the certificate.
struct ServerShared {
  HttpServerOptions options;
  Handler handler;
  FastPath fast;
  BodyPlanner plan;
  HttpServerStats stats;

  std::shared_ptr<TlsContext> tls() const {
    const std::lock_guard lock(tls_mutex);
    return tls_context;
  }
  mutable std::mutex tls_mutex;
  std::shared_ptr<TlsContext> tls_context;
};

class Worker {
 public:
  explicit Worker(ServerShared& shared);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Before start(): binds one more listening socket; gives the port.
  Result<std::uint16_t> listen(const Listen& where);
  void start();
  // From other threads.
  void begin_stop();
  bool wait_until_drained(std::chrono::steady_clock::time_point until);
  // Cuts off what is left and joins.
  void finish();
  boost::asio::any_io_executor executor() { return io_->get_executor(); }

  // For connections, on the worker's thread.
  ServerShared& shared() { return shared_; }
  boost::asio::io_context& io() { return *io_; }
  bool stopping() const { return stopping_; }
  // The time of the last sweep; deadlines are as exact as tick().
  MonoTime now() const { return now_; }
  std::chrono::milliseconds tick() const { return tick_; }
  const std::string& date_line() const { return date_line_; }
  char* scratch() { return scratch_.get(); }  // kScratch bytes, for use between two waits
  void remove(Connection& connection);
  static constexpr std::size_t kScratch = 64 * 1024;

 private:
  struct Acceptor;
  void wait_to_accept(Acceptor& acceptor);
  void accept_some(Acceptor& acceptor);
  void adopt(int fd, const Acceptor& acceptor, const void* address);
  void sweep();
  void refresh_time();

  ServerShared& shared_;
  // Ends before everything else here: with it go the coroutines that were cut off, and they still use the rest.
  std::unique_ptr<boost::asio::io_context> io_;
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
  std::optional<boost::asio::steady_timer> timer_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  std::vector<Connection*> connections_;
  std::unique_ptr<char[]> scratch_;
  std::chrono::milliseconds tick_;
  MonoTime now_;
  WallTime date_{};
  std::string date_line_;
  bool stopping_ = false;
  std::thread thread_;

  std::mutex drained_mutex_;
  std::condition_variable drained_changed_;
  bool drained_ = false;
};

class Connection final : public std::enable_shared_from_this<Connection>, private BodyReader {
 public:
  Connection(Worker& worker, boost::asio::ip::tcp::socket socket, std::string remote, bool tls);
  ~Connection() override;

  static boost::asio::awaitable<void> run(std::shared_ptr<Connection> self);
  // Called by the worker's sweep.
  void check_deadline(MonoTime now);
  // Ends it now if it waits for a request; otherwise it ends after the answer.
  void stop_if_idle();
  void cut() { transport_.cut(); }
  std::size_t index = 0;  // in the worker's list

 private:
  enum class Phase : std::uint8_t { start, head, body, complete };
  enum class Step : std::uint8_t { need_input, request, refuse };
  enum class Push : std::uint8_t { sent, want_read, want_write, yield, failed };

  // -- receiving
  Step advance();
  Step after_header();
  void parse_some();
  Step parse_failure();
  Step refuse(int status, Code code, std::string_view detail);
  // Takes what the socket has; false when the connection is over.
  Io receive();
  boost::asio::awaitable<Io> receive_slowly();
  boost::asio::awaitable<Result<std::string_view>> next() override;
  boost::asio::awaitable<bool> shake_hands();

  // -- answering
  void queue(Response& response);
  void append_head(const Response& response, std::uint64_t length);
  Push push();
  Push push_file();
  bool fill_from_file();
  boost::asio::awaitable<bool> drain();
  boost::asio::awaitable<void> call_handler();
  boost::asio::awaitable<void> linger();

  boost::asio::awaitable<bool> serve();
  void arm(std::chrono::milliseconds after) { deadline_ = worker_.now() + after + worker_.tick(); }
  void arm_for(std::uint64_t bytes, std::chrono::milliseconds base, std::chrono::nanoseconds waited);
  void disarm() { deadline_ = MonoTime::max(); }

  Worker& worker_;
  ServerShared& shared_;
  Transport transport_;
  const bool tls_;
  std::string remote_;
  std::string client_name_;

  MonoTime deadline_ = MonoTime::max();
  bool expired_ = false;
  bool idle_ = true;  // nothing of a request has come yet
  bool first_ = true;
  bool keep_ = true;
  bool linger_ = false;  // the client may still be sending
  Phase phase_ = Phase::start;

  std::string in_;
  std::size_t in_used_ = 0;
  std::optional<RequestBuilder> parser_;
  boost::beast::error_code parse_error_;
  Request request_;
  bool owes_continue_ = false;
  std::chrono::nanoseconds body_waited_{0};
  std::string chunk_;

  Response response_;
  std::string out_;
  std::size_t out_used_ = 0;
  std::string_view tail_;  // of response_.body, when it is too big to copy
  bool sending_file_ = false;
  FileBody file_;
  std::string file_block_;  // TLS only: what was read of the file and is not written yet
  std::size_t file_block_used_ = 0;
  std::uint64_t pushed_ = 0;
};

}  // namespace drover::net::detail
