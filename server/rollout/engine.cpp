#include "server/rollout/engine.h"

#include <algorithm>
#include <array>

#include "server/rollout/engine_rules.h"

namespace drover::rollout {
namespace {

using namespace detail;  // the rules, by their short names in the table

enum class Event : std::uint8_t {
  tick,
  opened,
  deployment,
  returned,
  promote,
  pause,
  resume,
  halt,
  abort,
  rollback,
  withdrawn
};
constexpr std::size_t kPhases = 9, kEvents = 11;

// The whole life-cycle. A row is the phase, a column what comes in; `refuse` answers conflict and changes nothing.
// clang-format off
constexpr std::array<std::array<Rule, kEvents>, kPhases> kLifeCycle = {{
  //                 tick            opened   deployment        returned   promote   pause   resume   halt     abort     rollback    withdrawn
  /* open         */ {tick,          opened,  count,            ignore,    promote,  pause,  refuse,  halt,    give_up,  roll_back,  withdrawn},
  /* soaking      */ {tick,          ignore,  count,            ignore,    promote,  pause,  refuse,  halt,    give_up,  roll_back,  withdrawn},
  /* awaiting     */ {tick,          ignore,  count,            ignore,    promote,  pause,  refuse,  halt,    give_up,  roll_back,  withdrawn},
  /* paused       */ {tick_paused,   opened,  count_watchful,   ignore,    refuse,   refuse, resume,  halt,    give_up,  roll_back,  withdrawn},
  /* halted       */ {sweep,         ignore,  count_no_offers,  ignore,    refuse,   refuse, refuse,  refuse,  refuse,   roll_back,  ignore},
  /* aborted      */ {sweep,         ignore,  count_no_offers,  ignore,    refuse,   refuse, refuse,  refuse,  refuse,   roll_back,  ignore},
  /* completed    */ {sweep,         ignore,  count_watchful,   ignore,    refuse,   refuse, refuse,  halt,    refuse,   roll_back,  ignore},
  /* rolling_back */ {tick_rollback, ignore,  count_back,       returned,  refuse,   refuse, refuse,  refuse,  refuse,   refuse,     ignore},
  /* rolled_back  */ {sweep,         ignore,  count_no_offers,  returned,  refuse,   refuse, refuse,  refuse,  refuse,   refuse,     ignore},
}};
// clang-format on

Event event_of(const Input& input) {
  if (const auto* command = std::get_if<Command>(&input.event))
    return static_cast<Event>(static_cast<int>(Event::promote) + static_cast<int>(command->verb));
  static constexpr std::array<Event, 6> kOf = {Event::tick,     Event::opened, Event::deployment,
                                               Event::returned, Event::tick,   Event::withdrawn};
  return kOf[input.event.index()];
}

// The rollout's own clock; see the header.
void advance(RolloutState& state, WallTime now) {
  if (state.last_input != WallTime{}) {
    const auto step = std::clamp(now - state.last_input, std::chrono::seconds(0), kMaxStep);
    state.watched += step;
    if (state.phase == Phase::soaking) state.soaked += step;
  }
  state.last_input = now;
}

// Whether people would see a difference: time alone makes no new version, or every tick would wake every watcher.
bool differs(const RolloutState& a, const RolloutState& b) {
  const auto same = [](const StageCounters& x, const StageCounters& y) {
    return x.members == y.members && x.offered == y.offered && x.in_flight == y.in_flight &&
           x.succeeded == y.succeeded && x.failed == y.failed && x.rolled_back == y.rolled_back &&
           x.aborted == y.aborted && x.silent == y.silent && x.opened_at == y.opened_at;
  };
  return a.phase != b.phase || a.stage != b.stage || a.stage_opened != b.stage_opened || a.reason != b.reason ||
         a.returned != b.returned || a.return_failed != b.return_failed || a.nothing_before != b.nothing_before ||
         !std::equal(a.stages.begin(), a.stages.end(), b.stages.begin(), b.stages.end(), same);
}

bool fits(const wire::RolloutSpec& spec, const RolloutState& state) {
  return !spec.stages.empty() && state.stages.size() == spec.stages.size() && state.stage >= 0 &&
         static_cast<std::size_t>(state.stage) < spec.stages.size() && static_cast<std::size_t>(state.phase) < kPhases;
}

}  // namespace

Decision begin(const wire::RolloutSpec& spec, WallTime now) {
  Decision decision;
  decision.state.stages.resize(spec.stages.size());
  decision.state.last_input = now;
  decision.state.version = 1;
  decision.state.reason = "the first stage opens";
  if (spec.stages.empty()) {
    decision.outcome = Error(Code::invalid_argument, "a rollout has at least one stage");
    return decision;
  }
  decision.actions.push_back({Action::Kind::open_stage, 0, {}, decision.state.reason});
  return decision;
}

Decision decide(const wire::RolloutSpec& spec, const RolloutState& state, const Input& input) {
  if (!fits(spec, state)) return {state, {}, Error(Code::internal, "the rollout's state does not fit its stages")};
  Run run{spec, input, state, {}, {}};
  advance(run.state, input.now);
  kLifeCycle[static_cast<std::size_t>(state.phase)][static_cast<std::size_t>(event_of(input))](run);
  if (!run.outcome) return {state, {}, std::move(run.outcome)};
  if (differs(state, run.state)) ++run.state.version;
  return {std::move(run.state), std::move(run.actions), {}};
}

wire::RolloutState public_state(Phase phase) {
  switch (phase) {
    case Phase::open:
    case Phase::soaking:
      return wire::RolloutState::running;
    case Phase::awaiting_promotion:
      return wire::RolloutState::awaiting_promotion;
    case Phase::paused:
      return wire::RolloutState::paused;
    case Phase::halted:
      return wire::RolloutState::halted;
    case Phase::aborted:
      return wire::RolloutState::aborted;
    case Phase::completed:
      return wire::RolloutState::completed;
    case Phase::rolling_back:
      return wire::RolloutState::rolling_back;
    case Phase::rolled_back:
      return wire::RolloutState::rolled_back;
  }
  return wire::RolloutState::halted;
}

std::string_view to_text(Verb verb) {
  static constexpr std::array<std::string_view, 6> kNames = {"promote", "pause", "resume", "halt", "abort", "rollback"};
  return kNames[static_cast<std::size_t>(verb)];
}

bool needs_ticks(const RolloutState& state) {
  const bool going = state.phase == Phase::open || state.phase == Phase::soaking ||
                     state.phase == Phase::rolling_back || (state.phase == Phase::paused && !state.stage_opened);
  return going || in_flight(state) > 0;
}

gate::Verdict verdict(const wire::RolloutSpec& spec, const RolloutState& state) {
  if (!fits(spec, state)) return {gate::Call::hold, "the rollout's state does not fit its stages"};
  if (!state.stage_opened) return {gate::Call::hold, "the stage is being opened"};
  const auto at = static_cast<std::size_t>(state.stage);
  const StageCounters& c = state.stages[at];
  return gate::judge(gate::gate_of(spec.stages[at]), {state.stage == 0, c.members, c.offered, c.in_flight, c.succeeded,
                                                      c.failed, c.rolled_back, c.aborted, c.silent});
}

std::int64_t outstanding_returns(const RolloutState& state) {
  std::int64_t running = 0;
  for (const StageCounters& stage : state.stages) running += stage.succeeded + stage.in_flight + stage.silent;
  return std::max<std::int64_t>(running - state.returned - state.return_failed - state.nothing_before, 0);
}

Offer offer_allowed(const wire::RolloutSpec& spec, const RolloutState& state, std::uint64_t bucket,
                    std::uint64_t threshold) {
  if (!fits(spec, state) || !is_offering(state.phase) || !state.stage_opened) return Offer::not_offering;
  if (bucket >= threshold) return Offer::not_covered;
  const wire::StageSpec& stage = spec.stages[static_cast<std::size_t>(state.stage)];
  if (stage.max_in_flight > 0 && in_flight(state) >= stage.max_in_flight) return Offer::in_flight_cap;
  if (stage.count > 0 && places_taken(state) >= stage.count) return Offer::count_cap;
  return Offer::allowed;
}

}  // namespace drover::rollout
