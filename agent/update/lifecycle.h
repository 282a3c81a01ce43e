// The life-cycle of one deployment on one device: what a device does with a release that was assigned to it.
//
// Pure: decide() takes the state and an event and returns the next state and what to do. Nothing here reads a clock, a
// file or the network. Whoever drives it keeps two rules:
//   1. The new state, and the effects marked (written), are stored durably in one transaction before anything is run.
//   2. A step may be run again at any time: after a crash the step of the stored state is run once more.
// Deployments of several models run one after another: there is one State for the device, and a slot for each model.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"
#include "proto/wire/device.h"

namespace drover::update {

// The steps, in order. Reporting is no step: it is the outbox, which runs beside.
enum class Step : std::uint8_t {
  idle,       // nothing to do
  sync,       // signed metadata, release index and package manifest; director and release managers must agree
  preflight,  // would it fit: disk, memory, policy
  fetch,      // bytes that the device does not have
  verify,     // every byte read again and compared with its signed digest
  stage,      // the package's directory, complete and read-only
  validate,   // in a child process, beside what runs now
  activate,   // one link flipped; from here on the release is on trial
  confirm,    // the application says that it is well, in time
  commit,     // the release is what the slot holds
  roll_back,  // the link flipped back
};
inline constexpr std::size_t kSteps = 11;
std::string_view to_text(Step step);
std::optional<Step> step_from_text(std::string_view text);

// What was assigned, as director and release managers agree on it.
struct Target {
  std::string model;
  std::string release;
  std::string deployment;
  std::string package;  // "sha256:<manifest>"
  std::string index;    // "sha256:<release index>"
  std::uint64_t index_size = 0;
  std::int64_t release_counter = 0;
  bool rollback = false;  // an operator sends the device back: it is not compared with what it replaces

  bool operator==(const Target&) const = default;
};

// What the signed policy of the package asks for before it is kept.
struct Confirmation {
  std::chrono::seconds deadline{60};
  int healthy_reports = 3;
  int max_restarts = 2;

  bool operator==(const Confirmation&) const = default;
};

// A point in time that is comparable within one boot only.
struct Moment {
  std::string boot;
  std::chrono::nanoseconds since_boot{0};

  bool operator==(const Moment&) const = default;
};

struct State {
  Step step = Step::idle;
  Target target;              // of the deployment under way
  std::string previous;       // the package that the slot held when it began; empty: none
  int attempts = 0;           // failed tries of this step in a row
  int starts = 0;             // times that the agent came up in this step without having been stopped in good order
  int refetches = 0;          // times that verification sent the deployment back to fetching
  Confirmation confirmation;  // on trial: what is asked for
  Moment trial_began;         // on trial: since when; begins anew after a reboot, which counts as a start
  Code code = Code::ok;       // rolling back: why
  std::string detail;

  bool operator==(const State&) const = default;
};

struct Event {
  enum class Kind : std::uint8_t {
    assigned,   // a target for a slot; taken only when idle
    done,       // the step that the state names has succeeded
    failed,     // it has not
    withdrawn,  // the assignment no longer holds this deployment (code: superseded or halted)
    restarted,  // the agent has come up and found this state
  };
  Kind kind = Kind::done;
  Target target;              // assigned
  std::string previous;       // assigned: what the slot holds now
  Code code = Code::ok;       // failed, withdrawn
  std::string detail;         // failed, withdrawn: a sentence
  bool retryable = false;     // failed: trying again may help
  bool progressed = false;    // failed: the try has gained ground (bytes on disk), so the count of attempts starts anew
  bool clean = false;         // restarted: the agent had been stopped in good order
  std::string evidence;       // done, failed: what the validator said, JSON
  Confirmation confirmation;  // done of validate
  Moment now;                 // done of validate, restarted
};
inline constexpr std::size_t kEvents = 5;

struct Report {  // (written) one event for the outbox
  wire::Step step = wire::Step::sync;
  wire::Outcome outcome = wire::Outcome::started;
  Code code = Code::ok;
  std::string detail;
  std::string evidence;
};

struct Decision {
  State next;
  bool taken = false;           // false: the event means nothing in this state; nothing changes
  std::vector<Report> reports;  // (written), about next.target
  bool record = false;          // (written) the slot of next.target holds it from now on; what it held is its previous
  bool finished = false;        // (written) next.target.deployment has ended; it is never begun again
  bool wait = false;            // before running next.step, wait backoff(next.attempts)
};

// Starts in one step before the agent itself is the suspect, and failed tries before a step is given up.
struct Limits {
  int attempts = 1;
  int starts = 1;
};
Limits limits(Step step);
inline constexpr int kMaxRefetches = 1;  // a second bad read of fresh bytes is the disk's fault

Decision decide(const State& state, const Event& event);

// The release is what `current` shows, or is about to be.
bool on_trial(Step step);

// Full-range exponential backoff: 2 s, 4 s, ... to the cap, times a factor of [0.5, 1) that `random` chooses.
inline constexpr std::chrono::seconds kBackoffBase{2};
inline constexpr std::chrono::seconds kBackoffCap{600};
std::chrono::milliseconds backoff(int attempts, std::uint64_t random);

// --- the table, for the documentation and the tests that cover each row ----------------------------------------------
struct RowInfo {
  std::vector<Step> from;
  Event::Kind event;
  std::string_view guard;
  std::optional<Step> to;  // none: stays where it is
  std::string_view effects;
};
std::vector<RowInfo> table();
// The row that decide() would take; table().size() when none.
std::size_t row_for(const State& state, const Event& event);

}  // namespace drover::update
