// A deployment as people read it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "server/store/rollouts.h"

namespace drover::api {

// "in_flight", "succeeded", "failed", "rolled_back", "aborted", "silent"
std::string_view to_text(rollout::Standing standing);
nlohmann::json encode_deployment(const store::Deployment& deployment);

}  // namespace drover::api
