// The people of a world: who enrols devices, makes rollouts and has second thoughts.
#include <array>

#include "common/crypto/hash.h"
#include "tests/sim/world.h"

namespace drover::sim {

using rollout::Phase;
using rollout::Verb;

namespace {

constexpr std::array<std::string_view, 4> kGroups = {"everyone", "one-kind", "north", "not-lab"};

}  // namespace

void World::populate() {
  server_->add_group("everyone", "all");
  server_->add_group("one-kind", "kind = \"" + kinds_.front() + "\"");
  server_->add_group("north", "attr.region = \"north\"");
  server_->add_group("not-lab", "not tag:lab");
  const std::uint64_t size = options_.devices > 0 ? static_cast<std::uint64_t>(options_.devices)
                             : rng_.below(8) == 0 ? 8 + rng_.below(53)
                                                  : 8 + rng_.below(12);
  for (std::uint64_t i = 0; i < size; ++i) join();
  create_first_rollouts();
}

void World::join() {
  fleet::DeviceView view;
  view.name = "device-" + std::to_string(devices_.size() + 1);
  view.id = "d" + crypto::sha256(view.name + "/" + std::to_string(options_.seed)).hex().substr(0, 32);
  view.kind = kinds_[rng_.below(kinds_.size())];
  view.attributes = {{"region", rng_.below(2) == 0 ? "north" : "south"}};
  if (rng_.below(4) == 0) view.tags = {"lab"};
  server_->enrol(view, server_time());
  story_.tell(view.name, "joins, a " + view.kind);
  devices_.push_back(std::make_unique<Device>(*this, view, rng_.next()));
  Device& device = *devices_.back();
  by_id_[view.id] = &device;
  queue_.after(between(milliseconds(0), seconds(90)), [&device] { device.power_on(); });
}

// What the fleet runs before the story begins.
void World::create_first_rollouts() {
  for (const std::string& model : catalogue_.models()) {
    if (rng_.below(5) == 0) continue;
    wire::RolloutSpec spec;
    spec.name = "first";
    spec.model = model;
    spec.release = "1.1.0";
    spec.group = "everyone";
    spec.stages.push_back(random_stage(true, 100));
    spec.stages.back().max_in_flight = 0;
    spec.stages.back().failure_threshold_percent = 60;
    if (!server_->create(spec, "salt-" + model, server_time())) story_.tell("ann", "cannot create the first rollout");
  }
}

void World::people() {
  const Time often = between(minutes(8), minutes(40));
  now_and_then(often, [this] { create_rollout(); });
  now_and_then(minutes(6), [this] {
    for (const RolloutFact& one : server_->facts().rollouts)
      if (server_up_ && one.state.phase == Phase::awaiting_promotion && rng_.below(2) == 0) return promote(one, "ann");
  });
  now_and_then(minutes(15), [this] { random_command(); });
  now_and_then(minutes(60), [this] { join(); });
  now_and_then(hours(2), [this] { withdraw_something(); });
  now_and_then(hours(2), [this] {
    Device& device = any_device();
    if (!server_up_ || !gone_.insert(device.id()).second) return;
    story_.tell(device.view().name, "is decommissioned");
    server_->decommission(device.id(), server_time());
  });
}

wire::StageSpec World::random_stage(bool last, double percent) {
  wire::StageSpec stage;
  if (!last && rng_.below(4) == 0)
    stage.count = 1 + static_cast<std::int64_t>(rng_.below(4));
  else
    stage.percent = percent;
  stage.max_in_flight = static_cast<std::int64_t>(rng_.below(3) * rng_.below(4));
  stage.soak = seconds(30 * rng_.below(10));
  stage.deadline = minutes(3 + rng_.below(25));
  stage.failure_threshold_percent = static_cast<double>(rng_.below(5) * 15);
  stage.min_sample = 1 + static_cast<std::int64_t>(rng_.below(3));
  stage.success_percent = rng_.below(3) == 0 ? 60 : 100;
  stage.automatic = rng_.below(3) != 0;
  return stage;
}

void World::create_rollout() {
  if (!server_up_ || server_->facts().rollouts.size() >= 14) return;
  const auto& releases = catalogue_.releases();
  const Release& release = releases[rng_.below(releases.size())];
  // An unlisted one: somebody has stolen the server. Devices must not believe it.
  if (release.withdrawn_at) return;
  wire::RolloutSpec spec;
  spec.name = "rollout";
  spec.model = release.model;
  spec.release = release.version;
  spec.group = kGroups[rng_.below(kGroups.size())];
  if (server_->members(spec.group).empty()) return;
  const std::uint64_t stages = 1 + rng_.below(3);
  for (std::uint64_t i = 0; i < stages; ++i) {
    const bool last = i + 1 == stages;
    spec.stages.push_back(random_stage(last, last ? 100 : static_cast<double>(i + 1) * 25));
  }
  story_.tell("ann", "rolls out " + spec.model + "/" + spec.release + " (" + std::string(to_text(release.nature)) +
                         (release.only_kind.empty() ? "" : " on " + release.only_kind) +
                         (release.listed ? "" : ", signed by nobody") + ") to " + spec.group);
  const Status created = server_->create(spec, "salt" + std::to_string(rng_.below(1'000'000)), server_time());
  if (!created) story_.tell("ann", "cannot: " + created.error().message());
}

// Two people look at the same stage and both press the button: one of them is too late.
void World::promote(const RolloutFact& rollout, const char* who) {
  const std::int32_t stage = rollout.state.stage;
  const std::string id = rollout.id;
  const bool two = rng_.below(2) == 0;
  for (int person = 0; person < (two ? 2 : 1); ++person) {
    if (!server_->command(id, {Verb::promote, person == 0 ? who : "bob", stage}, server_time())) continue;
    ++story_.tally.promotions;
    story_.tell(person == 0 ? who : "bob", "promotes " + id + " from stage " + std::to_string(stage));
    oracle_.promoted(id, stage);
  }
}

void World::random_command() {
  const auto& rollouts = server_->facts().rollouts;
  if (!server_up_ || rollouts.empty()) return;
  const RolloutFact& rollout = rollouts[rng_.below(rollouts.size())];
  static constexpr std::array kVerbs = {Verb::promote, Verb::pause,    Verb::pause,    Verb::resume, Verb::resume,
                                        Verb::halt,    Verb::rollback, Verb::rollback, Verb::abort};
  const Verb verb = kVerbs[rng_.below(kVerbs.size())];
  if (verb == Verb::promote) return promote(rollout, "ann");
  const std::string id = rollout.id;
  const Status done = server_->command(id, {verb, "ann", -1}, server_time());
  if (done) story_.tell("ann", std::string(rollout::to_text(verb)) + " " + id);
}

void World::withdraw_something() {
  const auto& releases = catalogue_.releases();
  const Release& release = releases[rng_.below(releases.size())];
  if (!server_up_ || release.withdrawn_at || !release.listed) return;
  ++story_.tally.withdrawn;
  story_.tell("ann", "withdraws " + release.model + "/" + release.version);
  catalogue_.withdraw(release.model, release.version, queue_.now());
  server_->withdraw(release, server_time());
}

// When the faults are over: nobody leaves a rollout paused, or waiting for a promotion.
void World::help_along() {
  std::vector<std::pair<std::string, Verb>> due;
  for (const RolloutFact& one : server_->facts().rollouts) {
    if (one.state.phase == Phase::paused) due.emplace_back(one.id, Verb::resume);
    if (one.state.phase == Phase::awaiting_promotion) due.emplace_back(one.id, Verb::promote);
  }
  for (const auto& [id, verb] : due) {
    if (verb == Verb::promote) {
      promote(*server_->facts().rollout(id), "cy");
    } else {
      const Status done = server_->command(id, {verb, "cy", -1}, server_time());
      if (done) story_.tell("cy", "resumes " + id);
    }
  }
}

}  // namespace drover::sim
