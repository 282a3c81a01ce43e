// How a rollout looks to people. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "proto/wire/deltas.h"
#include "proto/wire/rollout.h"
#include "server/cli/style.h"
#include "server/cli/table.h"

namespace drover::cli {

// "[######==xx------]": '#' succeeded, '=' in flight, 'x' failed, rolled back or silent, '-' still to come.
std::string stage_bar(const wire::StageStatus& stage, std::size_t width, const Style& style);

// "3 of 8 done, 2 in flight, 1 failed"
std::string stage_counts(const wire::StageStatus& stage);

Cell state_cell(wire::RolloutState state);

// Several lines, none ends in a line feed, none is wider than `width` (0: any width).
std::vector<std::string> rollout_lines(const wire::RolloutStatus& status, WallTime now, std::size_t width,
                                       const Style& style);

// One line for logs: "running, stage 2 of 3 (100%): 3 of 8 done, 2 in flight".
std::string rollout_line(const wire::RolloutStatus& status);

// "3 of 4 ready (1.2 MiB instead of 27 MiB), being made: 45 %". Of the deltas to one release.
std::string delta_line(const wire::DeltaProgress& progress);

// "5 of 6 updates by delta, 3.1 MiB fetched, 160 MiB saved"; empty when none has ended.
std::string savings_line(const wire::Savings& savings);
// Both, of a rollout's document; an older server says nothing of them.
std::vector<std::string> delta_lines(const nlohmann::json& document);

// What the person may do next: "drover rollout promote ID"; empty when there is nothing to do.
std::string next_step(const wire::RolloutStatus& status);

}  // namespace drover::cli
