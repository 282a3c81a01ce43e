// Rollouts and deployments as stored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/time/clock.h"
#include "proto/wire/deltas.h"
#include "proto/wire/rollout.h"
#include "server/rollout/bucket.h"
#include "server/rollout/engine.h"
#include "server/store/devices.h"

namespace drover::store {

struct RolloutRow {
  std::int64_t no = 0;  // grows: the larger is the newer
  std::string id;       // "r" and the number
  wire::RolloutSpec spec;
  std::string salt;
  std::string created_by;
  WallTime created_at{};
  rollout::RolloutState state;
  rollout::Thresholds thresholds;  // of the open stage
  wire::Savings savings;           // of the deployments that have ended
};

// At most so many rollouts of a model are looked at in a check-in: the newest, and every one that is not over.
inline constexpr std::int64_t kLiveRollouts = 32;

class Rollouts {
 public:
  virtual ~Rollouts() = default;
  virtual Result<std::optional<RolloutRow>> find(std::string_view id) const = 0;
  virtual Result<std::optional<RolloutRow>> find_no(std::int64_t no) const = 0;
  // Newest first, before `before` (0: from the newest).
  virtual Result<std::vector<RolloutRow>> list(std::int64_t before, std::size_t limit) const = 0;
  // Those that check-ins and ticks look at, oldest first.
  virtual Result<std::vector<RolloutRow>> live() const = 0;
  // The engine's state alone; not_found.
  virtual Result<rollout::RolloutState> state(std::int64_t no) const = 0;
  virtual Result<bool> group_in_use(std::string_view group) const = 0;
  // Gives number and id.
  virtual Status insert(RolloutRow& rollout) = 0;
  // State and thresholds.
  virtual Status update(const RolloutRow& rollout) = 0;
  virtual Status add_savings(std::int64_t no, const wire::Savings& more) = 0;
};

struct Deployment {
  std::int64_t no = 0;
  DeviceNo device_no = 0;
  std::int64_t rollout_no = 0;
  std::int32_t stage = 0;
  std::string model;
  std::string release;
  std::string previous;  // what the device ran before; empty: nothing
  rollout::Standing standing = rollout::Standing::none;
  bool activated = false;
  bool return_ended = false;
  std::string step;  // the last that was reported
  Code code = Code::ok;
  std::string detail;
  std::uint64_t bytes_fetched = 0;
  std::uint64_t bytes_resumed = 0;
  std::uint64_t bytes_saved = 0;  // by deltas
  WallTime offered_at{};
  std::chrono::seconds offered_watched{0};  // on the rollout's own clock
  WallTime updated_at{};
};
// A deployment's name on the wire, and that of the way back.
std::string deployment_id(std::int64_t no, bool back = false);
struct DeploymentName {
  std::int64_t no = 0;
  bool back = false;
};
std::optional<DeploymentName> parse_deployment_id(std::string_view id);

struct DeploymentOfDevice {
  Deployment deployment;
  std::string device_id;
  std::string device_name;
};

inline constexpr std::size_t kMaxHistory = 256;  // deployments of one device that a check-in looks at, the newest

class Deployments {
 public:
  virtual ~Deployments() = default;
  virtual Result<std::optional<Deployment>> find(std::int64_t no) const = 0;
  // Newest first.
  virtual Result<std::vector<Deployment>> of_device(DeviceNo device, std::size_t limit) const = 0;
  virtual Result<std::vector<DeploymentOfDevice>> of_rollout(std::int64_t rollout, std::int64_t after,
                                                             std::size_t limit) const = 0;
  // In flight in a stage, offered at `watched` of the rollout's clock or before.
  virtual Result<std::vector<Deployment>> silent(std::int64_t rollout, std::int32_t stage, std::chrono::seconds watched,
                                                 std::size_t limit) const = 0;
  // already_exists: the device has one in this rollout. Gives the number.
  virtual Status insert(Deployment& deployment) = 0;
  virtual Status update(const Deployment& deployment) = 0;
};

}  // namespace drover::store
