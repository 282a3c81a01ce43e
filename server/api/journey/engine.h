// Runs the rollout engine over the store: one input is decided, the new state stored and every action carried out, all
// within the writer's open transaction.
#pragma once

#include "common/base/result.h"
#include "common/time/clock.h"
#include "server/rollout/engine.h"
#include "server/store/store.h"

namespace drover::api {

// Decides one input. `row` is the stored rollout, and holds the new state afterwards; it is written here. An input that the
// engine refuses is its error (conflict, rate_limited, invalid_argument), and nothing is written.
Status feed(store::Writer& writer, store::RolloutRow& row, rollout::Input input);

// What a new rollout begins with: inserts it, opens its first stage. invalid_argument when the group has no active device
// of a kind that the release serves.
Status begin_rollout(store::Writer& writer, store::RolloutRow& row, WallTime now);

// Time goes by: feeds a Tick to every live rollout that has something to wait for.
Status tick_rollouts(store::Writer& writer, WallTime now);

// A deployment moves to another standing; the counters of its rollout follow. A move that does not exist (it had ended
// already) changes nothing.
Status move_deployment(store::Writer& writer, store::Deployment& deployment, rollout::Standing to, WallTime now);

}  // namespace drover::api
