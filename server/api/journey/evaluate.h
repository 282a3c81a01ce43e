// The evaluation of one device against the control plane: what it is to run, and whether anything must be written for it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/tuf/assignment.h"
#include "server/rollout/assign.h"
#include "server/store/store.h"

namespace drover::api {

using Targets = std::map<std::string, tuf::AssignedTarget, std::less<>>;  // by "<model>/<version>"

struct Evaluation {
  std::vector<rollout::Desired> desired;
  bool waiting = false;      // for a place under a cap, or for a rollout that is held: ask again without waiting for a new revision
  bool must_record = false;  // a deployment begins, or an end is to be noted: only the writer can
  Targets targets;           // what the director would name
  std::string content;       // the same as text, to be compared with what was signed last
};

// Says that devices are not to hear of a rollout yet. May be empty. A device that has begun it is in it for good.
using HoldFn = std::function<bool(const store::RolloutEntry&)>;

Result<Evaluation> evaluate(const store::Reader& reader, const store::Control& control, const store::Device& device,
                            const HoldFn& hold = {});

// The same in the writer, with deployments made and ends noted as far as caps allow; `targets` names the new deployments.
Result<Evaluation> evaluate_and_record(store::Writer& writer, const store::Device& device, WallTime now,
                                       const HoldFn& hold = {});

}  // namespace drover::api
