// Internal to the engine: what the rows of its table do.
#pragma once

#include "server/rollout/engine.h"

namespace drover::rollout::detail {

// One run of decide(): the state being changed, and what comes of it.
struct Run {
  const wire::RolloutSpec& spec;
  const Input& input;
  RolloutState state;
  std::vector<Action> actions;
  Status outcome;

  const wire::StageSpec& stage_spec(std::int32_t stage) const { return spec.stages[static_cast<std::size_t>(stage)]; }
  StageCounters& counters(std::int32_t stage) { return state.stages[static_cast<std::size_t>(stage)]; }
  void act(Action::Kind kind, std::string text = "");
  void enter(Phase phase, std::string reason);
  void refuse(Code code, std::string why) { outcome = Error(code, std::move(why)); }
};

using Rule = void (*)(Run&);

// The rules that stand in the table. Each sees an input of its own kind only.
void look(Run&);             // ask the gate, move on
void look_for_halt(Run&);    // ask the gate whether to halt, nothing else
void sweep(Run&);            // ask for deployments past their deadline
void count(Run&);            // a deployment moved: counters, then look
void count_watchful(Run&);   // the same, then look_for_halt
void count_no_offers(Run&);  // the same, no verdict; an offer is refused
void count_back(Run&);       // the same, then see whether the rollback is done
void opened(Run&);           // a stage's thresholds stand
void promote(Run&);
void pause(Run&);
void resume(Run&);
void halt(Run&);
void give_up(Run&);  // abort
void roll_back(Run&);
void withdrawn(Run&);
void tick(Run&);           // sweep, look
void tick_paused(Run&);    // sweep, look_for_halt
void tick_rollback(Run&);  // sweep, see whether the rollback is done
void returned(Run&);
void ignore(Run&);
void refuse(Run&);  // conflict: not in this phase

// Members of the rollout that count against a stage given as a count.
std::int64_t places_taken(const RolloutState& state);
std::int64_t in_flight(const RolloutState& state);

}  // namespace drover::rollout::detail
