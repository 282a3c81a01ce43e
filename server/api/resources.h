// Every handler of the API, by resource. Each decodes strictly, does its work through the store, and answers; errors become
// problem details in the router.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "server/api/call.h"

namespace drover::api {

// device.cpp: what devices call
Answer post_challenge(Api& api, Call& call);
Answer post_session(Api& api, Call& call);
// checkin.cpp
Answer post_checkin(Api& api, Call& call);
// The answer to an idle check-in without a coroutine and without the database; false: it is not an idle one.
bool answer_idle_checkin(Api& api, const net::Request& request, net::Response& response);

// content_keys.cpp
Answer post_device_content_key(Api& api, Call& call);
Answer put_content_key(Api& api, Call& call);
// In hex; none while the key's file is not there.
boost::asio::awaitable<std::optional<std::string>> wrapping_public_key(Api& api);

// devices.cpp
Answer list_devices(Api& api, Call& call);
Answer get_device(Api& api, Call& call);
Answer post_device(Api& api, Call& call);
Answer accept_device(Api& api, Call& call);
Answer patch_device(Api& api, Call& call);
Answer delete_device(Api& api, Call& call);

// enrolment.cpp
Answer list_enrolment_tokens(Api& api, Call& call);
Answer post_enrolment_token(Api& api, Call& call);
Answer delete_enrolment_token(Api& api, Call& call);

// groups.cpp
Answer list_groups(Api& api, Call& call);
Answer get_group(Api& api, Call& call);
Answer post_group(Api& api, Call& call);
Answer put_group(Api& api, Call& call);
Answer delete_group(Api& api, Call& call);
Answer preview_group(Api& api, Call& call);

// releases.cpp
Answer list_models(Api& api, Call& call);
Answer list_releases(Api& api, Call& call);
Answer get_release(Api& api, Call& call);

// uploads.cpp, blobs.cpp
Answer post_upload(Api& api, Call& call);
Answer get_upload(Api& api, Call& call);
Answer patch_upload(Api& api, Call& call);
Answer get_blob(Api& api, Call& call);
Answer get_delta(Api& api, Call& call);
Answer plan_delta(Api& api, Call& call);
// How far the deltas to this release are, as "deltas"; nothing when the server has not looked at it since it started.
void add_delta_progress(const Api& api, const std::string& model, const std::string& version, nlohmann::json& out);

// metadata.cpp
Answer get_metadata(Api& api, Call& call);
Answer post_metadata(Api& api, Call& call);
Answer post_publication(Api& api, Call& call);

// trust.cpp
Answer get_trust(Api& api, Call& call);
Answer post_trust_keys(Api& api, Call& call);
// After a publication: what the server itself goes by. A failure is logged.
boost::asio::awaitable<void> reload_trust(Api& api);
// A line for each role that expires soon.
void log_expiry(const Api& api);

// rollouts.cpp
Answer list_rollouts(Api& api, Call& call);
Answer get_rollout(Api& api, Call& call);
Answer post_rollout(Api& api, Call& call);
Answer command_rollout(Api& api, Call& call);
Answer list_deployments(Api& api, Call& call);

// people.cpp
Answer get_whoami(Api& api, Call& call);
Answer list_tokens(Api& api, Call& call);
Answer post_token(Api& api, Call& call);
Answer delete_token(Api& api, Call& call);
Answer list_audit(Api& api, Call& call);

// health.cpp
Answer get_healthz(Api& api, Call& call);
Answer get_readyz(Api& api, Call& call);
Answer get_metrics(Api& api, Call& call);

}  // namespace drover::api
