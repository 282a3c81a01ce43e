#include "tests/sim/device.h"

#include <algorithm>

namespace drover::sim {

using update::Event;
using update::Step;

namespace {

constexpr Time kPoll = seconds(60);
constexpr Time kRequestTimeout = seconds(30);

bool same(const std::vector<wire::Installed>& a, const std::vector<wire::Installed>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const wire::Installed& x, const wire::Installed& y) {
    return x.model == y.model && x.package == y.package && x.since == y.since;
  });
}

std::vector<wire::Installed> installed(const std::vector<update::Slot>& slots) {
  std::vector<wire::Installed> all;
  for (const update::Slot& slot : slots)
    if (!slot.current.package.empty())
      all.push_back(
          {slot.model, slot.current.release, slot.current.package, slot.current.release_counter, slot.current.since});
  return all;
}

}  // namespace

Device::Device(Surroundings& around, fleet::DeviceView view, std::uint64_t seed)
    : around_(around), view_(std::move(view)), rng_(seed) {}

void Device::tell(const std::string& what) { around_.story().tell(view_.name, what); }

Time Device::between(int low_ms, int high_ms) {
  return Time(low_ms + static_cast<int>(rng_.below(static_cast<std::uint64_t>(high_ms - low_ms + 1))));
}

bool Device::chance(std::uint64_t in_thousand) { return around_.faults() && rng_.below(1000) < in_thousand; }

void Device::after(Time delay, Guarded what) {
  around_.queue().after(delay, [this, life = life_, what = std::move(what)] {
    if (life != life_ || !running_) return;
    what();
    around_.touched(id());
  });
}

// --- power -----------------------------------------------------------------------------------------------------------

void Device::power_on() {
  if (powered_) return;
  powered_ = true;
  booted_ = around_.queue().now();
  ++boots_;
  start_agent();
}

void Device::power_lost_in_step() {
  // Bytes that had been written down stay; the rest of the download is gone.
  if (busy_ && disk_.state.step == Step::fetch) {
    auto& blob = disk_.blobs[disk_.state.target.package];
    blob.fetched += (1 - blob.fetched) * static_cast<double>(rng_.below(100)) / 100;
  }
  if (trial_since_) uptime_before_ += around_.queue().now() - *trial_since_;
  trial_since_.reset();
  ++life_;
  running_ = busy_ = false;
  trial_.reset();
  awaited_ = 0;
  around_.touched(id());
}

void Device::power_cut() {
  if (!powered_) return;
  tell("the power is cut in " + std::string(to_text(disk_.state.step)));
  ++around_.story().tally.power_cuts;
  power_lost_in_step();
  powered_ = false;
}

void Device::agent_dies() {
  if (!running_) return;
  tell("the agent dies in " + std::string(to_text(disk_.state.step)));
  ++around_.story().tally.crashes;
  power_lost_in_step();
  restart_soon();
}

void Device::agent_stops() {
  if (!running_) return;
  tell("the agent stops in good order in " + std::string(to_text(disk_.state.step)));
  power_lost_in_step();
  disk_.clean_stop = true;
  restart_soon();
}

void Device::restart_soon() {
  around_.queue().after(between(1000, 15'000), [this, life = life_] {
    if (life != life_ || running_) return;
    if (!powered_) return power_on();
    start_agent();
  });
}

Time Device::trial_uptime() const {
  return uptime_before_ + (trial_since_ ? around_.queue().now() - *trial_since_ : Time{0});
}

void Device::start_agent() {
  ++life_;
  running_ = true;
  check_in_wanted_ = false;
  failures_ = 0;
  Event event;
  event.kind = Event::Kind::restarted;
  event.clean = disk_.clean_stop;
  event.now = moment();
  disk_.clean_stop = false;
  if (around_.plant() == Plant::forgets_deployment) disk_.state = {};
  const update::Decision decision = decide(disk_.state, event);
  tell("the agent comes up in " + std::string(to_text(disk_.state.step)));
  if (decision.taken) apply(decision);
  disk_.links = update::wanted_links(disk_.state, disk_.slots);
  around_.touched(id());
  check_in_after(between(0, 10'000));
  work();
}

// --- check-ins -------------------------------------------------------------------------------------------------------

void Device::check_in_after(Time delay) {
  after(delay, [this, token = ++check_in_token_] {
    if (token == check_in_token_) check_in();
  });
}

void Device::check_in() {
  if (awaited_ != 0) {
    check_in_wanted_ = true;
    return;
  }
  check_in_wanted_ = false;
  Checkin checkin;
  checkin.device = id();
  checkin.assignment_version = disk_.accepted.version;
  checkin.claims = disk_.claims;
  // Consecutive ones only, as many as one report takes.
  for (const wire::Event& event : disk_.outbox) {
    if (checkin.events.size() == 8) break;
    if (!checkin.events.empty() && event.seq != checkin.events.back().seq + 1) break;
    checkin.events.push_back(event);
  }
  checkin.installed = installed(disk_.slots);
  checkin.report = !checkin.events.empty() || !same(checkin.installed, disk_.reported);
  told_ = checkin.installed;
  awaited_ = ++request_;
  around_.send(id(), awaited_, std::move(checkin));
  after(kRequestTimeout, [this, request = awaited_] {
    if (awaited_ == request) check_in_failed();
  });
}

void Device::check_in_failed() {
  awaited_ = 0;
  ++failures_;
  check_in_after(update::backoff(failures_, rng_.next()));
}

void Device::deliver(std::uint64_t request, const Answer& answer) {
  if (!running_ || request != awaited_) return;
  awaited_ = 0;
  if (answer.code == Code::gone) {
    tell("the server says that it is gone");
    return;
  }
  if (answer.code != Code::ok) {
    tell("the server answers " + std::string(code_name(answer.code)));
    return check_in_failed();
  }
  failures_ = 0;
  take_answer(answer);
  around_.touched(id());
}

void Device::take_answer(const Answer& answer) {
  disk_.claims = answer.claims;
  if (answer.acked_seq != 0)
    std::erase_if(disk_.outbox, [&](const wire::Event& event) { return event.seq <= answer.acked_seq; });
  if (!answer.idle) disk_.reported = told_;
  if (answer.assignment) take_assignment(*answer.assignment);
  const bool more = check_in_wanted_ || (!disk_.outbox.empty() && answer.acked_seq != 0);
  check_in_after(more ? Time{0}
                      : between(static_cast<int>(kPoll.count() * 8 / 10), static_cast<int>(kPoll.count() * 12 / 10)));
}

void Device::take_assignment(const Assignment& assignment) {
  if (assignment.device != id() && around_.plant() != Plant::takes_anybodys_assignment)
    return tell("refuses an assignment of " + assignment.device);
  if (assignment.version < disk_.accepted.version)
    return tell("refuses the assignment " + std::to_string(assignment.version) + ": it is an old one");
  if (assignment.version == disk_.accepted.version && around_.plant() != Plant::reuses_versions) return;
  disk_.accepted = assignment;
  std::string names;
  for (const update::Target& target : assignment.targets)
    names += " " + target.model + "/" + target.release + " by " + target.deployment;
  tell("takes the assignment " + std::to_string(assignment.version) + ":" + (names.empty() ? " nothing" : names));
  if (mishap("after the assignment was taken")) return;
  // What runs is not wanted any more: it ends soon.
  if (busy_ && update::withdrawn(disk_.state, disk_.accepted.targets))
    after(between(0, 500), [this, token = step_token_] {
      if (busy_ && token == step_token_) finish_step();
    });
  work();
}

}  // namespace drover::sim
