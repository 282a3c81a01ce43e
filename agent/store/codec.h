// The life-cycle's state, slots and targets as JSON text, as they lie in the database. Fields that are missing take
// their defaults and unknown ones are passed over, so that an older and a newer agent read each other's files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/update/lifecycle.h"
#include "agent/update/plan.h"
#include "common/base/result.h"

namespace drover::agent {

std::string encode(const update::State& state);
std::string encode(const update::Slot& slot);
std::string encode(const std::vector<update::Target>& targets);
Result<update::State> decode_state(std::string_view text);
Result<update::Slot> decode_slot(std::string_view text);
Result<std::vector<update::Target>> decode_targets(std::string_view text);

}  // namespace drover::agent
