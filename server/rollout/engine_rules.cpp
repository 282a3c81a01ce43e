#include "server/rollout/engine_rules.h"

#include <algorithm>

namespace drover::rollout::detail {
namespace {

bool last_stage(const Run& run) { return static_cast<std::size_t>(run.state.stage) + 1 == run.spec.stages.size(); }

std::string stage_name(std::int32_t stage) { return "stage " + std::to_string(stage + 1); }

std::string who(const Run& run) {
  const auto* command = std::get_if<Command>(&run.input.event);
  return command == nullptr || command->actor.empty() ? "the server" : command->actor;
}

gate::Verdict judge_stage(Run& run, std::int32_t stage) {
  const StageCounters& c = run.counters(stage);
  return gate::judge(gate::gate_of(run.stage_spec(stage)), {stage == 0, c.members, c.offered, c.in_flight, c.succeeded,
                                                            c.failed, c.rolled_back, c.aborted, c.silent});
}

// Earlier stages too: a device of the canary may fail after the promotion.
bool halted_by_gate(Run& run) {
  for (std::int32_t stage = 0; stage <= run.state.stage; ++stage) {
    const gate::Verdict verdict = judge_stage(run, stage);
    if (verdict.call != gate::Call::halt) continue;
    run.enter(Phase::halted, stage_name(stage) + ": " + verdict.why);
    run.act(Action::Kind::halt, run.state.reason);
    return true;
  }
  return false;
}

void next_stage(Run& run, const std::string& why) {
  if (last_stage(run)) {
    run.enter(Phase::completed, "the last stage passed: " + why);
    run.act(Action::Kind::complete, run.state.reason);
    return;
  }
  ++run.state.stage;
  run.state.stage_opened = false;
  run.state.soaked = std::chrono::seconds(0);
  run.enter(Phase::open, stage_name(run.state.stage) + " opens: " + why);
  run.act(Action::Kind::open_stage, run.state.reason);
}

void after_soak(Run& run, const gate::Verdict& verdict) {
  if (last_stage(run) || run.stage_spec(run.state.stage).automatic) return next_stage(run, verdict.why);
  run.enter(Phase::awaiting_promotion, stage_name(run.state.stage) + " is ready for promotion: " + verdict.why);
  run.act(Action::Kind::note, run.state.reason);
}

std::int64_t* slot(StageCounters& c, Standing standing) {
  switch (standing) {
    case Standing::none:
      return nullptr;
    case Standing::in_flight:
      return &c.in_flight;
    case Standing::succeeded:
      return &c.succeeded;
    case Standing::failed:
      return &c.failed;
    case Standing::rolled_back:
      return &c.rolled_back;
    case Standing::aborted:
      return &c.aborted;
    case Standing::silent:
      return &c.silent;
  }
  return nullptr;
}

bool move_exists(Standing from, Standing to) {
  const bool ends =
      to == Standing::succeeded || to == Standing::failed || to == Standing::rolled_back || to == Standing::aborted;
  switch (from) {
    case Standing::none:
      return to == Standing::in_flight || to == Standing::succeeded;
    case Standing::in_flight:
      return ends || to == Standing::silent;
    case Standing::silent:
      return ends;
    default:
      return false;
  }
}

// Promise 4 stands here: whoever asks, no offer is recorded beyond the stage's caps or outside an offering phase.
bool admit_offer(Run& run, const DeploymentMoved& moved) {
  const wire::StageSpec& stage = run.stage_spec(run.state.stage);
  if (moved.stage != run.state.stage || !run.state.stage_opened || !is_offering(run.state.phase)) {
    run.refuse(Code::conflict, stage_name(moved.stage) + " is not being offered");
  } else if (moved.to == Standing::in_flight && stage.max_in_flight > 0 &&
             in_flight(run.state) >= stage.max_in_flight) {
    run.refuse(Code::rate_limited, "as many deployments are under way as the stage allows");
  } else if (stage.count > 0 && places_taken(run.state) >= stage.count) {
    run.refuse(Code::conflict, "the stage has its number of devices");
  }
  return run.outcome.has_value();
}

bool apply_move(Run& run) {
  const auto& moved = std::get<DeploymentMoved>(run.input.event);
  if (moved.stage < 0 || static_cast<std::size_t>(moved.stage) >= run.spec.stages.size() ||
      !move_exists(moved.from, moved.to)) {
    run.refuse(Code::invalid_argument, "a deployment cannot move so");
    return false;
  }
  if (moved.from == Standing::none && !admit_offer(run, moved)) return false;
  StageCounters& counters = run.counters(moved.stage);
  std::int64_t* from = slot(counters, moved.from);
  if (from != nullptr && *from == 0) {
    run.refuse(Code::internal, "the counters know of no such deployment");
    return false;
  }
  if (from == nullptr)
    ++counters.offered;
  else
    --*from;
  ++*slot(counters, moved.to);
  return true;
}

std::chrono::seconds longest_deadline(const Run& run) {
  std::chrono::seconds longest{0};
  for (std::int32_t stage = 0; stage <= run.state.stage; ++stage)
    longest = std::max(longest, run.stage_spec(stage).deadline);
  return longest;
}

void look_for_end_of_rollback(Run& run) {
  const std::int64_t outstanding = outstanding_returns(run.state);
  const bool late = run.state.watched - run.state.rollback_began >= longest_deadline(run);
  if (outstanding > 0 && !late) return;
  std::string reason = "rolled back: " + std::to_string(run.state.returned) + " returned";
  if (run.state.return_failed > 0) reason += ", " + std::to_string(run.state.return_failed) + " failed";
  if (run.state.nothing_before > 0)
    reason += ", " + std::to_string(run.state.nothing_before) + " had nothing to return to";
  if (outstanding > 0) reason += ", " + std::to_string(outstanding) + " silent";
  run.enter(Phase::rolled_back, std::move(reason));
  run.act(Action::Kind::finish_rollback, run.state.reason);
}

void stop(Run& run, Phase phase, std::string reason) {
  run.enter(phase, std::move(reason));
  run.act(Action::Kind::halt, run.state.reason);
}

}  // namespace

void Run::act(Action::Kind kind, std::string text) {
  actions.push_back({kind, state.stage, state.watched, std::move(text)});
}

void Run::enter(Phase phase, std::string reason) {
  state.phase = phase;
  state.reason = std::move(reason);
}

std::int64_t places_taken(const RolloutState& state) {
  std::int64_t taken = 0;
  for (const StageCounters& stage : state.stages) taken += stage.offered - stage.aborted;
  return taken;
}

std::int64_t in_flight(const RolloutState& state) {
  std::int64_t total = 0;
  for (const StageCounters& stage : state.stages) total += stage.in_flight;
  return total;
}

void look(Run& run) {
  if (halted_by_gate(run) || !run.state.stage_opened) return;
  const gate::Verdict verdict = judge_stage(run, run.state.stage);
  const std::string name = stage_name(run.state.stage);
  if (verdict.call != gate::Call::promote) {
    if (run.state.phase != Phase::open) run.act(Action::Kind::note, name + " is held again: " + verdict.why);
    run.enter(Phase::open, name + " is open: " + verdict.why);
    return;
  }
  if (run.state.phase == Phase::open) {
    run.state.soaked = std::chrono::seconds(0);
    run.enter(Phase::soaking, name + " soaks: " + verdict.why);
  }
  if (run.state.phase == Phase::soaking && run.state.soaked >= run.stage_spec(run.state.stage).soak)
    after_soak(run, verdict);
}

void look_for_halt(Run& run) { halted_by_gate(run); }

void sweep(Run& run) {
  for (std::int32_t stage = 0; stage <= run.state.stage; ++stage) {
    const std::chrono::seconds deadline = run.stage_spec(stage).deadline;
    if (run.counters(stage).in_flight == 0 || run.state.watched < deadline) continue;
    run.actions.push_back({Action::Kind::sweep_silent, stage, run.state.watched - deadline, ""});
  }
}

void count(Run& run) {
  if (apply_move(run)) look(run);
}
void count_watchful(Run& run) {
  if (apply_move(run)) look_for_halt(run);
}
void count_no_offers(Run& run) { apply_move(run); }  // admit_offer refuses, by the phase
void count_back(Run& run) {
  if (apply_move(run)) look_for_end_of_rollback(run);
}

void opened(Run& run) {
  const auto& event = std::get<StageOpened>(run.input.event);
  if (event.stage != run.state.stage || run.state.stage_opened) return;  // said twice
  run.counters(event.stage).members = std::max<std::int64_t>(event.covered - places_taken(run.state), 0);
  run.counters(event.stage).opened_at = run.input.now;
  run.state.stage_opened = true;
  if (run.state.phase == Phase::open) look(run);
}

void promote(Run& run) {
  const auto& command = std::get<Command>(run.input.event);
  if (command.from_stage != run.state.stage)
    return run.refuse(Code::conflict, "the rollout has moved on: " + stage_name(run.state.stage) + " is open");
  const gate::Verdict verdict = run.state.stage_opened ? judge_stage(run, run.state.stage)
                                                       : gate::Verdict{gate::Call::hold, "it is being opened"};
  if (verdict.call != gate::Call::promote)
    return run.refuse(Code::conflict, stage_name(run.state.stage) + " cannot be promoted yet: " + verdict.why);
  next_stage(run, "promoted by " + who(run) + " (" + verdict.why + ")");
}

void pause(Run& run) {
  run.state.resume_to = run.state.phase;
  run.enter(Phase::paused, "paused by " + who(run));
  run.act(Action::Kind::note, run.state.reason);
}

// Where it was, and not further: a soak begins anew, so that the next tick cannot promote what nobody watched.
void resume(Run& run) {
  run.state.soaked = std::chrono::seconds(0);
  run.enter(run.state.resume_to, "resumed by " + who(run));
  run.act(Action::Kind::note, run.state.reason);
}

void halt(Run& run) { stop(run, Phase::halted, "halted by " + who(run)); }
void give_up(Run& run) { stop(run, Phase::aborted, "aborted by " + who(run)); }
void withdrawn(Run& run) { stop(run, Phase::halted, "the release was withdrawn"); }

void roll_back(Run& run) {
  run.state.rollback_began = run.state.watched;
  run.enter(Phase::rolling_back, "rollback by " + who(run));
  run.act(Action::Kind::start_rollback, run.state.reason);
  look_for_end_of_rollback(run);
}

void tick(Run& run) {
  if (!run.state.stage_opened) run.act(Action::Kind::open_stage, "");
  sweep(run);
  look(run);
}

void tick_paused(Run& run) {
  if (!run.state.stage_opened) run.act(Action::Kind::open_stage, "");
  sweep(run);
  look_for_halt(run);
}

void tick_rollback(Run& run) {
  sweep(run);
  look_for_end_of_rollback(run);
}

void returned(Run& run) {
  switch (std::get<ReturnEnded>(run.input.event).result) {
    case Return::returned:
      ++run.state.returned;
      break;
    case Return::failed:
      ++run.state.return_failed;
      break;
    case Return::nothing_before:
      ++run.state.nothing_before;
      break;
  }
  if (run.state.phase == Phase::rolling_back) look_for_end_of_rollback(run);
}

void ignore(Run&) {}

void refuse(Run& run) {
  const auto& command = std::get<Command>(run.input.event);
  run.refuse(Code::conflict, "the rollout is " + std::string(wire::to_text(public_state(run.state.phase))) + ": " +
                                 std::string(to_text(command.verb)) + " is not possible now");
}

}  // namespace drover::rollout::detail
