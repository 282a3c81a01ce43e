// One request and its answer on a connection.
#include <unistd.h>

#include <algorithm>
#include <boost/beast/http/error.hpp>

#include "common/net/client_impl.h"

namespace drover::net::detail {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr std::size_t kBlock = 64 * 1024;
constexpr std::uint32_t kMaxHeader = 16 * 1024;
// A body up to here goes out in one write with the head.
constexpr std::size_t kJoinBody = 16 * 1024;
// Informational answers (1xx) before the real one.
constexpr int kMaxInterim = 8;

}  // namespace

Exchange::Exchange(asio::any_io_executor executor, const ClientOptions& options, const Url& url, const TlsContext* tls,
                   const ClientRequest& request)
    : executor_(std::move(executor)),
      options_(options),
      url_(url),
      tls_(tls),
      request_(request),
      watch_(std::make_shared<Watch>(executor_, request.deadline.count() > 0 ? request.deadline : options.deadline)),
      block_(std::make_unique<char[]>(kBlock)) {
  watch_->start([this] { cut(); });
}

Exchange::~Exchange() { watch_->stop(); }

void Exchange::cut() {
  if (resolver_) resolver_->cancel();
  if (!transport_) return;
  transport_->cut();
  boost::system::error_code ignored;
  transport_->socket().cancel(ignored);
}

Error Exchange::failure(Code code, std::string_view what) const {
  if (watch_->verdict()) return *watch_->verdict();
  return Error(code, url_.authority() + ": " + std::string(what));
}

// False when the request has been cut off.
asio::awaitable<bool> Exchange::wait(Io direction) {
  co_await transport_->wait(direction);
  co_return !watch_->verdict();
}

asio::awaitable<Status> Exchange::run() {
  Status sent = co_await send_request();
  // A server may refuse and close before it has read everything; its answer says more than the broken pipe.
  const bool maybe_answered = !sent && sent.error().code() == Code::unavailable && !watch_->verdict();
  if (!sent && !maybe_answered) co_return sent;
  watch_->expect_nothing();
  Status answered = co_await read_answer();
  if (answered && !sent_all_) reusable_ = false;
  if (!answered && !sent && !heard_) co_return sent;
  co_return answered;
}

std::string Exchange::request_head() const {
  std::string head;
  head.append(method_name(request_.method)).append(" ").append(url_.prefix).append(request_.target);
  head.append(" HTTP/1.1\r\nHost: ").append(url_.authority()).append("\r\nUser-Agent: ").append(options_.user_agent);
  head += "\r\n";
  const auto* text = std::get_if<std::string>(&request_.body);
  const std::uint64_t length = text != nullptr ? text->size() : std::get<FileBody>(request_.body).length;
  const bool may_lack_body = request_.method == Method::get || request_.method == Method::head ||
                             request_.method == Method::del || request_.method == Method::options;
  if (length > 0 || !may_lack_body) head.append("Content-Length: ").append(std::to_string(length)).append("\r\n");
  head.append(request_.headers.text()).append("\r\n");
  return head;
}

asio::awaitable<Status> Exchange::send_request() {
  std::string head = request_head();
  watch_->expect_progress(options_.stall_timeout, 1);
  const auto* text = std::get_if<std::string>(&request_.body);
  const bool joined = text != nullptr && text->size() <= kJoinBody;
  if (joined) head += *text;
  CO_TRY(co_await send_bytes(head));
  if (text != nullptr && !joined) CO_TRY(co_await send_bytes(*text));
  if (text == nullptr) CO_TRY(co_await send_file(std::get<FileBody>(request_.body)));
  co_return Status();
}

asio::awaitable<Status> Exchange::send_bytes(std::string_view bytes) {
  sent_all_ = false;
  while (!bytes.empty()) {
    const IoResult wrote = transport_->write(bytes.data(), std::min(bytes.size(), kBlock));
    if (wrote.state == Io::done) {
      bytes.remove_prefix(wrote.bytes);
      watch_->moved(wrote.bytes);
      if (!bytes.empty() && answered_early()) co_return Status();
      continue;
    }
    if (wrote.state == Io::closed || wrote.state == Io::failed) {
      unheard_ = true;
      co_return failure(Code::unavailable, "the connection broke while sending");
    }
    const bool going_on = co_await wait(wrote.state);
    if (!going_on) co_return failure(Code::timeout, "cut off while sending");
  }
  sent_all_ = true;
  co_return Status();
}

asio::awaitable<Status> Exchange::send_file(FileBody file) {
  std::string block;
  while (file.length > 0) {
    block.resize(static_cast<std::size_t>(std::min<std::uint64_t>(file.length, kBlock)));
    const ssize_t n = ::pread(file.file->fd(), block.data(), block.size(), static_cast<off_t>(file.offset));
    if (n <= 0) co_return Error(Code::io, "the file to be sent cannot be read or has become shorter");
    block.resize(static_cast<std::size_t>(n));
    file.offset += static_cast<std::uint64_t>(n);
    file.length -= static_cast<std::uint64_t>(n);
    CO_TRY(co_await send_bytes(block));
    if (file.length == 0) break;
    if (answered_early()) {
      sent_all_ = false;
      break;
    }
  }
  co_return Status();
}

bool Exchange::answered_early() {
  if (!in_.empty()) return true;
  const IoResult got = transport_->read(block_.get(), kBlock);
  if (got.state == Io::done) in_.assign(block_.get(), got.bytes);
  return got.state == Io::done;
}

void Exchange::begin_answer() {
  header_seen_ = false;
  response_ = ClientResponse();
  parser_.emplace(response_);
  parser_->header_limit(kMaxHeader);
  parser_->skip(request_.method == Method::head);
}

asio::awaitable<Status> Exchange::read_answer() {
  begin_answer();
  int interim = 0;
  for (;;) {
    if (!in_.empty()) {
      heard_ = true;
      CO_TRY(parse_some());
      if (parser_->is_done() && response_.status / 100 == 1) {
        if (++interim > kMaxInterim) co_return failure(Code::malformed, "too many interim answers");
        begin_answer();
        continue;
      }
    }
    if (parser_->is_done()) break;
    if (streaming_ && request_.max_rate > 0) CO_TRY(co_await pace());
    const IoResult got = transport_->read(block_.get(), kBlock);
    if (got.state == Io::done) {
      watch_->moved(got.bytes);
      in_.append(block_.get(), got.bytes);
      continue;
    }
    if (got.state == Io::closed || got.state == Io::failed) {
      CO_TRY(end_of_stream());
      break;
    }
    const bool going_on = co_await wait(got.state);
    if (!going_on) co_return failure(Code::timeout, "cut off while waiting for the answer");
  }
  reusable_ = parser_->keep_alive() && in_.empty();
  co_return Status();
}

Status Exchange::parse_some() {
  for (;;) {
    boost::beast::error_code ec;
    const std::size_t used = parser_->put(asio::const_buffer(in_.data(), in_.size()), ec);
    in_.erase(0, used);
    if (ec == http::error::header_limit) return failure(Code::too_large, "the header of the answer is too long");
    if (ec && ec != http::error::need_more) return failure(Code::malformed, "not a valid HTTP answer: " + ec.message());
    if (parser_->is_header_done() && !header_seen_ && response_.status / 100 != 1) TRY(take_header());
    TRY(take_body());
    if (parser_->is_done() || in_.empty() || used == 0 || ec == http::error::need_more) break;
  }
  // Only the head of a chunk may stay behind.
  if (in_.size() > kMaxHeader) return failure(Code::malformed, "a chunk header is too long");
  return {};
}

Status Exchange::take_header() {
  header_seen_ = true;
  streaming_ = request_.sink != nullptr && (response_.status == 200 || response_.status == 206);
  const auto length = parser_->content_length();
  const std::uint64_t limit = streaming_ ? request_.max_streamed : request_.max_body;
  if (length && *length > limit && request_.method != Method::head)
    return failure(Code::too_large, "the answer has " + std::to_string(*length) + " bytes");
  std::uint64_t rate = options_.min_rate;
  if (request_.max_rate > 0) rate = std::min<std::uint64_t>(rate, request_.max_rate / 2);
  watch_->expect_progress(options_.stall_timeout,
                          rate * static_cast<std::uint64_t>(options_.stall_timeout.count()) / 1000);
  stream_started_ = Watch::now();
  if (streaming_) return request_.sink->begin(response_);
  return {};
}

Status Exchange::take_body() {
  std::string& body = parser_->body;
  if (body.empty()) return {};
  response_.received += body.size();
  if (response_.received > (streaming_ ? request_.max_streamed : request_.max_body))
    return failure(Code::too_large, "the answer does not end");
  if (streaming_) {
    TRY(request_.sink->write(body));
  } else {
    response_.body += body;
  }
  body.clear();
  return {};
}

Status Exchange::end_of_stream() {
  unheard_ = true;
  if (!header_seen_) return failure(Code::unavailable, "the connection was closed before an answer came");
  boost::beast::error_code ec;
  parser_->put_eof(ec);
  if (ec) return failure(Code::unavailable, "the connection was closed in the middle of the answer");
  return take_body();
}

// Reads no faster than max_rate allows: TCP makes the server slow down.
asio::awaitable<Status> Exchange::pace() {
  const auto due = stream_started_ + std::chrono::milliseconds(response_.received * 1000 / request_.max_rate);
  if (due <= Watch::now() + std::chrono::milliseconds(5)) co_return Status();
  asio::steady_timer timer(executor_);
  // In pieces, so that a cut is noticed.
  while (Watch::now() < due && !watch_->verdict()) {
    timer.expires_at(std::min<MonoTime>(due, Watch::now() + std::chrono::milliseconds(250)));
    co_await timer.async_wait(asio::as_tuple(asio::deferred));
  }
  if (watch_->verdict()) co_return *watch_->verdict();
  co_return Status();
}

std::unique_ptr<Transport> Exchange::release() {
  watch_->stop();
  if (!reusable_ || watch_->verdict()) return nullptr;
  return std::move(transport_);
}

}  // namespace drover::net::detail
