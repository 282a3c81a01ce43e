// `drover-agent status`: what the store says, for people and for scripts. Works beside a running agent.
#pragma once

#include <string>

#include "agent/store/store.h"
#include "common/base/result.h"
#include "common/fs/files.h"

namespace drover::agent {

std::string status_json(Store& store, const std::string& device_id);
std::string status_text(Store& store, const std::string& device_id);

// The whole command. Errors: not_found when there is no agent's state in the folder.
Result<std::string> status_of(const std::string& state_folder, bool json, fs::Files& files);

}  // namespace drover::agent
