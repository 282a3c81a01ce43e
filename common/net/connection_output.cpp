// Serving one client: heads, bodies and files on their way out.
#include <unistd.h>

#include <algorithm>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <charconv>

#include "common/net/server_impl.h"
#include "common/net/status_text.h"

namespace drover::net::detail {
namespace {

namespace asio = boost::asio;

// Bodies up to here are copied behind the head: one write then takes both.
constexpr std::size_t kCopyBody = 32 * 1024;
// An output buffer that grew beyond this is given back between requests.
constexpr std::size_t kKeepOutput = 8 * 1024;
// So much of a file goes to one client in one go before others on the thread get their turn.
constexpr std::size_t kFileTurn = 2 * 1024 * 1024;
// What TLS reads of a file at once: four full records, which stay in the processor's cache.
constexpr std::size_t kFileBlock = 64 * 1024;

void append_number(std::string& out, std::uint64_t value) {
  char text[24];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  out.append(text, static_cast<std::size_t>(end - text));
}

}  // namespace

void Connection::arm_for(std::uint64_t bytes, std::chrono::milliseconds base, std::chrono::nanoseconds waited) {
  const std::uint64_t rate = std::max<std::uint32_t>(1, shared_.options.min_rate);
  const std::chrono::milliseconds earned(bytes / rate * 1000);
  deadline_ = worker_.now() + base + earned - waited + worker_.tick();
}

void Connection::append_head(const Response& response, std::uint64_t length) {
  if (response.status == 200) {
    out_ += "HTTP/1.1 200 OK\r\n";
  } else {
    out_ += "HTTP/1.1 ";
    append_number(out_, static_cast<std::uint64_t>(response.status));
    out_ += ' ';
    out_ += status_text(response.status);
    out_ += "\r\n";
  }
  out_ += worker_.date_line();
  if (!response.content_type.empty()) {
    out_ += "Content-Type: ";
    out_ += response.content_type;
    out_ += "\r\n";
  }
  if (response.status != 204 && response.status != 304) {
    out_ += "Content-Length: ";
    append_number(out_, length);
    out_ += "\r\n";
  }
  out_ += response.headers.text();
  if (!keep_)
    out_ += "Connection: close\r\n";
  else if (parser_->http_version() < 11)
    out_ += "Connection: keep-alive\r\n";
  out_ += "\r\n";
}

// Puts an answer behind what waits to be written.
void Connection::queue(Response& response) {
  keep_ = !response.close && !worker_.stopping() && parser_->is_header_done() && parser_->keep_alive();
  const bool bodiless = request_.method == Method::head || response.status == 204 || response.status == 304;
  if (auto* file = std::get_if<FileBody>(&response.body)) {
    append_head(response, file->length);
    if (bodiless || file->length == 0) return;
    file_ = std::move(*file);
    sending_file_ = true;
    return;
  }
  const auto* text = std::get_if<std::string>(&response.body);
  if (text == nullptr) text = std::get<std::shared_ptr<const std::string>>(response.body).get();
  append_head(response, text->size());
  if (bodiless) return;
  if (text->size() <= kCopyBody)
    out_ += *text;
  else
    tail_ = *text;
}

// Writes as much as the socket takes.
Connection::Push Connection::push() {
  while (out_used_ < out_.size()) {
    const bool more = sending_file_ || !tail_.empty();
    const IoResult wrote = transport_.write(out_.data() + out_used_, out_.size() - out_used_, more);
    if (wrote.state == Io::want_write) return Push::want_write;
    if (wrote.state == Io::want_read) return Push::want_read;
    if (wrote.state != Io::done) return Push::failed;
    out_used_ += wrote.bytes;
    pushed_ += wrote.bytes;
  }
  out_.clear();
  out_used_ = 0;
  while (!tail_.empty()) {
    const IoResult wrote = transport_.write(tail_.data(), tail_.size());
    if (wrote.state == Io::want_write) return Push::want_write;
    if (wrote.state == Io::want_read) return Push::want_read;
    if (wrote.state != Io::done) return Push::failed;
    tail_.remove_prefix(wrote.bytes);
    pushed_ += wrote.bytes;
  }
  return sending_file_ ? push_file() : Push::sent;
}

Connection::Push Connection::push_file() {
  std::size_t turn = 0;
  while (file_.length > 0 || file_block_used_ < file_block_.size()) {
    if (turn >= kFileTurn) return Push::yield;
    IoResult wrote;
    std::size_t wanted = 0;
    if (tls_) {
      if (file_block_used_ == file_block_.size() && !fill_from_file()) return Push::failed;
      wrote = transport_.write(file_block_.data() + file_block_used_, file_block_.size() - file_block_used_);
    } else {
      wanted = static_cast<std::size_t>(std::min<std::uint64_t>(file_.length, kFileTurn));
      wrote = transport_.send_file(file_.file->fd(), file_.offset, wanted);
    }
    if (wrote.state == Io::want_write) return Push::want_write;
    if (wrote.state == Io::want_read) return Push::want_read;
    if (wrote.state != Io::done) return Push::failed;
    if (tls_)
      file_block_used_ += wrote.bytes;
    else
      file_.length -= wrote.bytes;
    turn += wrote.bytes;
    pushed_ += wrote.bytes;
    // Less than offered: the socket is full, which the next call would only say again.
    if (wrote.bytes < wanted) return Push::want_write;
  }
  sending_file_ = false;
  file_ = FileBody();
  std::string().swap(file_block_);
  file_block_used_ = 0;
  return Push::sent;
}

bool Connection::fill_from_file() {
  file_block_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(file_.length, kFileBlock)));
  file_block_used_ = 0;
  const ssize_t n =
      ::pread(file_.file->fd(), file_block_.data(), file_block_.size(), static_cast<off_t>(file_.offset));
  if (n <= 0) return false;
  file_block_.resize(static_cast<std::size_t>(n));
  file_.offset += static_cast<std::uint64_t>(n);
  file_.length -= static_cast<std::uint64_t>(n);
  return true;
}

// Everything that waits to be written, however slow the client takes it. False when the connection is over.
asio::awaitable<bool> Connection::drain() {
  pushed_ = 0;
  std::chrono::nanoseconds waited{0};
  for (;;) {
    const Push pushed = push();
    if (pushed == Push::failed) co_return false;
    if (pushed == Push::sent) break;
    if (pushed == Push::yield) {
      co_await asio::post(worker_.io(), asio::deferred);
      continue;
    }
    const MonoTime before = worker_.now();
    arm_for(pushed_, shared_.options.write_timeout, waited);
    co_await transport_.wait(pushed == Push::want_read ? Io::want_read : Io::want_write);
    waited += worker_.now() - before;
    if (expired_) co_return false;
  }
  disarm();
  if (out_.capacity() > kKeepOutput) std::string().swap(out_);
  co_return true;
}

}  // namespace drover::net::detail
