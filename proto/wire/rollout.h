// Rollouts as people write and read them. Version 1.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/time/clock.h"

namespace drover::wire {

inline constexpr std::size_t kMaxStages = 32;
inline constexpr std::size_t kMaxRolloutBody = 64 * 1024;

// One stage. A stage contains every stage before it: 25 %, then 100 %.
struct StageSpec {
  double percent = 0;                        // of the group, (0, 100]; 0 when `count` is given
  std::int64_t count = 0;                    // devices; 0 when `percent` is given
  std::int64_t max_in_flight = 0;            // deployments under way at once; 0: no cap
  std::chrono::seconds soak{0};              // after the last needed device succeeded, before promotion
  std::chrono::seconds deadline{24 * 3600};  // after its offer a device that said nothing final counts as silent
  double failure_threshold_percent = 10;     // of executed devices; above it the rollout halts
  std::int64_t min_sample = 1;               // executed devices before the share is looked at, and before promotion
  double success_percent = 100;              // of the stage's members that must have succeeded before promotion
  bool automatic = false;                    // promote when the gate says so; otherwise a person does
};

struct RolloutSpec {
  std::string name;
  std::string model;
  std::string release;
  std::string group;
  std::vector<StageSpec> stages;  // at least one; percents grow
};

enum class RolloutState {
  running,             // offering, or soaking
  awaiting_promotion,  // the gate says promote; a person must
  paused,              // nothing is offered; what is in flight goes on
  halted,              // nothing is offered; what is not yet activated is taken back
  aborted,             // given up; what is installed stays
  completed,           // last stage passed; late joiners are still served
  rolling_back,
  rolled_back,
};
std::string_view to_text(RolloutState state);
Result<RolloutState> rollout_state_from_text(std::string_view text);

struct StageStatus {
  StageSpec spec;
  std::string state;         // "waiting", "open", "soaking", "passed", "failed"
  WallTime opened_at{};      // epoch: not yet
  std::int64_t members = 0;  // exact up to the small-stratum bound, an estimate above it
  std::int64_t offered = 0, in_flight = 0, succeeded = 0, failed = 0, rolled_back = 0, aborted = 0, silent = 0;
};

struct RolloutStatus {
  std::string id;
  RolloutSpec spec;  // with its stages
  RolloutState state = RolloutState::running;
  std::int64_t stage = 0;  // the open one, from 0
  std::vector<StageStatus> stages;
  std::string reason;  // why it is in this state, a sentence
  std::string created_by;
  WallTime created_at{};
  std::int64_t version = 0;  // grows with every change; the ETag
};

nlohmann::json encode(const RolloutSpec&);
nlohmann::json encode(const RolloutStatus&);
// Strict: unknown fields are a fault, so that a mistyped "failure_treshold_percent" is not silently ignored.
Result<RolloutSpec> decode_rollout_spec(std::string_view body);
Result<RolloutStatus> decode_rollout_status(std::string_view body);

}  // namespace drover::wire
