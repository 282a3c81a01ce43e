#include "tests/sim/memory_server.h"

#include <algorithm>

namespace drover::sim {

using rollout::Action;
using rollout::DeploymentMoved;
using rollout::Input;
using rollout::Standing;
using rollout::Want;
using rollout::Why;

namespace {

constexpr std::string_view kBack = "-back";

bool seen_by_devices(const rollout::RolloutState& a, const rollout::RolloutState& b) {
  return a.phase != b.phase || a.stage != b.stage || a.stage_opened != b.stage_opened;
}

Standing standing_of(wire::Outcome outcome) {
  switch (outcome) {
    case wire::Outcome::succeeded:
      return Standing::succeeded;
    case wire::Outcome::failed:
      return Standing::failed;
    case wire::Outcome::rolled_back:
      return Standing::rolled_back;
    default:
      return Standing::aborted;
  }
}

bool is_open(Standing standing) { return standing == Standing::in_flight || standing == Standing::silent; }

bool shows_activation(wire::Step step) {
  return step == wire::Step::activate || step == wire::Step::confirm || step == wire::Step::commit;
}

}  // namespace

std::unique_ptr<Server> make_memory_server(const Catalogue& catalogue, Story& story, Plant plant, std::uint64_t seed) {
  return std::make_unique<MemoryServer>(catalogue, story, plant, seed);
}

MemoryServer::MemoryServer(const Catalogue& catalogue, Story& story, Plant plant, std::uint64_t seed)
    : catalogue_(catalogue), story_(story), plant_(plant), rng_(seed) {
  for (const Release& release : catalogue.releases())
    releases_.push_back({release.model, release.version, false, release.kinds});
}

RolloutFact* MemoryServer::find_rollout(std::string_view id) { return const_cast<RolloutFact*>(facts_.rollout(id)); }

DeploymentFact* MemoryServer::find_deployment(std::string_view id) {
  for (DeploymentFact& one : facts_.deployments)
    if (one.id == id) return &one;
  return nullptr;
}

// --- people ----------------------------------------------------------------------------------------------------------

void MemoryServer::enrol(const fleet::DeviceView& device, WallTime) {
  devices_[device.id].view = device;
  ++changes_;
}

void MemoryServer::decommission(const std::string& device, WallTime) {
  devices_.at(device).view.state = fleet::DeviceState::decommissioned;
  ++revision_, ++changes_;
}

void MemoryServer::add_group(const std::string& name, const std::string& query) {
  groups_.emplace(name, fleet::Group::from_query(name, query).value());
}

Status MemoryServer::create(const wire::RolloutSpec& spec, const std::string& salt, WallTime now) {
  rollout::Decision begun = rollout::begin(spec, now);
  if (!begun.outcome) return begun.outcome;
  RolloutFact fact;
  fact.order = facts_.rollouts.size() + 1;
  fact.id = "r" + std::to_string(fact.order);
  fact.spec = spec;
  fact.salt = salt;
  fact.state = begun.state;
  facts_.rollouts.push_back(std::move(fact));
  ++revision_, ++changes_;
  std::deque<Input> more;
  for (const Action& action : begun.actions) carry_out(facts_.rollouts.back(), action, now, more);
  while (!more.empty()) {
    const Input next = std::move(more.front());
    more.pop_front();
    (void)decide(facts_.rollouts.back(), next, more).has_value();
  }
  return {};
}

Status MemoryServer::command(const std::string& id, const rollout::Command& command, WallTime now) {
  RolloutFact* rollout = find_rollout(id);
  if (rollout == nullptr) return Error(Code::not_found, "there is no rollout " + id);
  return feed(*rollout, {now, command});
}

void MemoryServer::withdraw(const Release& release, WallTime now) {
  for (rollout::ReleaseView& view : releases_)
    if (view.model == release.model && view.version == release.version) view.withdrawn = true;
  ++revision_, ++changes_;
  for (RolloutFact& rollout : facts_.rollouts)
    if (rollout.spec.model == release.model && rollout.spec.release == release.version)
      (void)feed(rollout, {now, rollout::ReleaseWithdrawn{}}).has_value();
}

void MemoryServer::tick(WallTime now) {
  for (RolloutFact& rollout : facts_.rollouts)
    if (rollout::needs_ticks(rollout.state)) (void)feed(rollout, {now, rollout::Tick{}}).has_value();
}

std::vector<std::string> MemoryServer::members(const std::string& group) {
  std::vector<std::string> members;
  for (const auto& [id, device] : devices_)
    if (device.view.state == fleet::DeviceState::active && groups_.at(group).covers(device.view)) members.push_back(id);
  return members;
}

void MemoryServer::restart() {
  for (auto& [id, device] : uncommitted_) devices_.at(id).acked_seq = device.acked_seq;
  uncommitted_.clear();
}

// --- the engine's driver ---------------------------------------------------------------------------------------------

Status MemoryServer::feed(RolloutFact& rollout, Input input) {
  std::deque<Input> more;
  TRY(decide(rollout, input, more));
  while (!more.empty()) {
    const Input next = std::move(more.front());
    more.pop_front();
    // What follows from an action may come too late: an earlier one has changed the phase.
    (void)decide(rollout, next, more).has_value();
  }
  return {};
}

Status MemoryServer::decide(RolloutFact& rollout, const Input& input, std::deque<Input>& more) {
  rollout::Decision decision = rollout::decide(rollout.spec, rollout.state, input);
  if (!decision.outcome) return std::move(decision.outcome);
  if (seen_by_devices(rollout.state, decision.state)) {
    if (plant_ != Plant::forgets_revision || decision.state.phase != rollout::Phase::halted) ++revision_;
    story_.tell(rollout.id, std::string(to_text(decision.state.phase)) + ", " + decision.state.reason);
  }
  rollout.state = std::move(decision.state);
  ++changes_;
  for (const Action& action : decision.actions) {
    // The engine allows it that the server dies before an action: a tick asks again.
    if (rng_.below(50) != 0) carry_out(rollout, action, input.now, more);
  }
  return {};
}

void MemoryServer::carry_out(RolloutFact& rollout, const Action& action, WallTime now, std::deque<Input>& more) {
  if (action.kind == Action::Kind::open_stage) open_stage(rollout, action.stage, now, more);
  if (action.kind == Action::Kind::sweep_silent && plant_ != Plant::never_sweeps) sweep(rollout, action, now, more);
}

std::vector<std::uint64_t> MemoryServer::places(const RolloutFact& rollout, const std::string& kind) const {
  std::vector<std::uint64_t> places;
  const fleet::Group& group = groups_.at(rollout.spec.group);
  for (const auto& [id, device] : devices_)
    if (device.view.state == fleet::DeviceState::active && device.view.kind == kind && group.covers(device.view))
      places.push_back(rollout::bucket(rollout.salt, id));
  std::sort(places.begin(), places.end());
  return places;
}

void MemoryServer::open_stage(RolloutFact& rollout, std::int32_t stage, WallTime now, std::deque<Input>& more) {
  const Release* release = catalogue_.find(rollout.spec.model, rollout.spec.release);
  std::vector<rollout::Stratum> strata;
  for (const std::string& kind : release->kinds) {
    const auto members = places(rollout, kind);
    const std::uint64_t before = stage == 0 ? 0 : rollout.thresholds.of(kind);
    const auto covered = std::lower_bound(members.begin(), members.end(), before) - members.begin();
    strata.push_back({kind, static_cast<std::int64_t>(members.size()), covered, before});
  }
  const rollout::StagePlan plan = rollout::plan_stage(rollout.spec.stages[static_cast<std::size_t>(stage)], strata,
                                                      stage == 0 ? 0 : rollout.thresholds.otherwise);
  rollout.thresholds.by_kind.clear();
  rollout.thresholds.otherwise = plan.otherwise;
  for (const rollout::StratumPlan& one : plan.strata) {
    const auto members = places(rollout, one.kind);
    std::optional<std::uint64_t> bucket;
    if (one.member > 0) bucket = members.at(static_cast<std::size_t>(one.member - 1));
    const std::uint64_t threshold = plant_ == Plant::forgets_stage ? rollout::kEveryone : rollout::settle(one, bucket);
    rollout.thresholds.by_kind.emplace_back(one.kind, threshold);
  }
  ++revision_, ++changes_;
  more.push_back({now, rollout::StageOpened{stage, plan.expected}});
}

void MemoryServer::sweep(const RolloutFact& rollout, const Action& action, WallTime now, std::deque<Input>& more) {
  for (DeploymentFact& one : facts_.deployments) {
    if (one.rollout != rollout.id || one.stage != action.stage || one.standing != Standing::in_flight) continue;
    if (one.offered_watched > action.watched) continue;
    one.standing = Standing::silent;
    story_.tell(rollout.id, one.id + " of " + one.device + " is silent");
    more.push_back({now, DeploymentMoved{one.stage, Standing::in_flight, Standing::silent}});
  }
}

// --- reports ---------------------------------------------------------------------------------------------------------

void MemoryServer::move(DeploymentFact& deployment, Standing to, WallTime now) {
  RolloutFact* rollout = find_rollout(deployment.rollout);
  const Standing from = deployment.standing;
  deployment.standing = to;  // first: an action may look at the deployments
  const Status fed = feed(*rollout, {now, DeploymentMoved{deployment.stage, from, to}});
  if (!fed && plant_ != Plant::counts_twice) story_.broken("5 counted", "a move was refused: " + fed.error().message());
}

// The way back has ended: an answer to the rollback, for a device that had succeeded.
void MemoryServer::end_return(DeploymentFact& deployment, const wire::Event& event, WallTime now) {
  if (!wire::is_final(event.outcome) || deployment.return_ended) return;
  deployment.return_ended = true;
  if (is_open(deployment.standing)) return move(deployment, Standing::rolled_back, now);
  if (deployment.standing != Standing::succeeded) return;
  const bool back = event.outcome == wire::Outcome::succeeded;
  (void)feed(*find_rollout(deployment.rollout),
             {now, rollout::ReturnEnded{back ? rollout::Return::returned : rollout::Return::failed}})
      .has_value();
}

void MemoryServer::apply_event(const DeviceFact& device, const wire::Event& event, WallTime now) {
  std::string_view id = event.deployment;
  const bool back = id.ends_with(kBack);
  if (back) id.remove_suffix(kBack.size());
  DeploymentFact* deployment = find_deployment(id);
  if (deployment == nullptr || deployment->device != device.view.id) return;
  ++changes_;
  // A device ends what it is committing before it begins what it was offered meanwhile.
  if (event.outcome == wire::Outcome::succeeded)
    for (DeploymentFact& one : facts_.deployments)
      if (one.device == deployment->device && is_open(one.standing) && !one.activated && one.model == event.model &&
          one.release != event.release)
        one.previous = event.release;
  if (back) return end_return(*deployment, event, now);
  const bool again = plant_ == Plant::counts_twice && deployment->standing == standing_of(event.outcome);
  if (again && wire::is_final(event.outcome)) {
    RolloutFact* rollout = find_rollout(deployment->rollout);
    auto& counters = rollout->state.stages[static_cast<std::size_t>(deployment->stage)];
    if (deployment->standing == Standing::succeeded) ++counters.succeeded, ++counters.offered;
    if (deployment->standing == Standing::failed) ++counters.failed, ++counters.offered;
  }
  if (!is_open(deployment->standing)) return;
  if (shows_activation(event.step)) deployment->activated = true;
  if (wire::is_final(event.outcome)) move(*deployment, standing_of(event.outcome), now);
}

// --- check-in --------------------------------------------------------------------------------------------------------

std::vector<rollout::Desired> MemoryServer::desired(const std::string& id) {
  const DeviceFact& device = devices_.at(id);
  std::vector<rollout::InstalledRelease> installed;
  for (const wire::Installed& one : device.installed) installed.push_back({one.model, one.release});
  std::vector<rollout::PastDeployment> history;
  for (const DeploymentFact& one : facts_.deployments)
    if (one.device == id)
      history.push_back({one.id, one.rollout, one.standing, one.activated, one.previous, one.return_ended});
  const auto find = [this](std::string_view model, std::string_view version) -> const rollout::ReleaseView* {
    for (const rollout::ReleaseView& one : releases_)
      if (one.model == model && one.version == version) return &one;
    return nullptr;
  };
  std::vector<rollout::RolloutView> views;
  for (const RolloutFact& one : facts_.rollouts)
    views.push_back({one.id, one.order, one.salt, &one.spec, &one.state, &groups_.at(one.spec.group), &one.thresholds,
                     find(one.spec.model, one.spec.release)});
  std::vector<rollout::Desired> all = rollout::assign(device.view, installed, history, views, find);
  lie_about_desired(device, all);
  return all;
}

// What planted faults make of it.
void MemoryServer::lie_about_desired(const DeviceFact& device, std::vector<rollout::Desired>& desired) {
  if (device.view.state != fleet::DeviceState::active) return;
  for (rollout::Desired& one : desired) {
    if (plant_ == Plant::goes_back_elsewhere && one.want == Want::go_back)
      for (const Release& other : catalogue_.releases())
        if (other.model == one.model && other.version != one.release && other.has_variant(device.view.kind))
          one.release = other.version;
    const bool capped = plant_ == Plant::forgets_cap && one.why == Why::capped;
    const bool halted = plant_ == Plant::offers_when_halted && one.why == Why::halted;
    if (!capped && !halted) continue;
    one.want = Want::offer;
    one.release = facts_.rollout(one.rollout)->spec.release;
  }
}

Status MemoryServer::begin_deployment(const DeviceFact& device, rollout::Desired& desired, Standing standing,
                                      WallTime now) {
  RolloutFact* rollout = find_rollout(desired.rollout);
  const std::int32_t stage = rollout->state.stage;
  DeploymentFact fact;
  fact.offered_watched = rollout->state.watched;
  const bool lie = plant_ == Plant::forgets_cap || plant_ == Plant::offers_when_halted;
  if (lie && standing == Standing::in_flight) {
    auto& counters = rollout->state.stages[static_cast<std::size_t>(stage)];
    ++counters.offered, ++counters.in_flight, ++changes_;
  } else {
    TRY(feed(*rollout, {now, DeploymentMoved{stage, Standing::none, standing}}));
  }
  fact.id = "p" + std::to_string(facts_.deployments.size() + 1);
  fact.device = device.view.id;
  fact.rollout = rollout->id;
  fact.stage = stage;
  fact.model = desired.model;
  fact.release = desired.release;
  fact.standing = standing;
  if (standing == Standing::in_flight)
    for (const wire::Installed& one : device.installed)
      if (one.model == desired.model) fact.previous = one.release;
  desired.deployment = fact.id;
  facts_.deployments.push_back(std::move(fact));
  ++changes_;
  return {};
}

void MemoryServer::note_nothing_before(const rollout::Desired& desired, WallTime now) {
  DeploymentFact* deployment = find_deployment(desired.deployment);
  if (deployment == nullptr || deployment->return_ended || deployment->standing != Standing::succeeded) return;
  deployment->return_ended = true;
  (void)feed(*find_rollout(desired.rollout), {now, rollout::ReturnEnded{rollout::Return::nothing_before}}).has_value();
}

void MemoryServer::record(const DeviceFact& device, std::vector<rollout::Desired>& desired, bool& waiting,
                          WallTime now) {
  for (rollout::Desired& one : desired) {
    if (one.waits_for_place) waiting = true;
    if (one.why == Why::no_previous) {
      note_nothing_before(one, now);
      waiting = true;  // once it is noted, an older rollout may have something for the device
    }
    const bool adopt = one.why == Why::already_installed && one.deployment.empty();
    if (one.want != Want::offer && !adopt) continue;
    const Status begun = begin_deployment(device, one, adopt ? Standing::succeeded : Standing::in_flight, now);
    if (begun) continue;
    waiting = true;
    if (one.want == Want::offer) one.want = Want::nothing;
  }
}

void MemoryServer::sign(DeviceFact& device, std::vector<update::Target> targets, std::int64_t version_of_device) {
  const std::int64_t last = std::max(device.assignment.version, version_of_device);
  if (targets == device.assignment.targets && device.assignment.version >= version_of_device) return;
  const bool reuse = plant_ == Plant::reuses_versions && device.assignment.version > 0;
  device.assignment = {reuse ? device.assignment.version : last + 1, device.view.id, std::move(targets)};
}

Answer MemoryServer::checkin(const Checkin& request, WallTime now) {
  Answer answer;
  answer.claims = request.claims;
  if (!request.report && request.claims.revision == revision_ &&
      request.claims.assignment_version == request.assignment_version) {
    answer.idle = true;
    return answer;
  }
  DeviceFact& device = devices_.at(request.device);
  if (device.view.state != fleet::DeviceState::active) return {Code::gone, 0, std::nullopt, {}, false};
  if (plant_ == Plant::acks_before_commit && rng_.below(10) == 0) uncommitted_.emplace(request.device, device);
  const bool gap = !request.events.empty() && request.events.front().seq > device.acked_seq + 1;
  if (gap && plant_ == Plant::insists_on_every_event) return {Code::conflict, 0, std::nullopt, {}, false};
  if (request.report) {
    for (const wire::Event& event : request.events) {
      if (event.seq <= device.acked_seq && plant_ != Plant::counts_twice) continue;
      apply_event(device, event, now);
      device.acked_seq = std::max(device.acked_seq, event.seq);
    }
    answer.acked_seq = device.acked_seq;
    // A report that was overtaken by a later one knows only what was installed then.
    const bool overtaken = !request.events.empty() && request.events.back().seq < device.acked_seq;
    if (!overtaken) device.installed = request.installed;
  }
  std::vector<rollout::Desired> wanted = desired(request.device);
  bool waiting = false;
  record(device, wanted, waiting, now);
  sign(device, targets_for(catalogue_, device.view.kind, wanted), request.assignment_version);
  answer.claims = {waiting ? 0 : revision_, device.assignment.version};
  if (device.assignment.version > request.assignment_version || plant_ == Plant::reuses_versions)
    answer.assignment = device.assignment;
  return answer;
}

}  // namespace drover::sim
