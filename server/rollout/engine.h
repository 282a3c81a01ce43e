// The rollout's life-cycle: decide(spec, state, input) -> state, actions. Pure and total: no clock, no store; every
// input in every phase has its place in the one table at the top of engine.cpp.
//
// The caller (server/store) runs decide in the transaction that holds the input, writes the new state in the same
// transaction, then carries out the actions. Actions are idempotent, and repeated by later ticks until they took
// effect.
//
// Time. A stage soaks, and a device falls silent, by the time during which the rollout was watched: the sum of the
// steps between inputs, each between 0 and kMaxStep. So a clock that jumps ahead cuts no soak short and silences
// nobody, one that jumps back stops nothing, and a server that was down for a night does not promote at once. Give
// every rollout with needs_ticks a Tick at least every kMaxStep / 2.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/time/clock.h"
#include "proto/wire/rollout.h"
#include "server/gate/gate.h"

namespace drover::rollout {

inline constexpr std::chrono::seconds kMaxStep{60};

// The numbers stand in the database: never renumber.
enum class Phase : std::uint8_t {
  open = 0,                // running: the stage is offered, its gate does not say promote
  soaking = 1,             // running: its gate says promote, for less than the soak
  awaiting_promotion = 2,  // soaked; a person promotes. The stage is still offered
  paused = 3,
  halted = 4,
  aborted = 5,
  completed = 6,  // the last stage passed; still offered to late joiners, and halted if too many of them fail
  rolling_back = 7,
  rolled_back = 8,
};
wire::RolloutState public_state(Phase phase);
// In these phases devices get offers.
constexpr bool is_offering(Phase phase) {
  return phase == Phase::open || phase == Phase::soaking || phase == Phase::awaiting_promotion ||
         phase == Phase::completed;
}

// The devices of one stage, each counted in the stage in which it was offered.
// offered = in_flight + succeeded + failed + rolled_back + aborted + silent, always.
struct StageCounters {
  std::int64_t members = 0;  // to be offered in this stage, as foreseen when it opened; late joiners come on top
  std::int64_t offered = 0;
  std::int64_t in_flight = 0;
  std::int64_t succeeded = 0;
  std::int64_t failed = 0;
  std::int64_t rolled_back = 0;
  std::int64_t aborted = 0;
  std::int64_t silent = 0;
  WallTime opened_at{};  // epoch: not yet
};

struct RolloutState {
  Phase phase = Phase::open;
  Phase resume_to = Phase::open;  // when paused: where it was
  std::int32_t stage = 0;         // the open one
  bool stage_opened = false;      // its thresholds stand; until then nothing is offered
  std::vector<StageCounters> stages;
  std::chrono::seconds watched{0};  // the rollout's own clock
  std::chrono::seconds soaked{0};
  WallTime last_input{};
  std::chrono::seconds rollback_began{0};  // on the rollout's own clock
  std::int64_t returned = 0;               // of those that had succeeded: back on their own previous release
  std::int64_t return_failed = 0;
  std::int64_t nothing_before = 0;  // had no previous release; they stay
  std::string reason;               // why it is in this phase, a sentence
  std::int64_t version = 0;         // grows with every change; the ETag
};

// --- inputs ----------------------------------------------------------------------------------------------------------
struct Tick {};

// open_stage was carried out: thresholds are stored, `covered` devices (StagePlan::expected) are inside them, those of
// earlier stages included.
struct StageOpened {
  std::int32_t stage = 0;
  std::int64_t covered = 0;
};

// One device's deployment moves. Moves that exist: none to in_flight (an offer) or succeeded (it ran the release
// already); in_flight to any below; silent to any below but silent (it spoke late).
enum class Standing : std::uint8_t {
  none = 0,
  in_flight = 1,
  succeeded = 2,
  failed = 3,
  rolled_back = 4,
  aborted = 5,
  silent = 6
};
struct DeploymentMoved {
  std::int32_t stage = 0;  // in which it was offered; the open one for an offer
  Standing from = Standing::none;
  Standing to = Standing::in_flight;
};

// A device whose deployment stands at succeeded answered the rollback, once. (A device that was in flight or silent has
// returned when its deployment ends as failed, rolled_back or aborted: no ReturnEnded for it.)
enum class Return : std::uint8_t { returned, failed, nothing_before };
struct ReturnEnded {
  Return result = Return::returned;
};

// A person promotes whenever the gate says so, before the soak's end too.
enum class Verb : std::uint8_t { promote, pause, resume, halt, abort, rollback };
std::string_view to_text(Verb verb);
struct Command {
  Verb verb = Verb::pause;
  std::string actor;             // a person's name, for the record
  std::int32_t from_stage = -1;  // promote only: the stage that the person looked at
};

struct ReleaseWithdrawn {};

struct Input {
  WallTime now;
  std::variant<Tick, StageOpened, DeploymentMoved, ReturnEnded, Command, ReleaseWithdrawn> event;
};

// --- actions ---------------------------------------------------------------------------------------------------------
struct Action {
  enum class Kind : std::uint8_t {
    open_stage,      // plan `stage`, store its thresholds, feed StageOpened
    sweep_silent,    // feed DeploymentMoved(in_flight to silent) for deployments of `stage` offered at `watched` or
                     // before
    halt,            // wake the connected devices: what is not activated is taken back at their next check-in
    start_rollback,  // the same: from now on assign() returns them
    finish_rollback,
    complete,
    note,  // for the audit log
  };
  Kind kind = Kind::note;
  std::int32_t stage = 0;
  std::chrono::seconds watched{0};
  std::string text;  // a sentence
};

struct Decision {
  RolloutState state;
  std::vector<Action> actions;
  // The input was refused; state is as before and there are no actions. conflict: not in this phase, another stage is
  // open, or the gate does not say promote. rate_limited: in-flight cap. invalid_argument: a move that does not exist.
  Status outcome;
};

// The state of a new rollout, with open_stage(0) to do.
Decision begin(const wire::RolloutSpec& spec, WallTime now);

Decision decide(const wire::RolloutSpec& spec, const RolloutState& state, const Input& input);

// Whether Tick has anything to do in this state.
bool needs_ticks(const RolloutState& state);

// The open stage's verdict, for people to see.
gate::Verdict verdict(const wire::RolloutSpec& spec, const RolloutState& state);

// Devices that may run the release and have not answered the rollback.
std::int64_t outstanding_returns(const RolloutState& state);

// --- offers ----------------------------------------------------------------------------------------------------------
enum class Offer : std::uint8_t { allowed, not_offering, not_covered, in_flight_cap, count_cap };
// Whether a device with this bucket may be offered the release now. decide() looks again, without the bucket, when the
// offer is recorded: between the two lies the snapshot's age.
Offer offer_allowed(const wire::RolloutSpec& spec, const RolloutState& state, std::uint64_t bucket,
                    std::uint64_t threshold);

}  // namespace drover::rollout
