// Following a rollout until it stands still.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "common/base/result.h"
#include "proto/wire/rollout.h"
#include "server/cli/api.h"
#include "server/cli/context.h"

namespace drover::cli {

struct WatchOptions {
  std::optional<wire::RolloutState> until;  // exit status 0 once it is reached
  std::chrono::seconds timeout{0};          // 0: none
};

// Draws on a terminal, else writes a line for each change. The value is the exit status (exit_code.h); --json prints
// the last state at the end. A server that is away for a while is waited for.
Result<int> watch_rollout(const std::string& id, const WatchOptions& options, Api& api, Context& context);

// What ends the watch, and how. Pure. Nothing: go on.
std::optional<int> watch_ends(wire::RolloutState state, const std::optional<wire::RolloutState>& until);

}  // namespace drover::cli
