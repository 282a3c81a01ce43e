#include "tests/sim/oracle.h"

#include <algorithm>
#include <cmath>

namespace drover::sim {

using rollout::Phase;
using rollout::Standing;
using update::Step;

namespace {

constexpr std::string_view kBack = "-back";

std::string front_of(std::string_view deployment) {
  if (deployment.ends_with(kBack)) deployment.remove_suffix(kBack.size());
  return std::string(deployment);
}

bool is_open(Standing standing) { return standing == Standing::in_flight || standing == Standing::silent; }

bool failing(Nature nature) { return nature == Nature::damaged || nature == Nature::deadly; }

}  // namespace

// --- the books -------------------------------------------------------------------------------------------------------

void Oracle::appended(const std::string& device, const wire::Event& event) {
  if (!wire::is_final(event.outcome)) return;
  books_[device].under_way.clear();
  books_[device].first_final.emplace(event.deployment, event);
  books_[device].last_final[event.deployment] = event.outcome;
}

void Oracle::synced(const std::string& device, const update::Target& target) {
  const Release* release = catalogue_.find(target.model, target.release);
  if (release != nullptr && release->listed && !release->withdrawn_at)
    books_[device].synced[target.package].insert(target.deployment);
}

void Oracle::began(const std::string& device, const update::Target& target, const std::string& held) {
  std::string& under_way = books_[device].under_way;
  if (!under_way.empty()) story_.broken("8 every end is told", device + " began " + under_way + " and never ended it");
  under_way = target.deployment;
  // The first time counts: one that is taken up again later, because another came to nothing, leads no further back.
  books_[device].replaced.emplace(target.deployment, held);
}

void Oracle::promoted(const std::string& rollout, std::int32_t from_stage) {
  if (!promotions_.emplace(rollout, from_stage).second)
    story_.broken("4 stages", rollout + " was promoted twice from stage " + std::to_string(from_stage));
}

// --- devices ---------------------------------------------------------------------------------------------------------

void Oracle::look_at_device(const Device& device) {
  Book& book = books_[device.id()];
  look_at_links(device, book);
  look_at_slots(device);
  const Disk& disk = device.disk();
  if (disk.accepted.version < book.device_version)
    story_.broken("1 versions grow", device.view().name + " went back to an older assignment");
  book.device_version = disk.accepted.version;
  if (device.trial_uptime() > kMaxTrial)
    story_.broken("3 goes back by itself", device.view().name + " has had a release on trial for too long");
}

void Oracle::look_at_links(const Device& device, Book& book) {
  const Disk& disk = device.disk();
  const std::string& name = device.view().name;
  for (const auto& [model, package] : disk.links) {
    const auto there = disk.packages.find(package);
    if (there == disk.packages.end() || !there->second)
      return story_.broken("2 complete and verified", name + " shows a package that is not");
    const auto variant = catalogue_.variant(package);
    if (variant.release == nullptr || variant.kind != device.view().kind)
      return story_.broken("1 what was signed", name + " shows what is not for it");
    if (!book.assigned.contains(package)) return story_.broken("1 what was assigned", name + " shows what was not");
    if (!book.synced.contains(package)) return story_.broken("1 what was signed", name + " shows what nobody listed");
    if (failing(variant.release->nature_on(variant.kind)))
      return story_.broken("3 refused before activation", name + " shows a release that does not validate");
    const bool holds = std::any_of(disk.slots.begin(), disk.slots.end(), [&](const update::Slot& slot) {
      return slot.model == model && slot.current.package == package;
    });
    const bool on_trial = update::on_trial(disk.state.step) || disk.state.step == Step::roll_back;
    if (!holds && !(on_trial && disk.state.target.package == package))
      return story_.broken("2 the old or the new", name + " shows neither");
  }
  // What is held is shown: a slot is empty for nobody.
  for (const update::Slot& slot : disk.slots)
    if (!slot.current.package.empty() && !disk.links.contains(slot.model))
      story_.broken("2 the old or the new", name + " shows nothing");
}

void Oracle::look_at_slots(const Device& device) {
  for (const update::Slot& slot : device.disk().slots) {
    if (slot.current.package.empty()) continue;
    const auto variant = catalogue_.variant(slot.current.package);
    const Nature nature = variant.release->nature_on(variant.kind);
    if (nature != Nature::good)
      story_.broken("3 goes back by itself", device.view().name + " keeps a release that is " +
                                                 std::string(to_text(nature)) + ": " + slot.current.release);
  }
}

// --- answers ---------------------------------------------------------------------------------------------------------

void Oracle::look_at_answer(const Checkin& checkin, const Answer& answer) {
  if (answer.code != Code::ok) return;
  Book& book = books_[checkin.device];
  const DeviceFact stored = server_.device(checkin.device);
  if (stored.acked_seq < book.acked || answer.acked_seq > stored.acked_seq)
    story_.broken("5 acknowledged is kept", "events that were acknowledged are not known any more");
  book.acked = stored.acked_seq;
  look_at_standings(checkin.device, stored.acked_seq);
  if (answer.assignment) {
    const Assignment& given = *answer.assignment;
    if (given.version < book.server_version || (given.version == book.server_version && given.targets != book.targets))
      story_.broken("1 versions grow", "two assignments of one version");
    book.server_version = given.version;
    book.targets = given.targets;
    for (const update::Target& target : given.targets) book.assigned.insert(target.package);
    look_at_targets(checkin.device, given.targets);
  } else if (checkin.assignment_version == book.server_version) {
    look_at_targets(checkin.device, book.targets);
  }
}

// What the device holds to be its assignment when this check-in is over.
void Oracle::look_at_targets(const std::string& device, const std::vector<update::Target>& targets) {
  for (const update::Target& target : targets) {
    const DeploymentFact* one = deployment(front_of(target.deployment));
    if (one == nullptr || one->device != device)
      return story_.broken("1 what was assigned", "a target without a deployment of this device");
    const RolloutFact* rollout = server_.facts().rollout(one->rollout);
    if (target.rollback) {
      look_at_return(books_[device], *one, target);
      continue;
    }
    const bool stopped = rollout->state.phase == Phase::halted || rollout->state.phase == Phase::aborted;
    const auto installed = server_.device(device).installed;
    const bool there = std::any_of(installed.begin(), installed.end(), [&](const wire::Installed& held) {
      return held.model == target.model && held.release == target.release;
    });
    if (stopped && is_open(one->standing) && !one->activated && !there)
      story_.broken("4 halted at the next check-in", device + " is still told to install " + target.release);
  }
}

// Where a rollback leads: to what the device itself ran before, as the device knows it.
void Oracle::look_at_return(const Book& book, const DeploymentFact& one, const update::Target& target) {
  const auto replaced = book.replaced.find(one.id);
  if (replaced == book.replaced.end())
    return story_.broken("its own previous release", one.device + " goes back from what it never began");
  if (replaced->second != target.package &&
      replaced->second != catalogue_.find(one.model, one.release)->package(server_.device(one.device).view.kind)) {
    const auto before = catalogue_.variant(replaced->second);
    story_.broken("its own previous release", one.device + " ran " +
                                                  (before.release == nullptr ? "nothing" : before.release->version) +
                                                  " before " + one.id + " and is sent to " + target.release);
  }
}

// Each report counts exactly once: a deployment stands where its first final event, of those acknowledged, put it.
void Oracle::look_at_standings(const std::string& device, std::uint64_t acked) {
  const Book& book = books_[device];
  for (const DeploymentFact& one : server_.facts().deployments) {
    if (one.device != device) continue;
    const auto final = book.first_final.find(one.id);
    const bool found = book.found.contains(one.id);  // it ran the release already: nothing that it says changes that
    const bool told = !found && final != book.first_final.end() && final->second.seq <= acked;
    if (!told) {
      const bool back = one.standing == Standing::rolled_back && one.return_ended;
      if (!is_open(one.standing) && !back && !(found && one.standing == Standing::succeeded))
        story_.broken("5 counted", one.id + " has ended without a report");
      continue;
    }
    static constexpr std::array kOf = {Standing::in_flight, Standing::in_flight,   Standing::succeeded,
                                       Standing::failed,    Standing::rolled_back, Standing::aborted};
    if (one.standing != kOf[static_cast<std::size_t>(final->second.outcome)])
      story_.broken("5 counted", one.id + " of " + device + " stands elsewhere than its report says");
  }
}

const DeploymentFact* Oracle::deployment(std::string_view id) {
  for (const DeploymentFact& one : server_.facts().deployments)
    if (one.id == id) return &one;
  return nullptr;
}

}  // namespace drover::sim
