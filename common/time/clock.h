// The seam for time. Nothing else in the project may ask the system what time it is (a test looks for it).
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace drover {

// Wall time, whole seconds since 1970-01-01 UTC. What is signed, stored and sent has no finer unit.
using WallTime = std::chrono::sys_seconds;
// Time that never steps; only differences mean anything.
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime wall() const = 0;
  virtual MonoTime mono() const = 0;
};

// The machine's clocks. Thread-safe, lives for the whole process.
const Clock& system_clock();

// A clock that stands still until it is moved. For tests and simulation; not thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime start) : wall_(start) {}
  WallTime wall() const override { return wall_; }
  MonoTime mono() const override { return mono_; }
  void advance(std::chrono::seconds by) {
    wall_ += by;
    mono_ += by;
  }
  // A step of the wall clock alone, as NTP or a dead RTC battery makes it.
  void step_wall(std::chrono::seconds by) { wall_ += by; }

 private:
  WallTime wall_;
  MonoTime mono_{};
};

// "2026-01-02T03:04:05Z" (RFC 3339, UTC, whole seconds), the only form that the project writes and reads.
std::string format_time(WallTime time);
Result<WallTime> parse_time(std::string_view text);

}  // namespace drover
