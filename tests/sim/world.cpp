#include "tests/sim/world.h"

namespace drover::sim {

namespace {

constexpr WallTime kEpoch{seconds(2'000'000'000)};
constexpr Time kFaultsEnd = hours(3);
constexpr Time kRestBound = hours(12);  // deadlines, soaks and the backoff of a device that was cut off for hours
constexpr Time kTickEvery = seconds(20);

std::vector<std::string> kinds_of(std::uint64_t seed) {
  std::vector<std::string> kinds = {"cam-rv64", "edge-arm64", "kiosk-x64"};
  if (seed % 3 != 0) kinds.pop_back();
  return kinds;
}

std::unique_ptr<Server> make_server(const Options& options, const Catalogue& catalogue, Story& story) {
  if (options.store) return make_store_server(catalogue, story);
  return make_memory_server(catalogue, story, options.plant, options.seed * 7919);
}

}  // namespace

Outcome simulate(const Options& options) { return World(options).run(); }

World::World(const Options& options)
    : options_(options),
      rng_(options.seed),
      story_(queue_, options.verbose),
      kinds_(kinds_of(options.seed)),
      catalogue_(rng_, 1 + static_cast<int>(rng_.below(2)), kinds_),
      server_(make_server(options_, catalogue_, story_)),
      oracle_(queue_, story_, catalogue_, *server_),
      storm_(rng_.below(4)) {}

Outcome World::run() {
  populate();
  people();
  weather();
  tick_later();
  run_until(kFaultsEnd);
  clear_up();
  const Time bound = queue_.now() + kRestBound;
  while (!story_.is_broken() && queue_.now() < bound && !all_quiet()) run_until(queue_.now() + minutes(1));
  if (!story_.is_broken()) {
    std::vector<const Device*> all;
    for (const auto& device : devices_) all.push_back(device.get());
    oracle_.look_at_end(all);
  }
  return end();
}

void World::run_until(Time end) {
  bool reached = false;
  queue_.at(end, [&reached] { reached = true; });
  while (!reached && !story_.is_broken()) {
    queue_.step();
    ++story_.tally.events;
    oracle_.look_at_server();
  }
}

bool World::all_quiet() {
  for (const auto& device : devices_)
    if (!gone_.contains(device->id()) && !device->at_rest()) return false;
  for (const RolloutFact& rollout : server_->facts().rollouts)
    if (!is_settled(server_->facts(), rollout)) return false;
  for (const auto& device : devices_)
    if (!gone_.contains(device->id()) &&
        targets_for(catalogue_, device->view().kind, server_->desired(device->id())) != device->disk().accepted.targets)
      return false;
  return true;
}

Outcome World::end() {
  for (const auto& device : devices_)
    for (const auto& [model, package] : device->disk().links)
      story_.tell(device->view().name, "shows " + model + " " + package.substr(7, 8));
  for (const RolloutFact& one : server_->facts().rollouts)
    story_.tell(one.id, std::string(to_text(one.state.phase)) + ", version " + std::to_string(one.state.version));
  story_.tally.rollouts = server_->facts().rollouts.size();
  return {story_.violation(), story_.digest(), story_.last(), story_.tally};
}

// --- chance ----------------------------------------------------------------------------------------------------------

WallTime World::server_time() const {
  return kEpoch + std::chrono::duration_cast<seconds>(queue_.now()) + server_skew_;
}

Device& World::any_device() { return *devices_[rng_.below(devices_.size())]; }

Time World::between(Time low, Time high) {
  return low + Time(rng_.below(static_cast<std::uint64_t>((high - low).count() + 1)));
}

void World::now_and_then(Time mean, std::function<void()> what) {
  queue_.after(between(mean / 4, mean * 2), [this, mean, what = std::move(what)]() mutable {
    if (!faults_) return;
    what();
    now_and_then(mean, std::move(what));
  });
}

void World::touched(const std::string& device) { oracle_.look_at_device(*by_id_.at(device)); }

// --- network ---------------------------------------------------------------------------------------------------------

bool World::reachable(const std::string& device) {
  return server_up_ && !cut_off_.contains(device) && !chance(10 + 30 * storm_);
}

void World::send(const std::string& device, std::uint64_t request, Checkin checkin) {
  ++story_.tally.checkins;
  if (!reachable(device)) {
    ++story_.tally.lost;
    return;
  }
  const bool late = chance(10 * storm_);
  const Time there = late ? between(seconds(1), seconds(90)) : between(milliseconds(10), milliseconds(400));
  if (chance(10 + 20 * storm_)) {
    // The network, or a proxy, sends it once more.
    ++story_.tally.twice;
    queue_.after(there + between(milliseconds(0), seconds(200)),
                 [this, device, request, checkin] { arrive(device, request, checkin); });
  }
  queue_.after(there, [this, device, request, checkin = std::move(checkin)] { arrive(device, request, checkin); });
}

void World::arrive(const std::string& device, std::uint64_t request, const Checkin& checkin) {
  if (!server_up_) return;
  const Answer given = server_->checkin(checkin, server_time());
  oracle_.look_at_server();
  oracle_.look_at_answer(checkin, given);
  if (given.assignment && rng_.below(4) == 0) overheard_[device] = *given.assignment;
  answer(device, request, given);
}

void World::answer(const std::string& device, std::uint64_t request, Answer given) {
  if (chance(10 + 20 * storm_)) {
    ++story_.tally.lost;
    return;
  }
  // Somebody on the way gives an old assignment of this device, or one of another.
  if (chance(5) && !overheard_.empty()) {
    auto other = overheard_.begin();
    std::advance(other, static_cast<int>(rng_.below(overheard_.size())));
    given.assignment = rng_.below(2) == 0 && overheard_.contains(device) ? overheard_[device] : other->second;
  }
  queue_.after(between(milliseconds(10), chance(10 * storm_) ? seconds(60) : milliseconds(400)),
               [this, device, request, given = std::move(given)] {
                 if (cut_off_.contains(device)) return;
                 by_id_.at(device)->deliver(request, given);
               });
}

// --- weather ---------------------------------------------------------------------------------------------------------

void World::weather() {
  const Time scale = Time(minutes(40)) / static_cast<int>((1 + 2 * storm_) * (1 + devices_.size() / 12));
  now_and_then(scale, [this] {
    Device& device = any_device();
    device.power_cut();
    queue_.after(rng_.below(5) == 0 ? between(minutes(10), minutes(90)) : between(seconds(2), seconds(120)),
                 [&device] { device.power_on(); });
  });
  now_and_then(scale, [this] { any_device().agent_dies(); });
  now_and_then(scale * 2, [this] { any_device().agent_stops(); });
  now_and_then(scale * 2, [this] {
    Device& device = any_device();
    device.prone_to_die(static_cast<update::Step>(1 + rng_.below(update::kSteps - 1)));
    queue_.after(between(minutes(1), minutes(20)), [&device] { device.prone_to_die(std::nullopt); });
  });
  now_and_then(minutes(30), [this] { partition(); });
  now_and_then(minutes(45), [this] { server_goes_down(); });
  now_and_then(minutes(30), [this] {
    const std::int64_t step = static_cast<std::int64_t>(rng_.below(20'000)) - 10'000;
    story_.tell("server", "the clock steps by " + std::to_string(step) + " s");
    server_skew_ += seconds(step);
  });
}

void World::partition() {
  const std::uint64_t size = 1 + rng_.below(devices_.size());
  std::set<std::string> island;
  for (std::uint64_t i = 0; i < size; ++i) island.insert(any_device().id());
  story_.tell("network", std::to_string(island.size()) + " devices are cut off");
  cut_off_.insert(island.begin(), island.end());
  queue_.after(rng_.below(4) == 0 ? between(minutes(20), minutes(80)) : between(seconds(30), minutes(10)),
               [this, island = std::move(island)] {
                 for (const std::string& device : island) cut_off_.erase(device);
                 story_.tell("network", "some are back");
               });
}

void World::server_goes_down() {
  if (!server_up_) return;
  story_.tell("server", "goes down");
  ++story_.tally.server_restarts;
  server_up_ = false;
  queue_.after(rng_.below(4) == 0 ? between(minutes(5), minutes(40)) : between(seconds(1), seconds(90)), [this] {
    server_up_ = true;
    server_->restart();
    story_.tell("server", "comes up");
  });
}

void World::tick_later() {
  queue_.after(kTickEvery, [this] {
    if (server_up_) server_->tick(server_time());
    if (!faults_) help_along();
    tick_later();
  });
}

// From now on nothing goes wrong any more.
void World::clear_up() {
  if (story_.is_broken()) return;
  story_.tell("world", "the faults end");
  faults_ = false;
  cut_off_.clear();
  if (!server_up_) server_->restart();
  server_up_ = true;
  for (const auto& device : devices_) {
    device->prone_to_die(std::nullopt);
    device->power_on();
  }
}

}  // namespace drover::sim
