// Roles, and the one table of who may call which route. Pure. A route that is not in the table is nobody's.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace drover::auth {

// People's roles; each may do what those before it may. The numbers stand in the database: never renumber.
enum class Role : std::uint8_t { viewer = 1, operator_ = 2, release_manager = 3, admin = 4 };
std::string_view to_text(Role role);  // "viewer", "operator", "release_manager", "admin"
Result<Role> role_from_text(std::string_view text);

// Who asks.
struct Principal {
  enum class Kind : std::uint8_t { nobody, device, person } kind = Kind::nobody;
  std::string id;            // of the device or the token
  std::string name;          // for the audit log
  Role role = Role::viewer;  // of a person
};

// Who may.
enum class Access : std::uint8_t {
  anyone,  // no credentials needed
  device,  // a device's session, for itself; no person
  device_or_viewer,
  viewer,
  operator_,
  release_manager,
  admin,
};

struct Route {
  std::string_view
      id;  // "GET /devices/{id}": the method and the path below /api/v1 (or the root for health and metrics)
  Access access;
};

// Sorted by id.
std::span<const Route> routes();

struct Decision {
  bool allowed = false;
  Code code = Code::ok;  // unauthenticated, permission_denied; not_found for a route outside the table
  std::string why;       // a sentence that names the role that is needed
};

Decision authorise(const Principal& who, std::string_view route_id);

// Whose metadata a person may publish: a model role's a release manager's, root and targets an admin's, and those with
// online keys (snapshot, timestamp, director) nobody's. Asked beside authorise() by POST /metadata/{role}.
Decision authorise_publication(const Principal& who, std::string_view tuf_role);

}  // namespace drover::auth
