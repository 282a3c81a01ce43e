#include "server/api/router.h"

#include <array>

#include "common/db/connection.h"
#include "common/obs/log.h"
#include "common/tuf/limits.h"
#include "proto/wire/content_key.h"
#include "server/api/change.h"
#include "server/api/journey/publication.h"
#include "server/api/resources.h"
#include "server/auth/token.h"

namespace drover::api {
namespace {

constexpr std::string_view kPrefix = "/api/v1";
constexpr std::uint64_t kSmallBody = 64 * 1024;
constexpr std::uint64_t kGroupBody = 1 << 20;
constexpr std::uint64_t kUploadBody = std::uint64_t{1} << 40;
constexpr std::size_t kMaxSegments = 8;
constexpr std::string_view kHsts = "max-age=31536000";  // a year

struct Row {
  std::string_view id;  // as in auth::routes()
  HandlerFn handler;
  std::uint64_t body = 0;  // the most that is read of one
  bool stream = false;
};

constexpr std::array kRows = {
    Row{"POST /device/checkin", post_checkin, wire::kMaxCheckinBody},
    Row{"POST /device/challenge", post_challenge, kSmallBody},
    Row{"POST /device/content-key", post_device_content_key, wire::kMaxContentKeyBody},
    Row{"POST /device/session", post_session, wire::kMaxCheckinBody},
    Row{"GET /blobs/{digest}", get_blob},
    Row{"GET /deltas/{target}", plan_delta},
    Row{"GET /deltas/{target}/{base}", get_delta},
    Row{"GET /metadata/{file}", get_metadata},
    Row{"POST /metadata/{role}", post_metadata, tuf::kMaxTargetsBytes},
    Row{"POST /metadata", post_publication, kMaxPublicationBody},
    Row{"GET /trust", get_trust},
    Row{"PUT /content-keys/{package}", put_content_key, wire::kMaxContentKeyBody},
    Row{"POST /trust/keys", post_trust_keys, kSmallBody},
    Row{"GET /whoami", get_whoami},
    Row{"GET /devices", list_devices},
    Row{"POST /devices", post_device, kSmallBody},
    Row{"GET /devices/{id}", get_device},
    Row{"PATCH /devices/{id}", patch_device, kSmallBody},
    Row{"DELETE /devices/{id}", delete_device, kSmallBody},
    Row{"POST /devices/{id}/accept", accept_device, kSmallBody},
    Row{"GET /enrolment-tokens", list_enrolment_tokens},
    Row{"POST /enrolment-tokens", post_enrolment_token, kSmallBody},
    Row{"DELETE /enrolment-tokens/{id}", delete_enrolment_token, kSmallBody},
    Row{"GET /groups", list_groups},
    Row{"POST /groups", post_group, kGroupBody},
    Row{"POST /groups/preview", preview_group, kSmallBody},
    Row{"GET /groups/{name}", get_group},
    Row{"PUT /groups/{name}", put_group, kGroupBody},
    Row{"DELETE /groups/{name}", delete_group, kSmallBody},
    Row{"GET /models", list_models},
    Row{"GET /models/{model}/releases", list_releases},
    Row{"GET /models/{model}/releases/{version}", get_release},
    Row{"POST /uploads", post_upload, kSmallBody},
    Row{"GET /uploads/{id}", get_upload},
    Row{"PATCH /uploads/{id}", patch_upload, kUploadBody, true},
    Row{"GET /rollouts", list_rollouts},
    Row{"POST /rollouts", post_rollout, wire::kMaxRolloutBody},
    Row{"GET /rollouts/{id}", get_rollout},
    Row{"GET /rollouts/{id}/deployments", list_deployments},
    Row{"POST /rollouts/{id}/promote", command_rollout, kSmallBody},
    Row{"POST /rollouts/{id}/pause", command_rollout, kSmallBody},
    Row{"POST /rollouts/{id}/resume", command_rollout, kSmallBody},
    Row{"POST /rollouts/{id}/halt", command_rollout, kSmallBody},
    Row{"POST /rollouts/{id}/abort", command_rollout, kSmallBody},
    Row{"POST /rollouts/{id}/rollback", command_rollout, kSmallBody},
    Row{"GET /audit", list_audit},
    Row{"GET /tokens", list_tokens},
    Row{"POST /tokens", post_token, kSmallBody},
    Row{"DELETE /tokens/{id}", delete_token, kSmallBody},
};
// Outside /api/v1.
constexpr std::array kRootRows = {
    Row{"GET /healthz", get_healthz},
    Row{"GET /readyz", get_readyz},
    Row{"GET /metrics", get_metrics},
};

std::string_view next_segment(std::string_view& path) {
  if (!path.empty() && path.front() == '/') path.remove_prefix(1);
  const std::size_t end = path.find('/');
  const std::string_view segment = path.substr(0, end);
  path.remove_prefix(end == std::string_view::npos ? path.size() : end);
  return segment;
}

// Does the path have the shape of the pattern? `raw` gets what stands for {...}, still encoded.
bool fits(std::string_view pattern, std::string_view path, std::vector<std::string_view>* raw) {
  if (raw != nullptr) raw->clear();
  while (!pattern.empty() && !path.empty()) {
    const std::string_view wanted = next_segment(pattern), given = next_segment(path);
    if (given.empty()) return false;
    if (wanted.starts_with('{')) {
      if (raw != nullptr) raw->push_back(given);
    } else if (wanted != given) {
      return false;
    }
  }
  return pattern.empty() && path.empty();
}

struct Match {
  const Row* row = nullptr;
  bool path_known = false;  // with another method
};

bool method_fits(std::string_view wanted, net::Method method) {
  if (wanted == "GET") return method == net::Method::get || method == net::Method::head;
  return wanted == net::method_name(method);
}

template <std::size_t n>
Match match_rows(const std::array<Row, n>& rows, net::Method method, std::string_view path,
                 std::vector<std::string_view>* raw) {
  Match match;
  for (const Row& row : rows) {
    const std::size_t space = row.id.find(' ');
    if (!fits(row.id.substr(space + 1), path, raw)) continue;
    match.path_known = true;
    if (!method_fits(row.id.substr(0, space), method)) continue;
    match.row = &row;
    return match;
  }
  return match;
}

Match match_route(net::Method method, std::string_view path, std::vector<std::string_view>* raw) {
  if (path.starts_with(kPrefix)) return match_rows(kRows, method, path.substr(kPrefix.size()), raw);
  return match_rows(kRootRows, method, path, raw);
}

// --- who asks --------------------------------------------------------------------------------------------------------

Status identify_person(Api& api, Call& call, std::string_view token) {
  const Error wrong(Code::unauthenticated, "this token is not valid (any more); log in again");
  const auto hash = auth::token_hash(token);
  if (!hash) return wrong;
  const auto control = api.store.control();
  const auto found = control->tokens.find(*hash);
  if (found == control->tokens.end()) return wrong;
  if (api.clock.wall() >= found->second.expires) return Error(Code::unauthenticated, "this token has expired");
  call.who.kind = auth::Principal::Kind::person;
  call.who.id = found->second.id;
  call.who.name = found->second.name;
  call.who.role = found->second.role;
  return {};
}

Status identify_device(Api& api, Call& call, std::string_view token) {
  TRY_ASSIGN(Claims claims, open_session(api.keys.session, token, api.clock.wall()));
  TRY(check_certificate(call.peer, claims.device_id, api.settings.device_certificates));
  call.who.kind = auth::Principal::Kind::device;
  call.who.id = call.who.name = claims.device_id;
  call.session = std::move(claims);
  return {};
}

// A right token is never held up: behind one address there may be a whole shop, and one device in it that is wrong.
Status identify(Api& api, Call& call) {
  const std::string_view token = call.request.bearer();
  if (token.empty()) return {};
  Status status = auth::is_token(token) ? identify_person(api, call, token) : identify_device(api, call, token);
  if (status) return status;
  const std::string from = address_key(call.peer.address);
  if (!api.throttle.allows(from, api.clock.mono()))
    return Error(Code::rate_limited, "too many wrong tokens from this address; wait a minute");
  api.throttle.failed(from, api.clock.mono());
  return status;
}

Status decode_params(Call& call, const std::vector<std::string_view>& raw) {
  for (const std::string_view one : raw) {
    TRY_ASSIGN(std::string decoded, net::percent_decode(one));
    call.params.push_back(std::move(decoded));
  }
  return {};
}

net::Response problem(const Call& call, const Error& error) {
  if (http_status(error.code()) >= 500 && error.code() != Code::unavailable)
    log::failure("a request failed", error, {{"route", call.route}, {"who", call.who.name}});
  net::Response response = net::problem_response(error);
  if (error.code() == Code::unauthenticated) response.headers.add("WWW-Authenticate", "Bearer");
  if (error.code() == Code::rate_limited || error.code() == Code::unavailable)
    response.headers.add("Retry-After", error.code() == Code::rate_limited ? "60" : "2");
  return response;
}

net::Response no_route(const Match& match) {
  if (!match.path_known) return net::problem_response(404, Code::not_found, "there is nothing at this address");
  return net::problem_response(405, Code::unsupported, "this address does not know that method");
}

Status authorise(const Call& call) {
  auth::Decision decision = auth::authorise(call.who, call.route);
  if (decision.allowed) return {};
  return Error(decision.code, std::move(decision.why));
}

boost::asio::awaitable<net::Response> refuse(Api& api, const Call& call, Error why) {
  if (Refusals::is_refusal(why.code())) {
    api.counters.refused.add();
    co_await record_refusal(api, call, why);
  }
  co_return problem(call, why);
}

boost::asio::awaitable<net::Response> handle(Api& api, net::Request& request) {
  std::vector<std::string_view> raw;
  raw.reserve(kMaxSegments);
  const Match match = match_route(request.method, request.path, &raw);
  if (match.row == nullptr) co_return no_route(match);
  Call call{request,           match.row->id,
            auth::Principal(), std::vector<std::string>(),
            std::nullopt,      peer_of(request, api.settings.proxies)};
  Status ready = decode_params(call, raw);
  if (ready) ready = identify(api, call);
  if (ready) ready = authorise(call);
  if (!ready) co_return co_await refuse(api, call, ready.error());
  Result<net::Response> response = co_await match.row->handler(api, call);
  if (!response) co_return co_await refuse(api, call, response.error());
  co_return std::move(*response);
}

// For browsers: who came over TLS comes only so from then on, and nothing is taken for another type than it has.
boost::asio::awaitable<net::Response> respond(Api& api, net::Request& request) {
  net::Response response = co_await handle(api, request);
  response.headers.add("X-Content-Type-Options", "nosniff");
  if (request.secure) response.headers.add("Strict-Transport-Security", kHsts);
  co_return response;
}

}  // namespace

Counters::Counters(metrics::Registry& registry)
    : checkins_idle(registry.counter("drover_checkins_total", "Check-ins answered", {{"kind", "idle"}})),
      checkins_news(registry.counter("drover_checkins_total", "Check-ins answered", {{"kind", "news"}})),
      sessions(registry.counter("drover_sessions_total", "Device sessions opened")),
      events(registry.counter("drover_events_total", "Events of devices stored")),
      report_conflicts(registry.counter("drover_report_conflicts_total",
                                        "Reports not taken since their counter did not go on: a device's disk was "
                                        "brought back from a copy, or two devices hold one key")),
      assignments(registry.counter("drover_assignments_total", "Assignments signed")),
      refused(registry.counter("drover_refused_total", "Requests refused for want of credentials, right or trust")),
      blobs_served(registry.counter("drover_blob_served_total", "Downloads of whole files begun (of 4 KiB and more)")),
      deltas_served(registry.counter("drover_delta_served_total", "Downloads of deltas begun")),
      packed_served(registry.counter("drover_packed_served_total", "Downloads of packed whole files begun")),
      packed_bytes_saved(registry.counter("drover_packed_bytes_saved_total",
                                          "Bytes that these are smaller than their files, counted as they begin")),
      updates(registry.counter("drover_updates_total", "Deployments in place of an earlier release that have ended")),
      delta_updates(registry.counter("drover_delta_updates_total", "Of these, with a delta for a file at least")),
      delta_bytes_saved(registry.counter("drover_delta_bytes_saved_total",
                                         "Bytes that these did not fetch thanks to deltas, as devices report")),
      content_keys(
          registry.counter("drover_content_keys_total", "Content keys given to devices, each sealed to its own")) {
  registry.gauge_reader("drover_delta_hit_rate", "Share of the updates that came by delta, since this server started",
                        [&all = updates, &by_delta = delta_updates] {
                          const auto count = static_cast<double>(all.value());
                          return count == 0 ? 0 : static_cast<double>(by_delta.value()) / count;
                        });
  registry.counter_reader("drover_sql_statements_total", "SQL statements run",
                          [] { return static_cast<double>(db::statements_run()); });
}

void Counters::add(const wire::Savings& savings) {
  updates.add(static_cast<std::uint64_t>(savings.updates));
  delta_updates.add(static_cast<std::uint64_t>(savings.by_delta));
  delta_bytes_saved.add(savings.bytes_saved);
}

net::Handler make_handler(Api& api) {
  return [&api](net::Request& request) { return respond(api, request); };
}

net::FastPath make_fast_path(Api& api) {
  return [&api](const net::Request& request, net::Response& response) {
    return answer_idle_checkin(api, request, response);
  };
}

net::BodyPlanner make_body_planner() {
  return [](const net::Request& request) {
    const Match match = match_route(request.method, request.path, nullptr);
    net::BodyPlan plan;
    plan.limit = match.row == nullptr ? kSmallBody : match.row->body;  // so that the answer is 404 or 405, not 413
    plan.stream = match.row != nullptr && match.row->stream;
    return plan;
  };
}

}  // namespace drover::api
