#include "packaging/demo/agent_link.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace drover::demo {

bool AgentLink::connect_if_due(MonoTime now) {
  if (connected() || now < next_try_) return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof address.sun_path) return false;  // refused at start
  std::memcpy(address.sun_path, path_.data(), path_.size());
  fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0 || ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    lost(now);
    return false;
  }
  retry_ = kFirstRetry;
  return true;
}

std::vector<std::string> AgentLink::read_lines(MonoTime now) {
  std::array<char, 4096> buffer;
  bool open = connected();
  while (open && pending_.size() <= kMaxLine) {
    const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) break;
    open = count > 0;
    if (open) pending_.append(buffer.data(), static_cast<std::size_t>(count));
  }
  std::vector<std::string> lines;
  for (std::size_t end; (end = pending_.find('\n')) != std::string::npos; pending_.erase(0, end + 1))
    lines.push_back(pending_.substr(0, end));
  if (!open || pending_.size() > kMaxLine) lost(now);
  return lines;
}

void AgentLink::send(std::string_view line, MonoTime now) {
  if (!connected()) return;
  const std::string whole = std::string(line) + "\n";
  const ssize_t count = ::send(fd_, whole.data(), whole.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (count == static_cast<ssize_t>(whole.size()) || (count < 0 && errno == EAGAIN)) return;
  lost(now);  // gone, or half a line went out and cannot be taken back
}

void AgentLink::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  pending_.clear();
}

// Half of each pause is random: applications of one device that lost their agent together come back apart.
void AgentLink::lost(MonoTime now) {
  close();
  const auto half = static_cast<std::uint64_t>(retry_.count() / 2);
  next_try_ = now + std::chrono::milliseconds(half + rng_.below(half + 1));
  retry_ = std::min(retry_ * 2, kLastRetry);
}

}  // namespace drover::demo
