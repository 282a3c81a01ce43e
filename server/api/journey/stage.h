// Opening a stage: who is in it, as one threshold for each kind of device.
#pragma once

#include "server/rollout/bucket.h"
#include "server/store/store.h"

namespace drover::api {

struct OpenedStage {
  rollout::Thresholds thresholds;
  std::int64_t covered = 0;  // devices inside, those of earlier stages included
};

// Costs the same for every size of fleet: small strata are counted, large ones sampled. `row.thresholds` are those of the
// stage before.
Result<OpenedStage> plan_stage(const store::Reader& reader, const store::Control& control,
                               const store::RolloutRow& row, std::int32_t stage);

// Active devices of the group of a kind that the release serves: none, or some.
Result<bool> anybody_served(const store::Reader& reader, const fleet::Group& group, const rollout::ReleaseView& release);

}  // namespace drover::api
