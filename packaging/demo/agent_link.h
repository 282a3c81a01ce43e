// The application's end of the agent's socket: lines of JSON both ways, connected again and again, never blocking.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/rng/rng.h"
#include "common/time/clock.h"

namespace drover::demo {

// Longer lines end the connection: the agent's are some hundred bytes.
inline constexpr std::size_t kMaxLine = 64 * 1024;
// Tries to connect follow each other in at least the first and at most the second, so that an agent that comes back is
// found soon and one that stays away costs nothing.
inline constexpr std::chrono::milliseconds kFirstRetry{100};
inline constexpr std::chrono::milliseconds kLastRetry{2000};

class AgentLink {
 public:
  AgentLink(std::string path, Rng& rng) : path_(std::move(path)), rng_(rng) {}
  AgentLink(const AgentLink&) = delete;
  AgentLink& operator=(const AgentLink&) = delete;
  ~AgentLink() { close(); }

  // To be polled for input; -1 while there is no connection.
  int fd() const { return fd_; }
  bool connected() const { return fd_ >= 0; }

  // Tries if it is time to. True when a connection was made just now.
  bool connect_if_due(MonoTime now);
  // When connect_if_due has something to do next.
  MonoTime next_try() const { return next_try_; }

  // The complete lines that have come. The end of the connection is seen here.
  std::vector<std::string> read_lines(MonoTime now);

  // One line, without its end. Dropped without a connection, or when the agent does not read.
  void send(std::string_view line, MonoTime now);

 private:
  void close();
  void lost(MonoTime now);

  std::string path_;
  Rng& rng_;
  int fd_ = -1;
  std::string pending_;
  MonoTime next_try_{};
  std::chrono::milliseconds retry_ = kFirstRetry;
};

}  // namespace drover::demo
