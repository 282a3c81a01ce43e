// What applications and the agent say to each other: one JSON object a line. Pure.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace drover::agent {

inline constexpr std::size_t kMaxAppLine = 4096;

struct AppMessage {
  enum class Type { hello, health, metric };
  Type type = Type::hello;
  std::string model;
  std::string package;
  bool ok = true;
  std::string detail;
};

// Unknown fields are passed over; another type is unsupported.
Result<AppMessage> parse_app_message(std::string_view line);
std::string welcome_line();
std::string switch_line(const std::string& model, const std::string& package, const std::string& path);
std::string error_line(const Error& error);

}  // namespace drover::agent
