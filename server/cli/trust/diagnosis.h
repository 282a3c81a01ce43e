// What is wrong with a fleet's trust, or soon will be, and what to do about it. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/time/clock.h"

namespace drover::cli {

struct RoleState {
  std::string role;
  int threshold = 1;
  std::vector<std::string> keyids;
  std::int64_t version = 0;         // 0: it has no metadata yet
  std::optional<WallTime> expires;  // none then

  bool top() const { return role == "root" || role == "targets"; }
};

struct OnlineState {
  std::string role;  // snapshot, timestamp, director
  std::string keyid;
  std::optional<WallTime> made;
  bool next_waits = false;  // the server has made a key that nobody has signed in
};

struct MyKey {
  std::string file;
  std::string keyid;
};

struct Patient {
  std::vector<RoleState> roles;  // that people sign: root, targets, models
  std::vector<OnlineState> online;
  std::vector<MyKey> mine;
  WallTime now{};
  std::chrono::days warn{30};
};

enum class Level { warning, broken };

struct Finding {
  Level level = Level::warning;
  std::string code;  // expired, expires_soon, single_key, one_key_enough, no_spare_key, shared_key, old_online_key,
                     // unfinished_rotation
  std::string role;
  std::string message;
  std::string command;
};

inline constexpr std::chrono::days kOnlineKeyAge{365};  // after which doctor suggests another one

// What is broken first, then by role in the order of the patient's.
std::vector<Finding> diagnose(const Patient& patient);

// Of the role's keys, those whose private file is among `mine`, as files.
std::vector<std::string> my_files(const RoleState& role, const std::vector<MyKey>& mine);

}  // namespace drover::cli
