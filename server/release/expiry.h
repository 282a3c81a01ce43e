// When people must be told that a role's metadata runs out. Pure.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/time/clock.h"

namespace drover::release {

struct RoleExpiry {
  std::string role;
  WallTime expires{};
  bool online = false;  // the server signs it anew by itself
};

// How long before the end. The server renews its own roles at half of their life, so that one with less than a quarter
// left says that renewing does not work.
struct LeadTimes {
  std::chrono::seconds warn{30 * 24 * 3600};
  std::chrono::seconds urgent{7 * 24 * 3600};
  std::chrono::seconds snapshot_life{0}, timestamp_life{0};
};

enum class Severity { warning, urgent, expired };
std::string_view to_text(Severity severity);

struct ExpiryWarning {
  std::string role;
  Severity severity = Severity::warning;
  WallTime expires{};
  std::string message;  // a sentence that says what stops
  std::string command;  // what a person runs; empty for the server's own roles
};

// The soonest first.
std::vector<ExpiryWarning> expiry_warnings(std::span<const RoleExpiry> roles, const LeadTimes& leads, WallTime now);

}  // namespace drover::release
