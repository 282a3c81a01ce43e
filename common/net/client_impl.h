// Internal: one request of HttpClient with its answer.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <optional>

#include "common/net/http_client.h"
#include "common/net/parser_impl.h"
#include "common/net/transport_impl.h"
#include "common/time/clock.h"

namespace drover::net::detail {

// Cuts a request off: at its deadline, at the end of its phase (connecting), or when too few bytes have moved.
// One timer, set again only when it fires.
class Watch : public std::enable_shared_from_this<Watch> {
 public:
  Watch(boost::asio::any_io_executor executor, std::chrono::milliseconds deadline);
  // `cut` must make every wait of the request return. It is not called after stop().
  void start(std::function<void()> cut);
  void stop();
  void limit_phase(std::chrono::milliseconds length);
  void end_phase() { phase_end_ = MonoTime::max(); }
  // From now on at least `bytes` must move in every `window`.
  void expect_progress(std::chrono::milliseconds window, std::uint64_t bytes);
  void expect_nothing() { window_end_ = MonoTime::max(); }
  void moved(std::uint64_t bytes) { moved_ += bytes; }
  void cancel();
  // Set when it has cut: timeout or cancelled.
  const std::optional<Error>& verdict() const { return verdict_; }
  static MonoTime now() { return system_clock().mono(); }

 private:
  void set_timer();
  void look();
  void end_with(Code code, std::string_view why);

  boost::asio::steady_timer timer_;
  std::function<void()> cut_;
  MonoTime deadline_, phase_end_ = MonoTime::max(), window_end_ = MonoTime::max();
  std::chrono::milliseconds window_{0};
  std::uint64_t expected_ = 0, moved_ = 0;
  std::optional<Error> verdict_;
};

class Exchange {
 public:
  Exchange(boost::asio::any_io_executor executor, const ClientOptions& options, const Url& url,
           const TlsContext* tls, const ClientRequest& request);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  void use(std::unique_ptr<Transport> kept) { transport_ = std::move(kept); }
  boost::asio::awaitable<Status> connect();
  // Sends the request and reads the whole answer into response().
  boost::asio::awaitable<Status> run();
  void cancel() { watch_->cancel(); }

  ClientResponse& response() { return response_; }
  // The server closed before it had said anything: on a kept connection that means nothing about the request.
  bool unheard() const { return !heard_ && unheard_ && !watch_->verdict(); }
  // The connection, when it is fit for another request.
  std::unique_ptr<Transport> release();

 private:
  boost::asio::awaitable<Status> connect_socket();
  boost::asio::awaitable<Status> shake_hands();
  boost::asio::awaitable<Status> send_request();
  boost::asio::awaitable<Status> send_bytes(std::string_view bytes);
  boost::asio::awaitable<Status> send_file(FileBody file);
  boost::asio::awaitable<Status> read_answer();
  boost::asio::awaitable<Status> pace();
  boost::asio::awaitable<bool> wait(Io direction);
  std::string request_head() const;
  // What has come while we were sending: true when the server answers already.
  bool answered_early();
  void begin_answer();
  Status parse_some();
  Status take_header();
  Status take_body();
  Status end_of_stream();
  Error failure(Code code, std::string_view what) const;
  void cut();

  boost::asio::any_io_executor executor_;
  const ClientOptions& options_;
  const Url& url_;
  const TlsContext* tls_;
  const ClientRequest& request_;
  std::shared_ptr<Watch> watch_;
  std::optional<boost::asio::ip::tcp::resolver> resolver_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<char[]> block_;
  std::string in_;
  ClientResponse response_;
  std::optional<ResponseBuilder> parser_;
  bool streaming_ = false, header_seen_ = false, heard_ = false, unheard_ = false, reusable_ = false, sent_all_ = false;
  MonoTime stream_started_{};
};

}  // namespace drover::net::detail
