// The server as this world sees it: what devices, people and time may ask of it, and what can be looked at from
// outside. Every call is one transaction: it is stored when it returns, and nothing of it is stored when it returns an
// error.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/update/lifecycle.h"
#include "proto/wire/device.h"
#include "server/fleet/device.h"
#include "server/rollout/assign.h"
#include "server/rollout/engine.h"
#include "tests/sim/catalogue.h"
#include "tests/sim/options.h"
#include "tests/sim/story.h"

namespace drover::sim {

// What a session token carries, so that an idle check-in is answered without a look at the database.
struct Claims {
  std::int64_t revision = 0;
  std::int64_t assignment_version = 0;
};

struct Assignment {
  std::int64_t version = 0;
  std::string device;
  std::vector<update::Target> targets;
};

struct Checkin {
  std::string device;
  std::int64_t assignment_version = 0;
  Claims claims;
  bool report = false;  // there is something to tell: events and what is installed
  std::vector<wire::Event> events;
  std::vector<wire::Installed> installed;
};

struct Answer {
  Code code = Code::ok;
  std::uint64_t acked_seq = 0;  // 0: nothing new
  std::optional<Assignment> assignment;
  Claims claims;
  bool idle = false;
};

// --- what is stored, to be looked at ---------------------------------------------------------------------------------
struct RolloutFact {
  std::string id;
  std::uint64_t order = 0;
  wire::RolloutSpec spec;
  std::string salt;
  rollout::RolloutState state;
  rollout::Thresholds thresholds;
};
struct DeploymentFact {
  std::string id;
  std::string device;
  std::string rollout;
  std::int32_t stage = 0;
  std::string model;
  std::string release;
  std::string previous;
  rollout::Standing standing = rollout::Standing::none;
  bool activated = false;
  bool return_ended = false;
  seconds offered_watched{0};
};
struct DeviceFact {
  fleet::DeviceView view;
  std::uint64_t acked_seq = 0;
  std::vector<wire::Installed> installed;
  Assignment assignment;  // the last that was signed; version 0: none
};
struct Facts {
  std::vector<RolloutFact> rollouts;        // oldest first
  std::vector<DeploymentFact> deployments;  // in the order in which they were made; never fewer
  const RolloutFact* rollout(std::string_view id) const;
};

class Server {
 public:
  virtual ~Server() = default;
  virtual Answer checkin(const Checkin& request, WallTime now) = 0;
  virtual void enrol(const fleet::DeviceView& device, WallTime now) = 0;
  virtual void decommission(const std::string& device, WallTime now) = 0;
  // The group stands before any rollout is created.
  virtual void add_group(const std::string& name, const std::string& query) = 0;
  virtual Status create(const wire::RolloutSpec& spec, const std::string& salt, WallTime now) = 0;
  virtual Status command(const std::string& rollout, const rollout::Command& command, WallTime now) = 0;
  virtual void withdraw(const Release& release, WallTime now) = 0;
  virtual void tick(WallTime now) = 0;
  virtual void restart() = 0;

  virtual const Facts& facts() = 0;
  virtual DeviceFact device(const std::string& id) = 0;
  // Active devices of a group.
  virtual std::vector<std::string> members(const std::string& group) = 0;
  // Grows with every change of what facts() gives.
  virtual std::uint64_t changes() const = 0;
  // What the device would be told to run, were it to ask now. Changes nothing.
  virtual std::vector<rollout::Desired> desired(const std::string& device) = 0;
};

std::unique_ptr<Server> make_memory_server(const Catalogue& catalogue, Story& story, Plant plant, std::uint64_t seed);
// The real store, in a folder that is removed with the server.
std::unique_ptr<Server> make_store_server(const Catalogue& catalogue, Story& story);

std::string_view to_text(rollout::Phase phase);
// What the director names for a device, from what it is to run.
std::vector<update::Target> targets_for(const Catalogue& catalogue, std::string_view kind,
                                        const std::vector<rollout::Desired>& desired);

}  // namespace drover::sim
