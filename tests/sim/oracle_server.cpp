// The promises about rollouts: stages, caps, halts, counters.
#include <algorithm>
#include <cmath>

#include "tests/sim/oracle.h"

namespace drover::sim {

using rollout::Phase;
using rollout::Standing;

namespace {

const wire::StageSpec& stage_of(const RolloutFact& rollout, std::int32_t stage) {
  return rollout.spec.stages[static_cast<std::size_t>(stage)];
}

std::string explain(const std::vector<rollout::Desired>& desired) {
  std::string text = ":";
  for (const rollout::Desired& one : desired)
    text += " " + one.model + "/" + one.release + " by " + one.rollout + " " + one.deployment + " (" +
            std::string(rollout::to_text(one.why)) + ")";
  return text;
}

bool stopped(Phase phase) { return !rollout::is_offering(phase); }

}  // namespace

void Oracle::look_at_server() {
  if (server_.changes() == changes_seen_) return;
  changes_seen_ = server_.changes();
  const Facts& facts = server_.facts();
  look_at_openings(facts);
  for (; offers_seen_ < facts.deployments.size(); ++offers_seen_) look_at_offer(facts, facts.deployments[offers_seen_]);
  for (const RolloutFact& rollout : facts.rollouts) {
    look_at_counters(facts, rollout);
    look_at_phase(rollout);
    before_[rollout.id] = rollout;
  }
}

// --- stages ----------------------------------------------------------------------------------------------------------

void Oracle::look_at_openings(const Facts& facts) {
  for (const RolloutFact& rollout : facts.rollouts) {
    const auto before = before_.find(rollout.id);
    const Opening& last = openings_[rollout.id];
    if (rollout.state.stage_opened && last.stage != rollout.state.stage)
      open(rollout, before == before_.end() ? nullptr : &before->second);
  }
}

// How many of those who are there now may be inside: the share, but never fewer than were inside before.
void Oracle::open(const RolloutFact& rollout, const RolloutFact* before) {
  const Release* release = catalogue_.find(rollout.spec.model, rollout.spec.release);
  const wire::StageSpec& stage = stage_of(rollout, rollout.state.stage);
  Opening& opening = openings_[rollout.id];
  opening = {rollout.state.stage, {}, 0};
  std::int64_t covered = 0;
  for (const std::string& id : server_.members(rollout.spec.group)) {
    const std::string kind = server_.device(id).view.kind;
    if (!release->has_variant(kind)) continue;
    opening.members.insert(id);
    const bool inside =
        before != nullptr && rollout.state.stage > 0 && rollout::bucket(rollout.salt, id) < before->thresholds.of(kind);
    if (inside) ++covered;
  }
  const auto size = static_cast<std::int64_t>(opening.members.size());
  const std::int64_t share =
      stage.count > 0 ? std::min(stage.count, size)
                      : std::max<std::int64_t>(std::llround(static_cast<double>(size) * stage.percent / 100), 1);
  opening.allowed = std::max(share, covered);
}

void Oracle::look_at_offer(const Facts& facts, const DeploymentFact& offer) {
  const RolloutFact& rollout = *facts.rollout(offer.rollout);
  const DeviceFact device = server_.device(offer.device);
  const wire::StageSpec& stage = stage_of(rollout, offer.stage);
  ++story_.tally.offers;
  if (offer.standing != Standing::in_flight) books_[offer.device].found.insert(offer.id);
  story_.tell(rollout.id, offer.id + (offer.standing == Standing::in_flight ? " offers " : " finds ") + offer.model +
                              "/" + offer.release + " to " + device.view.name);
  // One that is only found may be what halts the rollout: it makes the sample large enough.
  if (stopped(rollout.state.phase) && offer.standing == Standing::in_flight)
    return story_.broken("4 nothing is offered when stopped", offer.id);
  if (device.view.state != fleet::DeviceState::active) return story_.broken("4 stages", "an offer to nobody's device");
  if (rollout::bucket(rollout.salt, offer.device) >= rollout.thresholds.of(device.view.kind))
    return story_.broken("4 stages", offer.id + " is beyond the stage");
  if (offer.standing == Standing::in_flight && stage.max_in_flight > 0 &&
      standing_at(facts, rollout, Standing::in_flight) > stage.max_in_flight)
    return story_.broken("4 the in-flight cap", offer.id + " is one too many");
  const auto twice = std::count_if(facts.deployments.begin(), facts.deployments.end(), [&](const DeploymentFact& one) {
    return one.rollout == offer.rollout && one.device == offer.device;
  });
  if (twice > 1) return story_.broken("4 stages", offer.device + " has two deployments in one rollout");
  look_at_stage(facts, rollout);
}

void Oracle::look_at_stage(const Facts& facts, const RolloutFact& rollout) {
  const Opening& opening = openings_[rollout.id];
  std::int64_t placed = 0, counted = 0;
  for (const DeploymentFact& one : facts.deployments) {
    if (one.rollout != rollout.id) continue;
    if (one.standing != Standing::aborted) ++counted;
    if (opening.members.contains(one.device)) ++placed;
  }
  const wire::StageSpec& stage = stage_of(rollout, opening.stage);
  if (placed > opening.allowed)
    story_.broken("4 stages", rollout.id + " has reached " + std::to_string(placed) +
                                  " of the devices that were there, " + std::to_string(opening.allowed) +
                                  " are allowed");
  if (stage.count > 0 && counted > stage.count && counted > opening.allowed)
    story_.broken("4 stages", rollout.id + " has more devices than its stage counts");
}

// --- counters --------------------------------------------------------------------------------------------------------

std::int64_t Oracle::standing_at(const Facts& facts, const RolloutFact& rollout, Standing standing) const {
  return std::count_if(facts.deployments.begin(), facts.deployments.end(), [&](const DeploymentFact& one) {
    return one.rollout == rollout.id && one.standing == standing;
  });
}

void Oracle::look_at_counters(const Facts& facts, const RolloutFact& rollout) {
  std::vector<rollout::StageCounters> sums(rollout.spec.stages.size());
  std::int64_t answered = 0;
  for (const DeploymentFact& one : facts.deployments) {
    if (one.rollout != rollout.id) continue;
    auto& sum = sums[static_cast<std::size_t>(one.stage)];
    ++sum.offered;
    if (one.standing == Standing::in_flight) ++sum.in_flight;
    if (one.standing == Standing::succeeded) ++sum.succeeded;
    if (one.standing == Standing::failed) ++sum.failed;
    if (one.standing == Standing::rolled_back) ++sum.rolled_back;
    if (one.standing == Standing::aborted) ++sum.aborted;
    if (one.standing == Standing::silent) ++sum.silent;
    if (one.return_ended && one.standing == Standing::succeeded) ++answered;
  }
  const auto same = [](const rollout::StageCounters& a, const rollout::StageCounters& b) {
    return a.offered == b.offered && a.in_flight == b.in_flight && a.succeeded == b.succeeded && a.failed == b.failed &&
           a.rolled_back == b.rolled_back && a.aborted == b.aborted && a.silent == b.silent;
  };
  const rollout::RolloutState& state = rollout.state;
  if (!std::equal(sums.begin(), sums.end(), state.stages.begin(), state.stages.end(), same))
    story_.broken("5 counted", "the counters of " + rollout.id + " are not the sum over its deployments");
  if (state.returned + state.return_failed + state.nothing_before != answered)
    story_.broken("5 counted", "the returns of " + rollout.id +
                                   " are not those of its deployments: " + std::to_string(state.returned) + " + " +
                                   std::to_string(state.return_failed) + " + " + std::to_string(state.nothing_before) +
                                   " are not " + std::to_string(answered));
}

void Oracle::look_at_phase(const RolloutFact& rollout) {
  const auto at = before_.find(rollout.id);
  if (at == before_.end()) return;
  const rollout::RolloutState& before = at->second.state;
  story_.tally.returned +=
      static_cast<std::uint64_t>(std::max<std::int64_t>(rollout.state.returned - before.returned, 0));
  for (std::size_t i = 0; i < before.stages.size(); ++i)
    if (rollout.state.stages[i].silent > before.stages[i].silent) ++story_.tally.silent;
  const Phase from = before.phase, to = rollout.state.phase;
  if (from == to) return;
  Tally& tally = story_.tally;
  if (to == Phase::halted) ++tally.halted;
  if (to == Phase::completed) ++tally.completed;
  if (to == Phase::rolled_back) ++tally.rolled_back;
  const bool back = to == Phase::rolling_back || to == Phase::rolled_back;
  const bool over = from == Phase::halted || from == Phase::aborted || from == Phase::rolling_back;
  if (from == Phase::rolled_back || (over && !back)) story_.broken("4 halted stays halted", rollout.id);
}

// --- the end ---------------------------------------------------------------------------------------------------------

bool is_settled(const Facts& facts, const RolloutFact& rollout) {
  const bool under_way = std::any_of(
      facts.deployments.begin(), facts.deployments.end(),
      [&](const DeploymentFact& one) { return one.rollout == rollout.id && one.standing == Standing::in_flight; });
  if (under_way) return false;
  switch (rollout.state.phase) {
    case Phase::halted:
    case Phase::aborted:
    case Phase::completed:
    case Phase::rolled_back:
      return true;
    case Phase::open:
      return rollout.state.stage_opened && rollout::verdict(rollout.spec, rollout.state).call == gate::Call::hold;
    default:
      return false;
  }
}

void Oracle::look_at_end(const std::vector<const Device*>& devices) {
  for (const RolloutFact& rollout : server_.facts().rollouts)
    if (!is_settled(server_.facts(), rollout))
      story_.broken("8 nothing wedges", rollout.id + " is still " + std::string(to_text(rollout.state.phase)) + ": " +
                                            rollout.state.reason);
  for (const Device* device : devices) {
    if (server_.device(device->id()).view.state != fleet::DeviceState::active) continue;
    const std::string& name = device->view().name;
    if (!device->at_rest())
      story_.broken("8 nothing wedges", name + " is still in " +
                                            std::string(update::to_text(device->disk().state.step)) + " with " +
                                            std::to_string(device->disk().outbox.size()) + " events to tell");
    const auto desired = server_.desired(device->id());
    for (const rollout::Desired& one : desired) look_at_wish(*device, one);
    if (targets_for(catalogue_, device->view().kind, desired) != device->disk().accepted.targets)
      story_.broken("8 nothing wedges", name + " was never told what it is to run now" + explain(desired));
  }
}

// At rest the device runs what the server would have it run, and nothing is left to be done for it.
void Oracle::look_at_wish(const Device& device, const rollout::Desired& wish) {
  using rollout::Want;
  const std::string& name = device.view().name;
  std::string runs;
  for (const update::Slot& slot : device.disk().slots)
    if (slot.model == wish.model) runs = slot.current.release;
  std::string known;
  for (const wire::Installed& one : server_.device(device.id()).installed)
    if (one.model == wish.model) known = one.release;
  if (known != runs)
    story_.broken("5 what was told is kept", name + " runs " + runs + ", the server believes " + known);
  if (wish.want == Want::offer)
    story_.broken("8 nothing wedges", name + " was never offered " + wish.release + explain({wish}));
  if (wish.want == Want::go_back) story_.broken("8 nothing wedges", name + " never answered the rollback");
  if (wish.want != Want::keep || runs == wish.release) return;
  // It tried and could not: the fault was told, and what it ran stays.
  const auto last = books_[device.id()].last_final.find(wish.deployment);
  const bool tried = last != books_[device.id()].last_final.end() && last->second != wire::Outcome::succeeded;
  if (!tried)
    story_.broken("the story's end",
                  name + " runs " + (runs.empty() ? "nothing" : runs) + " and is to run " + wish.release);
}

}  // namespace drover::sim
