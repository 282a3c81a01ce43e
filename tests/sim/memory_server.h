// A server in memory: the real engine, buckets, gate and assign(), glued together as simply as can be. It is the second
// opinion beside the real store and its journeys.
#pragma once

#include <deque>
#include <map>

#include "common/rng/rng.h"
#include "server/fleet/group.h"
#include "tests/sim/server.h"

namespace drover::sim {

class MemoryServer final : public Server {
 public:
  MemoryServer(const Catalogue& catalogue, Story& story, Plant plant, std::uint64_t seed);

  Answer checkin(const Checkin& request, WallTime now) override;
  void enrol(const fleet::DeviceView& device, WallTime now) override;
  void decommission(const std::string& device, WallTime now) override;
  void add_group(const std::string& name, const std::string& query) override;
  Status create(const wire::RolloutSpec& spec, const std::string& salt, WallTime now) override;
  Status command(const std::string& rollout, const rollout::Command& command, WallTime now) override;
  void withdraw(const Release& release, WallTime now) override;
  void tick(WallTime now) override;
  void restart() override;
  const Facts& facts() override { return facts_; }
  DeviceFact device(const std::string& id) override { return devices_.at(id); }
  std::vector<std::string> members(const std::string& group) override;
  std::uint64_t changes() const override { return changes_; }
  std::vector<rollout::Desired> desired(const std::string& device) override;

 private:
  Status feed(RolloutFact& rollout, rollout::Input input);
  Status decide(RolloutFact& rollout, const rollout::Input& input, std::deque<rollout::Input>& more);
  void carry_out(RolloutFact& rollout, const rollout::Action& action, WallTime now, std::deque<rollout::Input>& more);
  void open_stage(RolloutFact& rollout, std::int32_t stage, WallTime now, std::deque<rollout::Input>& more);
  void sweep(const RolloutFact& rollout, const rollout::Action& action, WallTime now, std::deque<rollout::Input>& more);
  std::vector<std::uint64_t> places(const RolloutFact& rollout, const std::string& kind) const;

  void apply_event(const DeviceFact& device, const wire::Event& event, WallTime now);
  void end_return(DeploymentFact& deployment, const wire::Event& event, WallTime now);
  void move(DeploymentFact& deployment, rollout::Standing to, WallTime now);
  void record(const DeviceFact& device, std::vector<rollout::Desired>& desired, bool& waiting, WallTime now);
  void note_nothing_before(const rollout::Desired& desired, WallTime now);
  Status begin_deployment(const DeviceFact& device, rollout::Desired& desired, rollout::Standing standing,
                          WallTime now);
  void sign(DeviceFact& device, std::vector<update::Target> targets, std::int64_t version_of_device);

  RolloutFact* find_rollout(std::string_view id);
  DeploymentFact* find_deployment(std::string_view id);
  void lie_about_desired(const DeviceFact& device, std::vector<rollout::Desired>& desired);

  const Catalogue& catalogue_;
  Story& story_;
  Plant plant_;
  SeededRng rng_;
  Facts facts_;
  std::map<std::string, DeviceFact> devices_;
  std::map<std::string, fleet::Group> groups_;
  std::vector<rollout::ReleaseView> releases_;     // as the catalogue's
  std::map<std::string, DeviceFact> uncommitted_;  // what acks_before_commit forgets at a restart
  std::int64_t revision_ = 1;
  std::uint64_t changes_ = 0;
};

}  // namespace drover::sim
