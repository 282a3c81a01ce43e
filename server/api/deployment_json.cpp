#include "server/api/deployment_json.h"

#include <array>
#include <nlohmann/json.hpp>

namespace drover::api {

std::string_view to_text(rollout::Standing standing) {
  constexpr std::array<std::string_view, 7> kNames = {"none",        "in_flight", "succeeded", "failed",
                                                      "rolled_back", "aborted",   "silent"};
  return kNames[static_cast<std::size_t>(standing)];
}

nlohmann::json encode_deployment(const store::Deployment& deployment) {
  std::string rollout = "r";
  rollout += std::to_string(deployment.rollout_no);
  return {{"id", store::deployment_id(deployment.no)},
          {"rollout", rollout},
          {"model", deployment.model},
          {"release", deployment.release},
          {"previous", deployment.previous},
          {"stage", deployment.stage},
          {"state", to_text(deployment.standing)},
          {"activated", deployment.activated},
          {"returned", deployment.return_ended},
          {"step", deployment.step},
          {"code", code_name(deployment.code)},
          {"detail", deployment.detail},
          {"bytes_fetched", deployment.bytes_fetched},
          {"bytes_resumed", deployment.bytes_resumed},
          {"bytes_saved", deployment.bytes_saved},
          {"offered_at", format_time(deployment.offered_at)},
          {"updated_at", format_time(deployment.updated_at)}};
}

}  // namespace drover::api
