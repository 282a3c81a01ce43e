// One request on its way through the API: who asks, and what the path names. And how answers are made.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/net/http_server.h"
#include "server/api/api.h"
#include "server/api/session_token.h"
#include "server/auth/access.h"

namespace drover::api {

struct Call {
  net::Request& request;
  std::string_view route;  // "GET /devices/{id}"
  auth::Principal who;
  std::vector<std::string> params;  // of the path, in order, decoded
  std::optional<Claims> session;    // of a device
  Peer peer{};

  const std::string& param(std::size_t i) const { return params[i]; }
};

using Answer = boost::asio::awaitable<Result<net::Response>>;
using HandlerFn = Answer (*)(Api& api, Call& call);

inline constexpr std::string_view kJson = "application/json";
inline constexpr std::size_t kPageDefault = 100;
inline constexpr std::size_t kPageMost = 1000;  // items of one list answer

net::Response json_response(int status, const nlohmann::json& body);
// A strong ETag of a version number, in quotes.
std::string version_etag(std::int64_t version);
// If-Match: absent or equal passes; precondition_failed otherwise.
Status check_if_match(const net::Request& request, std::string_view etag);

struct Page {
  std::size_t limit = kPageDefault;
  std::int64_t after = 0;
};
// ?limit=&cursor=; invalid_argument for what is none.
Result<Page> page_of(const net::Request& request);
// {"items": [...], "next": cursor or null}. `next` 0: there is no more.
net::Response list_response(nlohmann::json items, std::int64_t next);

// A name for something new: `prefix` and 16 random hexadecimal digits.
std::string random_id(std::string_view prefix, Rng& rng);

}  // namespace drover::api
