// Serving one client: receiving requests. What goes back is in connection_output.cpp.
#include <boost/beast/http/error.hpp>
#include <exception>

#include "common/net/server_impl.h"
#include "common/obs/log.h"

namespace drover::net::detail {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

// An answer to a pipelined request waits for company up to this size before it is written.
constexpr std::size_t kFlushAt = 64 * 1024;
// An input buffer that grew beyond this is given back between requests.
constexpr std::size_t kKeepInput = 4 * 1024;
// How long and how much a client that still sends is listened to after an answer that ends the connection: closing at
// once would reset the connection and could lose the answer on its way.
constexpr std::chrono::milliseconds kLinger{2000};
constexpr std::size_t kLingerBytes = 4 * 1024 * 1024;

}  // namespace

Connection::Connection(Worker& worker, asio::ip::tcp::socket socket, std::string remote, bool tls)
    : worker_(worker), shared_(worker.shared()), transport_(std::move(socket)), tls_(tls), remote_(std::move(remote)) {
  request_.remote = remote_;
  request_.secure = tls;
  arm(shared_.options.header_timeout);
}

Connection::~Connection() { worker_.remove(*this); }

void Connection::check_deadline(MonoTime now) {
  if (now < deadline_ || expired_) return;
  expired_ = true;
  shared_.stats.timed_out.fetch_add(1, std::memory_order_relaxed);
  cut();
}

void Connection::stop_if_idle() {
  if (idle_) cut();
}

asio::awaitable<void> Connection::run(std::shared_ptr<Connection> self) {
  if (self->tls_) {
    const bool agreed = co_await self->shake_hands();
    if (!agreed) co_return;
  }
  const bool orderly = co_await self->serve();
  if (!orderly) co_return;
  self->transport_.end_writing();
  if (self->linger_) co_await self->linger();
}

asio::awaitable<bool> Connection::shake_hands() {
  const std::shared_ptr<TlsContext> context = shared_.tls();
  if (!transport_.begin_server_tls(*context)) co_return false;
  for (;;) {
    const Io state = transport_.handshake();
    if (state == Io::done) break;
    if (state == Io::closed || state == Io::failed) co_return false;
    co_await transport_.wait(state);
    if (expired_) co_return false;
  }
  std::optional<std::string> name = transport_.peer_name();
  request_.certified = name.has_value();
  client_name_ = std::move(name).value_or(std::string());
  request_.client_name = client_name_;
  co_return true;
}

// One loop for all requests of a connection: no frame is made for a request that the fast path answers.
// False when the client is gone.
asio::awaitable<bool> Connection::serve() {
  for (;;) {
    const Step step = advance();
    if (step == Step::need_input) {
      if (out_.size() > out_used_) {
        const Push pushed = push();
        if (pushed == Push::failed) co_return false;
        if (pushed != Push::sent) {
          const bool drained = co_await drain();
          if (!drained) co_return false;
        }
      }
      if (worker_.stopping() && idle_) co_return true;
      Io state = transport_.has_buffered() || phase_ != Phase::start ? receive() : Io::want_read;
      while (state == Io::want_read || state == Io::want_write) {
        const MonoTime before = worker_.now();
        co_await transport_.wait(state);
        if (phase_ == Phase::body) body_waited_ += worker_.now() - before;
        if (expired_) co_return false;
        state = receive();
      }
      if (state != Io::done) co_return state == Io::closed && idle_;
      continue;
    }
    if (step == Step::request) {
      shared_.stats.requests.fetch_add(1, std::memory_order_relaxed);
      disarm();
      response_.clear();
      if (request_.stream == nullptr && shared_.fast && shared_.fast(request_, response_)) {
        shared_.stats.fast.fetch_add(1, std::memory_order_relaxed);
      } else {
        const bool drained = co_await drain();
        if (!drained) co_return false;
        co_await call_handler();
      }
    }
    queue(response_);
    if (sending_file_ || !tail_.empty() || out_.size() >= kFlushAt || !keep_) {
      const bool drained = co_await drain();
      if (!drained) co_return false;
    }
    if (!keep_) co_return true;
    phase_ = Phase::start;
  }
}

// Goes as far as the bytes at hand allow.
Connection::Step Connection::advance() {
  if (phase_ == Phase::start) {
    idle_ = in_used_ == in_.size();
    if (idle_) {
      if (in_.capacity() > kKeepInput) std::string().swap(in_);
      arm(first_ ? shared_.options.header_timeout : shared_.options.idle_timeout);
      return Step::need_input;
    }
    first_ = false;
    parser_.emplace(request_, 0);
    parser_->header_limit(static_cast<std::uint32_t>(shared_.options.max_header));
    arm(shared_.options.header_timeout);
    phase_ = Phase::head;
  }
  if (phase_ == Phase::head) {
    parse_some();
    if (parse_error_) return parse_failure();
    if (!parser_->is_header_done()) return Step::need_input;
    return after_header();
  }
  while (!parser_->is_done()) {
    const std::size_t before = in_used_;
    parse_some();
    if (parse_error_) return parse_failure();
    if (in_used_ != before) continue;
    // A chunk's header may be as long as a request's.
    if (in_.size() - in_used_ > shared_.options.max_header)
      return refuse(431, Code::too_large, "a chunk header is too long");
    break;
  }
  if (!parser_->is_done()) {
    arm_for(parser_->received(), shared_.options.body_timeout, body_waited_);
    return Step::need_input;
  }
  phase_ = Phase::complete;
  return Step::request;
}

Connection::Step Connection::after_header() {
  const RequestBuilder& parser = *parser_;
  if (!parser.acceptable()) return refuse(400, Code::malformed, "the request needs one Host header and a path");
  if (parser.unknown_expectation()) return refuse(417, Code::unsupported, "unknown expectation");
  const BodyPlan plan = shared_.plan ? shared_.plan(request_) : BodyPlan();
  if (request_.content_length > plan.limit)
    return refuse(413, Code::too_large, "the body is over the limit of " + std::to_string(plan.limit) + " bytes");
  parser_->set_body_limit(plan.limit);
  body_waited_ = std::chrono::nanoseconds(0);
  owes_continue_ = parser.expects_continue() && parser.http_version() >= 11 && !parser.is_done();
  phase_ = Phase::body;
  if (plan.stream) {
    request_.stream = this;
    return Step::request;
  }
  if (owes_continue_) out_ += "HTTP/1.1 100 Continue\r\n\r\n";
  owes_continue_ = false;
  return advance();
}

void Connection::parse_some() {
  parse_error_ = {};
  const asio::const_buffer bytes(in_.data() + in_used_, in_.size() - in_used_);
  in_used_ += parser_->put(bytes, parse_error_);
  if (parse_error_ == http::error::need_more) parse_error_ = {};
  if (in_used_ < in_.size()) return;
  in_.clear();
  in_used_ = 0;
}

Connection::Step Connection::parse_failure() {
  if (parse_error_ == http::error::header_limit)
    return refuse(431, Code::too_large, "the header is over the limit of 16 KiB or what was configured");
  if (parse_error_ == http::error::body_limit) return refuse(413, Code::too_large, "the body is over the limit");
  if (parse_error_ == http::error::bad_version) return refuse(505, Code::unsupported, "HTTP/1.1 is spoken here");
  return refuse(400, Code::malformed, "not a valid HTTP request: " + parse_error_.message());
}

Connection::Step Connection::refuse(int status, Code code, std::string_view detail) {
  shared_.stats.failed.fetch_add(1, std::memory_order_relaxed);
  disarm();
  response_ = problem_response(status, code, detail);
  response_.close = true;
  linger_ = true;
  return Step::refuse;
}

Io Connection::receive() {
  const IoResult got = transport_.read(worker_.scratch(), Worker::kScratch);
  if (got.state != Io::done) return got.state;
  if (in_used_ > 0) {
    in_.erase(0, in_used_);
    in_used_ = 0;
  }
  in_.append(worker_.scratch(), got.bytes);
  return Io::done;
}

asio::awaitable<Io> Connection::receive_slowly() {
  for (;;) {
    const Io state = receive();
    if (state != Io::want_read && state != Io::want_write) co_return state;
    const MonoTime before = worker_.now();
    arm_for(parser_->received(), shared_.options.body_timeout, body_waited_);
    co_await transport_.wait(state);
    body_waited_ += worker_.now() - before;
    disarm();
    if (expired_) co_return Io::closed;
  }
}

asio::awaitable<Result<std::string_view>> Connection::next() {
  if (owes_continue_) {
    owes_continue_ = false;
    out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    const bool drained = co_await drain();
    if (!drained) co_return Error(Code::unavailable, "the client went away");
  }
  chunk_.clear();
  for (;;) {
    const std::size_t before = in_used_;
    if (!parser_->is_done() && in_used_ < in_.size()) parse_some();
    if (parse_error_ == http::error::body_limit) co_return Error(Code::too_large, "the body is over the limit");
    if (parse_error_) co_return Error(Code::malformed, "reading the body: " + parse_error_.message());
    chunk_.swap(request_.body);
    request_.body.clear();
    if (!chunk_.empty() || parser_->is_done()) co_return std::string_view(chunk_);
    if (in_used_ != before && in_used_ < in_.size()) continue;
    if (in_.size() - in_used_ > shared_.options.max_header)
      co_return Error(Code::malformed, "reading the body: a chunk header is too long");
    const Io state = co_await receive_slowly();
    if (expired_) co_return Error(Code::timeout, "the client sends too slowly");
    if (state != Io::done) co_return Error(Code::unavailable, "the client went away in the middle of the body");
  }
}

asio::awaitable<void> Connection::call_handler() {
  std::string thrown;
  try {
    response_ = co_await shared_.handler(request_);
  } catch (const std::exception& e) {
    thrown = e.what();
    if (thrown.empty()) thrown = "exception";
  }
  if (!thrown.empty()) {
    log::error("a handler threw", {{"path", request_.path}, {"what", thrown}});
    response_ = problem_response(500, Code::internal, "this is a fault of the server; its log says more");
  }
  if (response_.status >= 500) shared_.stats.failed.fetch_add(1, std::memory_order_relaxed);
  if (parser_->is_done()) co_return;
  // The handler has not read all of the body: what follows is not the next request.
  response_.close = true;
  linger_ = true;
}

// Reads and forgets, so that the answer is not overtaken by a reset.
asio::awaitable<void> Connection::linger() {
  arm(kLinger);
  std::size_t seen = 0;
  while (seen < kLingerBytes) {
    const IoResult got = transport_.discard(worker_.scratch(), Worker::kScratch);
    if (got.state == Io::done) {
      seen += got.bytes;
      continue;
    }
    if (got.state != Io::want_read) co_return;
    co_await transport_.wait(Io::want_read);
    if (expired_) co_return;
  }
}

}  // namespace drover::net::detail
