// The stored form of a RolloutState, version 1: JSON text. And its form for people.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "proto/wire/rollout.h"
#include "server/rollout/engine.h"

namespace drover::rollout {

std::string encode(const RolloutState& state);
// malformed for what encode did not write; unsupported for a later version.
Result<RolloutState> decode_state(std::string_view text);

// Fills in state, stage, stages, reason and version; the rest is the caller's.
void describe(const wire::RolloutSpec& spec, const RolloutState& state, wire::RolloutStatus& status);

}  // namespace drover::rollout
