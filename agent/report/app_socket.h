// The UNIX socket beside which applications live: they say which model they serve and how they are, and learn of
// switches. One thread, the event loop's. Bounds: connections, line length, unsent lines; who exceeds one is cut off.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "agent/report/app_message.h"
#include "common/base/result.h"

namespace drover::agent {

inline constexpr std::size_t kMaxApplications = 32;  // a device has a handful
inline constexpr std::size_t kMaxUnsentLines = 64;   // an application that does not read

// What the agent wants to hear. Called on the event loop; must outlive the socket.
class AppListener {
 public:
  virtual ~AppListener() = default;
  virtual void app_connected(const std::string& model) = 0;
  virtual void app_health(const AppMessage& message) = 0;
  virtual void app_dropped(const std::string& model) = 0;  // of an application that had said hello
  // The line that tells what `model` is now; empty when it holds nothing.
  virtual std::string current_switch(const std::string& model) = 0;
};

class AppSocket {
 public:
  // Replaces a socket file that a dead agent left behind. io; too_large when the path is over the system's 107 bytes.
  static Result<std::unique_ptr<AppSocket>> open(boost::asio::any_io_executor executor, const std::string& path,
                                                 AppListener& listener);
  virtual ~AppSocket() = default;
  // To every application that serves the model.
  virtual void announce(const std::string& model, const std::string& line) = 0;
  virtual std::size_t connections() const = 0;
  virtual void close() = 0;
};

}  // namespace drover::agent
