// Looks on and knows better: after every event it compares what is there with what design 1 promises. It keeps its own
// books, and works out with the simplest means what the code under test works out with clever ones.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "tests/sim/device.h"
#include "tests/sim/server.h"

namespace drover::sim {

// With power, from the first showing of a release to its commit, or to the return of the one before: four starts with
// the longest deadline of these worlds, a minute each, some retries of a flip with their waits, and room.
inline constexpr Time kMaxTrial = minutes(10);

class Oracle {
 public:
  Oracle(const EventQueue& queue, Story& story, const Catalogue& catalogue, Server& server)
      : queue_(queue), story_(story), catalogue_(catalogue), server_(server) {}

  // What the world tells it.
  void appended(const std::string& device, const wire::Event& event);
  void synced(const std::string& device, const update::Target& target);
  void began(const std::string& device, const update::Target& target, const std::string& held);
  void promoted(const std::string& rollout, std::int32_t from_stage);

  // What it looks at.
  void look_at_device(const Device& device);
  void look_at_answer(const Checkin& checkin, const Answer& answer);
  void look_at_server();
  void look_at_end(const std::vector<const Device*>& devices);

 private:
  struct Book {                                      // of one device
    std::map<std::string, wire::Event> first_final;  // by deployment
    std::map<std::string, wire::Outcome> last_final;
    std::map<std::string, std::string> replaced;          // by deployment: the package that it took the place of
    std::map<std::string, std::set<std::string>> synced;  // by package: deployments for which it was found listed
    std::set<std::string> assigned;                       // packages
    std::string under_way;                                // the deployment that was begun and has not ended
    std::set<std::string> found;                          // deployments of what it ran already
    std::int64_t server_version = 0, device_version = 0;
    std::vector<update::Target> targets;  // of server_version
    std::uint64_t acked = 0;
  };
  struct Opening {  // of a rollout's stage
    std::int32_t stage = -1;
    std::set<std::string> members;  // who was there
    std::int64_t allowed = 0;       // how many of them may have it
  };

  void look_at_links(const Device& device, Book& book);
  void look_at_slots(const Device& device);
  void look_at_targets(const std::string& device, const std::vector<update::Target>& targets);
  void look_at_return(const Book& book, const DeploymentFact& deployment, const update::Target& target);
  void look_at_standings(const std::string& device, std::uint64_t acked);
  void look_at_openings(const Facts& facts);
  void open(const RolloutFact& rollout, const RolloutFact* before);
  void look_at_offer(const Facts& facts, const DeploymentFact& offer);
  void look_at_stage(const Facts& facts, const RolloutFact& rollout);
  void look_at_counters(const Facts& facts, const RolloutFact& rollout);
  void look_at_phase(const RolloutFact& rollout);
  void look_at_wish(const Device& device, const rollout::Desired& wish);
  const DeploymentFact* deployment(std::string_view id);
  std::int64_t standing_at(const Facts& facts, const RolloutFact& rollout, rollout::Standing standing) const;

  const EventQueue& queue_;
  Story& story_;
  const Catalogue& catalogue_;
  Server& server_;
  std::map<std::string, Book> books_;
  std::map<std::string, Opening> openings_;
  std::map<std::string, RolloutFact> before_;
  std::set<std::tuple<std::string, std::int32_t>> promotions_;
  std::size_t offers_seen_ = 0;
  std::uint64_t changes_seen_ = 0;
};

// Nothing will move here any more of its own: every rollout that is still open waits for devices that cannot come.
bool is_settled(const Facts& facts, const RolloutFact& rollout);

}  // namespace drover::sim
