#include "agent/update/lifecycle.h"

#include <algorithm>
#include <array>

namespace drover::update {
namespace {

using Kind = Event::Kind;
using StepSet = std::uint32_t;
constexpr StepSet at(Step step) { return 1u << static_cast<unsigned>(step); }
template <class... Steps>
constexpr StepSet at(Step first, Steps... rest) {
  return at(first) | at(rest...);
}

constexpr StepSet kBeforeTrial =
    at(Step::sync, Step::preflight, Step::fetch, Step::verify, Step::stage, Step::validate);
constexpr StepSet kTrial = at(Step::activate, Step::confirm);

// --- guards: what must hold for a row to be taken --------------------------------------------------------------------
struct Guard {
  std::string_view name;
  bool (*holds)(const State&, const Event&);
};
constexpr Guard kAlways{"", [](const State&, const Event&) { return true; }};
constexpr Guard kHeldAlready{"the slot holds it already",
                             [](const State& s, const Event&) { return s.target.package == s.previous; }};
constexpr Guard kMayRetry{"trying again may help", [](const State& s, const Event& e) {
                            return e.retryable && (e.progressed || s.attempts + 1 < limits(s.step).attempts);
                          }};
constexpr Guard kTriedEnough{"tried often enough", [](const State&, const Event& e) { return e.retryable; }};
constexpr Guard kMayRefetch{"fresh bytes may help",
                            [](const State& s, const Event& e) { return e.retryable && s.refetches < kMaxRefetches; }};
constexpr Guard kStartedTooOften{"started too often", [](const State& s, const Event& e) {
                                   return !e.clean && s.starts + 1 >= limits(s.step).starts;
                                 }};
constexpr Guard kTrialExpired{"the trial has expired", [](const State& s, const Event& e) {
                                return e.now.boot == s.trial_began.boot &&
                                       e.now.since_boot - s.trial_began.since_boot >= s.confirmation.deadline;
                              }};

// --- effects: what a row does besides moving on ----------------------------------------------------------------------
enum Effect : unsigned {
  kNothing = 0,
  kBegin = 1 << 0,       // take the target of the event
  kStarted = 1 << 1,     // report that the step moved to has begun
  kEvidence = 1 << 2,    // report what the validator said
  kStartTrial = 1 << 3,  // write down the trial's terms, before the link is flipped
  kRetry = 1 << 4,       // count the attempt, wait, run the step again
  kRefetch = 1 << 5,
  kCountStart = 1 << 6,
  kReason = 1 << 7,  // remember why, for the report after the rollback
  kSucceeded = 1 << 8,
  kFailed = 1 << 9,
  kRolledBack = 1 << 10,
  kAborted = 1 << 11,
  kRecord = 1 << 12,
};
constexpr unsigned kFinal = kSucceeded | kFailed | kRolledBack | kAborted;
constexpr std::array<std::string_view, 13> kEffectNames = {
    "begin",  "started",   "evidence", "start trial", "retry",   "refetch", "count start",
    "reason", "succeeded", "failed",   "rolled back", "aborted", "record"};

constexpr std::optional<Step> kStay = std::nullopt;
constexpr Code kOfEvent = Code::ok;

struct Row {
  StepSet from;
  Kind event;
  Guard guard;
  std::optional<Step> to;
  unsigned effects;
  Code code = kOfEvent;  // of the report, when the event does not say it
};

// The whole life-cycle. The first row that fits is taken; an event that fits none changes nothing.
const std::array kTable = {
    // The straight way.
    Row{at(Step::idle), Kind::assigned, kAlways, Step::sync, kBegin | kStarted},
    Row{at(Step::sync), Kind::done, kHeldAlready, Step::commit, kNothing},
    Row{at(Step::sync), Kind::done, kAlways, Step::preflight, kNothing},
    Row{at(Step::preflight), Kind::done, kAlways, Step::fetch, kStarted},
    Row{at(Step::fetch), Kind::done, kAlways, Step::verify, kNothing},
    Row{at(Step::verify), Kind::done, kAlways, Step::stage, kNothing},
    Row{at(Step::stage), Kind::done, kAlways, Step::validate, kStarted},
    Row{at(Step::validate), Kind::done, kAlways, Step::activate, kEvidence | kStartTrial},
    Row{at(Step::activate), Kind::done, kAlways, Step::confirm, kStarted},
    Row{at(Step::confirm), Kind::done, kAlways, Step::commit, kNothing},
    Row{at(Step::commit), Kind::done, kAlways, Step::idle, kSucceeded | kRecord},
    Row{at(Step::roll_back), Kind::done, kAlways, Step::idle, kRolledBack},

    // A step fails.
    Row{at(Step::verify), Kind::failed, kMayRefetch, Step::fetch, kRefetch},
    Row{kBeforeTrial, Kind::failed, kMayRetry, kStay, kRetry},
    Row{at(Step::fetch), Kind::failed, kTriedEnough, Step::idle, kFailed, Code::fetch_attempts_exhausted},
    Row{kBeforeTrial, Kind::failed, kAlways, Step::idle, kFailed},
    Row{at(Step::activate, Step::commit, Step::roll_back), Kind::failed, kMayRetry, kStay, kRetry},
    Row{at(Step::activate, Step::confirm, Step::commit), Kind::failed, kAlways, Step::roll_back, kReason},
    Row{at(Step::roll_back), Kind::failed, kAlways, Step::idle, kFailed, Code::attempts_exhausted},

    // The server takes the deployment back. Once it is being committed or undone, that is finished first.
    Row{kBeforeTrial, Kind::withdrawn, kAlways, Step::idle, kAborted},
    Row{kTrial, Kind::withdrawn, kAlways, Step::roll_back, kReason},

    // The agent comes up again: after a reboot, a crash of its own, or a stop in good order.
    Row{at(Step::validate), Kind::restarted, kStartedTooOften, Step::idle, kFailed, Code::validate_rebooted},
    Row{kBeforeTrial, Kind::restarted, kStartedTooOften, Step::idle, kFailed, Code::agent_crash_loop},
    Row{kTrial, Kind::restarted, kTrialExpired, Step::roll_back, kReason, Code::health_silence},
    Row{kTrial | at(Step::commit), Kind::restarted, kStartedTooOften, Step::roll_back, kReason, Code::agent_crash_loop},
    Row{at(Step::roll_back), Kind::restarted, kStartedTooOften, Step::idle, kFailed, Code::agent_crash_loop},
    Row{kBeforeTrial | kTrial | at(Step::commit, Step::roll_back), Kind::restarted, kAlways, kStay, kCountStart},
};

wire::Step wire_step(Step step) {
  return step == Step::idle ? wire::Step::sync : static_cast<wire::Step>(static_cast<int>(step) - 1);
}

wire::Outcome final_outcome(unsigned effects) {
  if (effects & kSucceeded) return wire::Outcome::succeeded;
  if (effects & kRolledBack) return wire::Outcome::rolled_back;
  return effects & kAborted ? wire::Outcome::aborted : wire::Outcome::failed;
}

std::string sentence(const Event& event, Code code) {
  if (!event.detail.empty()) return event.detail;
  switch (code) {
    case Code::validate_rebooted:
      return "the device rebooted or the agent died while the model was being validated";
    case Code::agent_crash_loop:
      return "the agent died too often in this step";
    case Code::health_silence:
      return "no word from the application before the deadline";
    default:
      return "";
  }
}

void begin(State& next, const Event& event) {
  next = State{};
  next.target = event.target;
  next.previous = event.previous;
}

void count_start(State& next, const Event& event) {
  if (!event.clean) ++next.starts;
  if (on_trial(next.step) && next.trial_began.boot != event.now.boot) next.trial_began = event.now;
}

// What changes in the state besides the step itself.
void apply_effects(const Row& row, const Event& event, Code code, State& next) {
  if (row.effects & kBegin) begin(next, event);
  if (row.effects & kStartTrial) {
    next.confirmation = event.confirmation;
    next.trial_began = event.now;
  }
  if (row.effects & kRetry) next.attempts = event.progressed ? 1 : next.attempts + 1;
  if (row.effects & kRefetch) ++next.refetches;
  if (row.effects & kCountStart) count_start(next, event);
  if (row.effects & kReason) {
    next.code = code;
    next.detail = sentence(event, code);
  }
}

Report final_report(const Row& row, const State& before, const Event& event, Code code) {
  Report report{wire_step(before.step), final_outcome(row.effects), code, sentence(event, code), event.evidence};
  if (row.effects & kSucceeded) report.code = Code::ok;
  // What is told after a rollback is why it was needed, not how it went.
  if (before.step == Step::roll_back && before.code != Code::ok) {
    if (row.effects & kRolledBack) report.code = before.code;
    report.detail =
        before.detail + (report.detail.empty() || report.detail == before.detail ? "" : "; " + report.detail);
  }
  return report;
}

}  // namespace

constexpr std::array<std::string_view, kSteps> kStepNames = {
    "idle", "sync", "preflight", "fetch", "verify", "stage", "validate", "activate", "confirm", "commit", "roll_back"};

std::string_view to_text(Step step) { return kStepNames[static_cast<std::size_t>(step)]; }

std::optional<Step> step_from_text(std::string_view text) {
  const auto found = std::find(kStepNames.begin(), kStepNames.end(), text);
  if (found == kStepNames.end()) return std::nullopt;
  return static_cast<Step>(found - kStepNames.begin());
}

// Fetching counts only tries that gained nothing: ten of them, with their waits, are some 40 minutes without a byte.
// Its starts are many because a long download on a battery device meets many reboots. Validation is the one step in
// which code of others runs, so that it is believed least.
Limits limits(Step step) {
  switch (step) {
    case Step::sync:
      return {10, 10};
    case Step::fetch:
      return {12, 25};
    case Step::stage:
      return {3, 5};
    case Step::validate:
      return {1, 2};
    case Step::activate:
      return {3, 5};
    case Step::confirm:
      return {1, 4};
    case Step::commit:
      return {5, 5};
    case Step::roll_back:
      return {10, 10};
    default:
      return {2, 5};
  }
}

bool on_trial(Step step) { return (at(step) & (kTrial | at(Step::commit))) != 0; }

std::size_t row_for(const State& state, const Event& event) {
  const auto fits = [&](const Row& row) {
    return (row.from & at(state.step)) != 0 && row.event == event.kind && row.guard.holds(state, event);
  };
  return static_cast<std::size_t>(std::find_if(kTable.begin(), kTable.end(), fits) - kTable.begin());
}

Decision decide(const State& state, const Event& event) {
  Decision decision;
  decision.next = state;
  const std::size_t index = row_for(state, event);
  if (index == kTable.size()) return decision;
  const Row& row = kTable[index];
  const Code code = row.code == kOfEvent ? event.code : row.code;
  decision.taken = true;
  decision.wait = (row.effects & kRetry) != 0;
  apply_effects(row, event, code, decision.next);
  const Step to = row.to.value_or(state.step);
  if (to != state.step) decision.next.attempts = decision.next.starts = 0;
  decision.next.step = to;
  if (row.effects & kEvidence)
    decision.reports.push_back({wire_step(state.step), wire::Outcome::progress, Code::ok, "validated", event.evidence});
  if (row.effects & kStarted) decision.reports.push_back({wire_step(to), wire::Outcome::started, Code::ok, "", ""});
  if (row.effects & kFinal) decision.reports.push_back(final_report(row, state, event, code));
  decision.finished = (row.effects & kFinal) != 0;
  decision.record = (row.effects & kRecord) != 0;
  return decision;
}

std::chrono::milliseconds backoff(int attempts, std::uint64_t random) {
  const int doublings = std::clamp(attempts - 1, 0, 20);
  const std::chrono::milliseconds full =
      std::min<std::chrono::milliseconds>(kBackoffBase * (1 << doublings), kBackoffCap);
  return full / 2 + std::chrono::milliseconds(random % static_cast<std::uint64_t>(full.count() / 2));
}

std::vector<RowInfo> table() {
  static const std::vector<std::string> effect_texts = [] {
    std::vector<std::string> texts;
    for (const Row& row : kTable) {
      std::string text;
      for (std::size_t bit = 0; bit < kEffectNames.size(); ++bit)
        if (row.effects & 1u << bit) text += (text.empty() ? "" : ", ") + std::string(kEffectNames[bit]);
      texts.push_back(std::move(text));
    }
    return texts;
  }();
  std::vector<RowInfo> rows;
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    RowInfo info{{}, kTable[i].event, kTable[i].guard.name, kTable[i].to, effect_texts[i]};
    for (std::size_t step = 0; step < kSteps; ++step)
      if (kTable[i].from & 1u << step) info.from.push_back(static_cast<Step>(step));
    rows.push_back(std::move(info));
  }
  return rows;
}

}  // namespace drover::update
