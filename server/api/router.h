// From a request to its handler: the route, who asks, whether they may, and errors as problem details.
#pragma once

#include "common/net/http_server.h"
#include "server/api/api.h"

namespace drover::api {

// `api` must outlive the HTTP server.
net::Handler make_handler(Api& api);
net::FastPath make_fast_path(Api& api);
net::BodyPlanner make_body_planner();

}  // namespace drover::api
