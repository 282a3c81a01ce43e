// The world: a fleet, a network, a server, people, weather. First everything goes wrong that can (safety), then nothing
// any more (liveness): within a bound of virtual time all must come to rest.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/device.h"
#include "tests/sim/oracle.h"
#include "tests/sim/server.h"

namespace drover::sim {

class World final : public Surroundings {
 public:
  explicit World(const Options& options);
  Outcome run();

  // Surroundings
  EventQueue& queue() override { return queue_; }
  Story& story() override { return story_; }
  const Catalogue& catalogue() override { return catalogue_; }
  Plant plant() override { return options_.plant; }
  bool faults() override { return faults_; }
  bool reachable(const std::string& device) override;
  void send(const std::string& device, std::uint64_t request, Checkin checkin) override;
  void touched(const std::string& device) override;
  void appended(const std::string& device, const wire::Event& event) override { oracle_.appended(device, event); }
  void synced(const std::string& device, const update::Target& target) override { oracle_.synced(device, target); }
  void began(const std::string& device, const update::Target& target, const std::string& held) override {
    oracle_.began(device, target, held);
  }

 private:
  WallTime server_time() const;
  bool chance(std::uint64_t in_thousand) { return faults_ && rng_.below(1000) < in_thousand; }
  Device& any_device();
  Time between(Time low, Time high);
  // Again and again while there are faults, about so often.
  void now_and_then(Time mean, std::function<void()> what);

  // world_people.cpp
  void populate();
  void join();
  void people();
  void create_rollout();
  void create_first_rollouts();
  wire::StageSpec random_stage(bool last, double percent);
  void random_command();
  void promote(const RolloutFact& rollout, const char* who);
  void withdraw_something();
  void help_along();

  // world.cpp
  void weather();
  void partition();
  void arrive(const std::string& device, std::uint64_t request, const Checkin& checkin);
  void answer(const std::string& device, std::uint64_t request, Answer answer);
  void server_goes_down();
  void tick_later();
  void run_until(Time end);
  void clear_up();
  bool all_quiet();
  Outcome end();

  Options options_;
  SeededRng rng_;
  EventQueue queue_;
  Story story_;
  std::vector<std::string> kinds_;
  Catalogue catalogue_;
  std::unique_ptr<Server> server_;
  Oracle oracle_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::map<std::string, Device*> by_id_;
  std::set<std::string> cut_off_;                // by a partition
  std::set<std::string> gone_;                   // decommissioned
  std::map<std::string, Assignment> overheard_;  // an older assignment of each device, to be replayed
  bool faults_ = true;
  bool server_up_ = true;
  seconds server_skew_{0};
  std::uint64_t storm_ = 1;  // how bad the weather is in this world: 0 calm to 3
};

}  // namespace drover::sim
