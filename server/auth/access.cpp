#include "server/auth/access.h"

#include <algorithm>
#include <array>

namespace drover::auth {
namespace {

constexpr auto kRoutes = std::to_array<Route>({
    {"DELETE /devices/{id}", Access::admin},
    {"DELETE /enrolment-tokens/{id}", Access::admin},
    {"DELETE /groups/{name}", Access::operator_},
    {"DELETE /tokens/{id}", Access::admin},
    {"GET /audit", Access::viewer},
    {"GET /blobs/{digest}", Access::device_or_viewer},
    {"GET /deltas/{target}", Access::device_or_viewer},
    {"GET /deltas/{target}/{base}", Access::device_or_viewer},
    {"GET /devices", Access::viewer},
    {"GET /devices/{id}", Access::viewer},
    {"GET /enrolment-tokens", Access::admin},
    {"GET /groups", Access::viewer},
    {"GET /groups/{name}", Access::viewer},
    {"GET /healthz", Access::anyone},
    {"GET /metadata/{file}", Access::anyone},
    {"GET /metrics", Access::anyone},
    {"GET /models", Access::viewer},
    {"GET /models/{model}/releases", Access::viewer},
    {"GET /models/{model}/releases/{version}", Access::viewer},
    {"GET /readyz", Access::anyone},
    {"GET /rollouts", Access::viewer},
    {"GET /rollouts/{id}", Access::viewer},
    {"GET /rollouts/{id}/deployments", Access::viewer},
    {"GET /tokens", Access::admin},
    {"GET /trust", Access::viewer},
    {"GET /uploads/{id}", Access::release_manager},
    {"GET /whoami", Access::viewer},
    {"HEAD /blobs/{digest}", Access::device_or_viewer},
    {"HEAD /deltas/{target}/{base}", Access::device_or_viewer},
    {"HEAD /uploads/{id}", Access::release_manager},
    {"PATCH /devices/{id}", Access::operator_},
    {"PATCH /uploads/{id}", Access::release_manager},
    {"POST /device/challenge", Access::anyone},
    {"POST /device/checkin", Access::device},
    {"POST /device/content-key", Access::device},
    {"POST /device/session", Access::anyone},
    {"POST /devices", Access::operator_},
    {"POST /devices/{id}/accept", Access::operator_},
    {"POST /enrolment-tokens", Access::admin},
    {"POST /groups", Access::operator_},
    {"POST /groups/preview", Access::viewer},
    {"POST /metadata", Access::release_manager},
    {"POST /metadata/{role}", Access::release_manager},
    {"POST /rollouts", Access::release_manager},
    {"POST /rollouts/{id}/abort", Access::operator_},
    {"POST /rollouts/{id}/halt", Access::operator_},
    {"POST /rollouts/{id}/pause", Access::operator_},
    {"POST /rollouts/{id}/promote", Access::release_manager},
    {"POST /rollouts/{id}/resume", Access::operator_},
    {"POST /rollouts/{id}/rollback", Access::operator_},
    {"POST /tokens", Access::admin},
    {"POST /trust/keys", Access::admin},
    {"POST /uploads", Access::release_manager},
    {"PUT /content-keys/{package}", Access::release_manager},
    {"PUT /groups/{name}", Access::operator_},
});

constexpr bool by_id(const Route& a, const Route& b) { return a.id < b.id; }
static_assert(std::is_sorted(kRoutes.begin(), kRoutes.end(), by_id), "the look-up is a binary search");

constexpr std::array<std::string_view, 4> kRoleNames = {"viewer", "operator", "release_manager", "admin"};

Decision allow() { return {true, Code::ok, ""}; }
Decision refuse(Code code, std::string why) { return {false, code, std::move(why)}; }

Decision need_role(const Principal& who, Role least) {
  if (who.kind == Principal::Kind::nobody) return refuse(Code::unauthenticated, "a token is needed");
  if (who.kind == Principal::Kind::device)
    return refuse(Code::permission_denied, "this is for people, not for devices");
  if (who.role >= least) return allow();
  return refuse(Code::permission_denied, "this needs the role " + std::string(to_text(least)) + "; your token has " +
                                             std::string(to_text(who.role)));
}

Decision need_device(const Principal& who) {
  if (who.kind == Principal::Kind::device) return allow();
  if (who.kind == Principal::Kind::nobody) return refuse(Code::unauthenticated, "a device session is needed");
  return refuse(Code::permission_denied, "this is for devices, not for people");
}

}  // namespace

std::string_view to_text(Role role) { return kRoleNames[static_cast<std::size_t>(role) - 1]; }

Result<Role> role_from_text(std::string_view text) {
  const auto at = std::find(kRoleNames.begin(), kRoleNames.end(), text);
  if (at != kRoleNames.end()) return static_cast<Role>(at - kRoleNames.begin() + 1);
  return Error(Code::invalid_argument, "a role is viewer, operator, release_manager or admin");
}

std::span<const Route> routes() { return kRoutes; }

Decision authorise(const Principal& who, std::string_view route_id) {
  const auto at = std::lower_bound(kRoutes.begin(), kRoutes.end(), Route{route_id, Access::admin}, by_id);
  if (at == kRoutes.end() || at->id != route_id) return refuse(Code::not_found, "there is no such route");
  switch (at->access) {
    case Access::anyone:
      return allow();
    case Access::device:
      return need_device(who);
    case Access::device_or_viewer:
      return who.kind == Principal::Kind::device ? allow() : need_role(who, Role::viewer);
    case Access::viewer:
      return need_role(who, Role::viewer);
    case Access::operator_:
      return need_role(who, Role::operator_);
    case Access::release_manager:
      return need_role(who, Role::release_manager);
    case Access::admin:
      return need_role(who, Role::admin);
  }
  return refuse(Code::internal, "the table of routes is broken");
}

Decision authorise_publication(const Principal& who, std::string_view tuf_role) {
  if (tuf_role == "snapshot" || tuf_role == "timestamp" || tuf_role == "director")
    return refuse(Code::permission_denied, "the server signs this role itself");
  return need_role(who, tuf_role == "root" || tuf_role == "targets" ? Role::admin : Role::release_manager);
}

}  // namespace drover::auth
