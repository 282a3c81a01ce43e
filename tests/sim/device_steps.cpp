// The steps of a deployment, as the agent's shell runs them.
#include <algorithm>

#include "tests/sim/device.h"

namespace drover::sim {

using update::Event;
using update::Step;

namespace {

Event done() {
  Event event;
  event.kind = Event::Kind::done;
  return event;
}

Event failed(Code code, std::string detail, bool retryable) {
  Event event;
  event.kind = Event::Kind::failed;
  event.code = code;
  event.detail = std::move(detail);
  event.retryable = retryable;
  return event;
}

bool shown_or_going_back(Step step) { return update::on_trial(step) || step == Step::roll_back; }

// Commits and rollbacks are finished first; everything else ends when it is not wanted any more.
void withdraw_if_unwanted(const Disk& disk, Event& event) {
  const auto code = update::withdrawn(disk.state, disk.accepted.targets);
  if (!code) return;
  Event withdrawn;
  withdrawn.kind = Event::Kind::withdrawn;
  withdrawn.code = *code;
  withdrawn.detail = *code == Code::halted ? "the server took it back" : "a newer assignment took its place";
  if (update::decide(disk.state, withdrawn).taken) event = std::move(withdrawn);
}

}  // namespace

update::Moment Device::moment() const { return {id() + "#" + std::to_string(boots_), around_.queue().now() - booted_}; }

MonoTime Device::mono() const { return MonoTime(around_.queue().now() - booted_); }

// A step's boundary is where power likes to fail. True: the agent is dead now.
bool Device::mishap(std::string_view where) {
  if (!running_) return true;
  if (!around_.faults()) return false;
  const std::uint64_t dice = rng_.below(2000);
  const bool prone = prone_ == disk_.state.step && rng_.below(4) != 0;
  if (dice >= 20 && !prone) return false;
  tell("mishap " + std::string(where));
  if (dice % 2 == 0 && !prone) {
    power_cut();
    around_.queue().after(between(2000, 600'000), [this] { power_on(); });
  } else {
    agent_dies();
  }
  return true;
}

// --- the loop of deployments -----------------------------------------------------------------------------------------

void Device::work() {
  if (busy_ || !running_) return;
  if (disk_.state.step != Step::idle) return begin_step();
  const auto target = update::next_target(disk_.accepted.targets, disk_.slots);
  if (!target) return;
  Event event;
  event.kind = Event::Kind::assigned;
  event.target = *target;
  for (const update::Slot& slot : disk_.slots)
    if (slot.model == target->model) event.previous = slot.current.package;
  around_.began(id(), *target, event.previous);
  feed(std::move(event));
}

Time Device::duration() {
  switch (disk_.state.step) {
    case Step::sync:
      return between(100, 2000);
    case Step::fetch:
      return between(1000, 90'000);
    case Step::verify:
    case Step::stage:
      return between(100, 5000);
    case Step::validate:
      return between(500, 30'000);
    default:
      return between(1, 200);
  }
}

void Device::begin_step() {
  busy_ = true;
  const std::uint64_t token = ++step_token_;
  if (disk_.state.step == Step::confirm && around_.plant() != Plant::confirms_unseen) return start_trial();
  after(duration(), [this, token] {
    if (busy_ && token == step_token_) finish_step();
  });
}

void Device::finish_step() {
  Event event = perform();
  around_.touched(id());
  if (mishap("between the effect and the write")) return;
  busy_ = false;
  trial_.reset();
  withdraw_if_unwanted(disk_, event);
  feed(std::move(event));
}

void Device::feed(Event event) {
  const Step from = disk_.state.step;
  const update::Decision decision = update::decide(disk_.state, event);
  if (!decision.taken) return around_.story().broken("8 nothing wedges", "an event means nothing in this step");
  apply(decision);
  std::string line(to_text(from));
  line += event.kind == Event::Kind::done ? " done" : event.kind == Event::Kind::assigned ? " begins " : " ended: ";
  if (event.kind == Event::Kind::assigned) line += event.target.model + "/" + event.target.release;
  if (event.kind == Event::Kind::failed || event.kind == Event::Kind::withdrawn)
    line += std::string(code_name(event.code));
  tell(line + ", now in " + std::string(to_text(decision.next.step)));
  if (decision.finished) {
    const bool aborted = !decision.reports.empty() && decision.reports.back().outcome == wire::Outcome::aborted;
    if (!aborted) collect();
    check_in_after(Time{0});
  }
  if (mishap("after the write")) return;
  after(decision.wait ? update::backoff(decision.next.attempts, rng_.next()) : Time{0}, [this] { work(); });
}

// One transaction: the state, the reports, the slot.
void Device::apply(const update::Decision& decision) {
  const bool was = shown_or_going_back(disk_.state.step), is = shown_or_going_back(decision.next.step);
  if (is && !was) trial_since_ = around_.queue().now();
  if (is && was && !trial_since_) trial_since_ = around_.queue().now();
  if (!is) trial_since_.reset(), uptime_before_ = Time{0};
  disk_.state = decision.next;
  for (const update::Report& report : decision.reports) append(decision.next.target, report);
  if (!decision.finished && !decision.record) return;
  const update::Target& target = decision.next.target;
  auto slot = std::find_if(disk_.slots.begin(), disk_.slots.end(),
                           [&](const update::Slot& one) { return one.model == target.model; });
  if (slot == disk_.slots.end()) {
    disk_.slots.push_back({});
    slot = disk_.slots.end() - 1;
    slot->model = target.model;
  }
  const auto now = WallTime(std::chrono::duration_cast<seconds>(around_.queue().now()));
  if (decision.record) *slot = update::recorded(*slot, target, now);
  if (decision.finished) slot->last_deployment = target.deployment;
}

void Device::append(const update::Target& target, const update::Report& report) {
  wire::Event event;
  event.seq = disk_.next_seq++;
  event.deployment = target.deployment;
  event.model = target.model;
  event.release = target.release;
  event.step = report.step;
  event.outcome = report.outcome;
  event.code = report.code;
  event.detail = report.detail;
  auto& tally = around_.story().tally;
  if (event.outcome == wire::Outcome::succeeded) ++tally.committed;
  if (event.outcome == wire::Outcome::failed) ++tally.refused;
  if (event.outcome == wire::Outcome::rolled_back) ++tally.went_back;
  if (event.outcome == wire::Outcome::aborted) ++tally.taken_back;
  around_.appended(id(), event);
  disk_.outbox.push_back(std::move(event));
  if (disk_.outbox.size() <= kSimOutbox) return;
  const auto oldest = std::find_if(disk_.outbox.begin(), disk_.outbox.end(),
                                   [](const wire::Event& one) { return !wire::is_final(one.outcome); });
  if (oldest != disk_.outbox.end()) disk_.outbox.erase(oldest);
}

void Device::collect() {
  const auto kept = update::kept_packages(disk_.state, disk_.slots);
  const auto lost = [&](const auto& one) { return !std::binary_search(kept.begin(), kept.end(), one.first); };
  std::erase_if(disk_.packages, lost);
  std::erase_if(disk_.blobs, lost);
}

// --- effects ---------------------------------------------------------------------------------------------------------

Event Device::perform() {
  const update::State& state = disk_.state;
  switch (state.step) {
    case Step::sync:
      return sync();
    case Step::preflight:
      return chance(5) ? failed(Code::preflight_disk, "the disk is full", false) : done();
    case Step::fetch:
      return fetch();
    case Step::verify:
      return verify();
    case Step::stage:
      if (chance(10)) return failed(Code::io, "the disk stutters", true);
      if (const auto blob = disk_.blobs.find(state.target.package); blob != disk_.blobs.end()) {
        disk_.packages.emplace(state.target.package, blob->second.good && blob->second.fetched >= 1);
        disk_.blobs.erase(blob);
      }
      return done();
    case Step::validate:
      return validate();
    case Step::roll_back:
      if (around_.plant() == Plant::asks_before_rollback && !around_.reachable(id())) {
        disk_.state.attempts = 0;
        return failed(Code::unavailable, "the server does not answer", true);
      }
      [[fallthrough]];
    case Step::activate:
      if (chance(10)) return failed(Code::io, "the disk stutters", true);
      disk_.links = update::wanted_links(state, disk_.slots);
      return done();
    case Step::confirm:
      if (trial_event_) return *std::exchange(trial_event_, std::nullopt);
      if (around_.plant() == Plant::confirms_unseen) return done();
      return failed(Code::cancelled, "stopped while on trial", false);
    case Step::commit:
      return commit();
    case Step::idle:
      break;
  }
  return done();
}

// The director and the release managers must agree.
Event Device::sync() {
  if (!around_.reachable(id())) return failed(Code::unavailable, "no answer", true);
  const update::Target& target = disk_.state.target;
  const Release* release = around_.catalogue().find(target.model, target.release);
  const bool listed = release != nullptr && release->listed && !release->withdrawn_at;
  if (!listed && around_.plant() != Plant::believes_unlisted)
    return failed(Code::target_not_listed, "the release managers do not list it", false);
  if (release->package(view_.kind) != target.package) return failed(Code::wrong_kind, "not for this device", false);
  for (const update::Slot& slot : disk_.slots)
    if (slot.model == target.model && target.release_counter < slot.floor)
      return failed(Code::counter_below_floor, "older than allowed", false);
  around_.synced(id(), target);
  return done();
}

Event Device::fetch() {
  const std::string& package = disk_.state.target.package;
  if (disk_.packages.contains(package)) return done();
  auto& blob = disk_.blobs[package];
  if (blob.fetched >= 1) return done();
  if (!around_.reachable(id()) || chance(100)) {
    append(disk_.state.target, {wire::Step::fetch, wire::Outcome::progress, Code::ok, "", ""});
    const double gained = (1 - blob.fetched) * static_cast<double>(rng_.below(3)) / 4;
    blob.fetched += gained;
    Event event = failed(Code::fetch_failed, "the connection broke", true);
    event.progressed = gained > 0;
    return event;
  }
  blob = {1, !chance(30)};
  if (around_.plant() == Plant::flips_before_verify) disk_.links[disk_.state.target.model] = package;
  return done();
}

Event Device::verify() {
  const std::string& package = disk_.state.target.package;
  if (const auto there = disk_.packages.find(package); there != disk_.packages.end())
    return there->second ? done() : failed(Code::digest_mismatch, "wrong bytes", true);
  const auto blob = disk_.blobs.find(package);
  if (blob != disk_.blobs.end() && blob->second.good && blob->second.fetched >= 1) return done();
  disk_.blobs.erase(package);
  return failed(Code::digest_mismatch, "wrong bytes", true);
}

Event Device::validate() {
  const auto variant = around_.catalogue().variant(disk_.state.target.package);
  const Nature nature = variant.release->nature_on(variant.kind);
  if (nature == Nature::deadly) {
    // The device goes down with it. What follows is never seen.
    power_cut();
    around_.queue().after(between(2000, 60'000), [this] { power_on(); });
    return {};
  }
  if (nature == Nature::damaged || chance(3)) return failed(Code::validate_golden, "outputs differ", false);
  Event event = done();
  event.confirmation = {seconds(20 + rng_.below(40)), 3, 2};
  event.now = moment();
  event.evidence = "{}";
  return event;
}

Event Device::commit() {
  const auto shown = disk_.links.find(disk_.state.target.model);
  if (shown != disk_.links.end() && shown->second == disk_.state.target.package) return done();
  return failed(Code::activate_failed, "the link leads elsewhere", false);
}

// --- trial -----------------------------------------------------------------------------------------------------------

void Device::start_trial() {
  const update::State& state = disk_.state;
  const MonoTime deadline = MonoTime(state.trial_began.since_boot) + state.confirmation.deadline;
  trial_event_.reset();
  trial_.emplace(state.target.model, state.target.package, state.confirmation, deadline, false);
  after(between(200, 3000), [this, token = step_token_] {
    if (token == step_token_) application_comes();
  });
  const auto left = std::chrono::duration_cast<Time>(deadline - mono());
  after(std::max(left, Time{0}), [this, token = step_token_] {
    if (token == step_token_) look_at_trial();
  });
}

void Device::application_comes() {
  if (!trial_) return;
  trial_->connected();
  application_lives();
}

// One turn of the application's life.
void Device::application_lives() {
  if (!trial_) return;
  const auto variant = around_.catalogue().variant(trial_->package());
  const Nature nature = variant.release->nature_on(variant.kind);
  const bool well = nature == Nature::good ? !chance(20) : nature == Nature::crash_loop;
  if (nature == Nature::mute) return;
  trial_->health(trial_->package(), well, "the application does not feel well");
  look_at_trial();
  const bool crashes = nature == Nature::crash_loop || (nature == Nature::good && chance(10));
  after(between(800, 2500), [this, crashes, token = step_token_] {
    if (token != step_token_ || !trial_) return;
    if (crashes) trial_->dropped();
    look_at_trial();
    if (trial_) application_lives();
  });
}

void Device::look_at_trial() {
  if (!trial_ || !busy_) return;
  const auto verdict = trial_->verdict(mono());
  if (!verdict) return;
  trial_event_ = verdict->code == Code::ok ? done() : failed(verdict->code, verdict->detail, false);
  finish_step();
}

}  // namespace drover::sim
