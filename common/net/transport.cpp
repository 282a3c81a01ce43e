#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "common/net/transport_impl.h"

namespace drover::net::detail {
namespace {

IoResult from_errno(Io would_block) {
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return IoResult{would_block, 0};
  return IoResult{errno == ECONNRESET || errno == EPIPE ? Io::closed : Io::failed, 0};
}

}  // namespace

Transport::~Transport() {
  if (ssl_ != nullptr) SSL_free(ssl_);
}

IoResult Transport::ssl_result(int result) {
  if (result > 0) return IoResult{Io::done, static_cast<std::size_t>(result)};
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ: return IoResult{Io::want_read, 0};
    case SSL_ERROR_WANT_WRITE: return IoResult{Io::want_write, 0};
    case SSL_ERROR_ZERO_RETURN: return IoResult{Io::closed, 0};
    case SSL_ERROR_SYSCALL: broken_ = true; return IoResult{Io::closed, 0};
    default: broken_ = true; return IoResult{Io::failed, 0};
  }
}

IoResult Transport::read(char* data, std::size_t size) {
  if (ssl_ != nullptr) {
    ERR_clear_error();
    return ssl_result(SSL_read(ssl_, data, static_cast<int>(std::min<std::size_t>(size, INT_MAX))));
  }
  return discard(data, size);
}

IoResult Transport::discard(char* data, std::size_t size) {
  const ssize_t n = ::recv(socket_.native_handle(), data, size, 0);
  if (n > 0) return IoResult{Io::done, static_cast<std::size_t>(n)};
  return n == 0 ? IoResult{Io::closed, 0} : from_errno(Io::want_read);
}

IoResult Transport::write(const char* data, std::size_t size, bool more_follows) {
  if (ssl_ != nullptr) {
    ERR_clear_error();
    return ssl_result(SSL_write(ssl_, data, static_cast<int>(std::min<std::size_t>(size, INT_MAX))));
  }
  const ssize_t n = ::send(socket_.native_handle(), data, size, MSG_NOSIGNAL | (more_follows ? MSG_MORE : 0));
  return n > 0 ? IoResult{Io::done, static_cast<std::size_t>(n)} : from_errno(Io::want_write);
}

IoResult Transport::send_file(int fd, std::uint64_t& offset, std::size_t size) {
  off_t at = static_cast<off_t>(offset);
  const ssize_t n = ::sendfile(socket_.native_handle(), fd, &at, size);
  if (n < 0) return from_errno(Io::want_write);
  if (n == 0) return IoResult{Io::failed, 0};  // the file is shorter than promised
  offset = static_cast<std::uint64_t>(at);
  return IoResult{Io::done, static_cast<std::size_t>(n)};
}

bool Transport::has_buffered() const { return ssl_ != nullptr && SSL_has_pending(ssl_) == 1; }

bool Transport::stale() {
  char byte = 0;
  const ssize_t n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK) || has_buffered();
}

void Transport::end_writing() {
  if (ssl_ != nullptr && !broken_ && SSL_is_init_finished(ssl_) == 1) {
    ERR_clear_error();
    SSL_shutdown(ssl_);
  }
  ::shutdown(socket_.native_handle(), SHUT_WR);
}

void Transport::cut() { ::shutdown(socket_.native_handle(), SHUT_RDWR); }

}  // namespace drover::net::detail
