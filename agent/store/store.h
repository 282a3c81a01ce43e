// What the agent must not forget: slots, the deployment under way, the assignment, the outbox, the session. One SQLite
// file with synchronous=FULL: what a call that changes something has written survives a power cut when it returns.
// One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/update/lifecycle.h"
#include "agent/update/plan.h"
#include "common/base/result.h"
#include "common/time/clock.h"
#include "proto/wire/device.h"

namespace drover::agent {

// Events kept for the server. Above it the oldest that are not final are dropped first; final ones only above
// kMaxFinalEvents, so that a device that is offline for years does not fill its disk.
inline constexpr std::size_t kMaxOutbox = 500;
inline constexpr std::size_t kMaxFinalEvents = 2000;
// Bytes of one report's events: with its escapes it stays below wire::kMaxCheckinBody.
inline constexpr std::size_t kMaxReportBytes = 96 * 1024;

struct Session {
  std::string token;
  WallTime expires{};
  std::int64_t poll_seconds = 0;
};

// What was accepted from the director.
struct Accepted {
  std::int64_t version = 0;
  std::string document;  // the signed bytes, looked at again when a deployment begins
  std::vector<update::Target> targets;
  WallTime issued{};  // when the director signed it; known while it is being accepted, not kept
};

// Bytes of the deployment under way, for its reports.
struct Traffic {
  std::uint64_t fetched = 0;
  std::uint64_t resumed = 0;
  std::uint64_t saved = 0;  // by deltas: of what a whole file would have cost
};
inline Traffic sum(const Traffic& a, const Traffic& b) {
  return {a.fetched + b.fetched, a.resumed + b.resumed, a.saved + b.saved};
}

class Store {
 public:
  // Creates or migrates the file. Errors: io, malformed (not ours), unsupported (written by a newer agent).
  static Result<std::unique_ptr<Store>> open(const std::string& file);
  // For looking on while an agent runs: nothing may be changed through it.
  static Result<std::unique_ptr<Store>> open_to_read(const std::string& file);
  virtual ~Store() = default;

  // All of these are read once and kept in memory.
  virtual const update::State& state() const = 0;
  virtual const std::vector<update::Slot>& slots() const = 0;
  virtual const Accepted& accepted() const = 0;
  virtual const Session& session() const = 0;
  virtual Traffic traffic() const = 0;
  const update::Slot* slot(std::string_view model) const;

  // One transaction: the next state, the reports into the outbox, the slot when it is recorded or finished.
  virtual Status apply(const update::Decision& decision, WallTime now) = 0;
  virtual Status accept(const Accepted& accepted) = 0;
  virtual Status save(const Session& session) = 0;
  virtual Status save(const Traffic& traffic) = 0;
  // Of files that are complete, in the deployment under way; what is on its way is in its own journal.
  virtual Traffic traffic_done() const = 0;
  virtual Status save_done(const Traffic& traffic) = 0;
  // An event beside the life-cycle's: progress, or an assignment that was refused.
  virtual Status report(const update::Target& target, const update::Report& report, WallTime now) = 0;

  // The next events to be sent: consecutive, at most wire::kMaxEventsPerReport and kMaxReportBytes.
  virtual Result<std::vector<wire::Event>> pending() = 0;
  virtual Result<std::int64_t> pending_count() = 0;
  virtual Status acknowledge(std::uint64_t seq) = 0;
  // The number for the next report: stored before it is given, so that none is given twice.
  virtual Result<std::uint64_t> next_report_counter() = 0;
  // The server has taken reports and events up to these, which this store does not remember (its disk was brought back
  // from a copy): what is pending gets new numbers behind them, and so does what comes.
  virtual Status go_on_above(std::uint64_t report_counter, std::uint64_t seq) = 0;

  // The device whose store this is. Another one than before: the session is dropped, since it is the other's.
  virtual Status save_device_id(std::string_view id) = 0;
  virtual const std::string& device_id() const = 0;

  // Text of the server's last answer about what is installed; anything else is worth a report.
  virtual Status save_reported(std::string_view installed) = 0;
  virtual const std::string& reported() const = 0;

  // The newest signed time. It only grows; written when it has grown by kTimeFloorStep. Never the machine's own clock:
  // one that has once shown the year 2100 would be believed for ever.
  virtual WallTime time_floor() const = 0;
  virtual Status raise_time_floor(WallTime time) = 0;

  // Written at a stop in good order, and taken away by the next open(): how the agent knows that it did not crash.
  virtual Status mark_clean_stop() = 0;
  virtual bool stopped_cleanly() const = 0;
};

inline constexpr std::chrono::seconds kTimeFloorStep{3600};  // a write an hour at most

std::vector<wire::Installed> installed(std::span<const update::Slot> slots);

}  // namespace drover::agent
