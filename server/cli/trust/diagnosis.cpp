#include "server/cli/trust/diagnosis.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "server/cli/human.h"

namespace drover::cli {
namespace {

using Findings = std::vector<Finding>;

std::string key_options(const RoleState& role, const std::vector<MyKey>& mine) {
  std::string out;
  int have = 0;
  for (const std::string& file : my_files(role, mine)) {
    if (have == role.threshold) break;
    out += " --key " + file;
    ++have;
  }
  if (have == 0) out = " --key KEY";
  return have < role.threshold && role.threshold > 1 ? out + " --out " + role.role + "-change.json" : out;
}

const RoleState* find_role(const Patient& patient, std::string_view role) {
  const auto found =
      std::find_if(patient.roles.begin(), patient.roles.end(), [&](const RoleState& one) { return one.role == role; });
  return found == patient.roles.end() ? nullptr : &*found;
}

// Who signs when the keys of a role change: root for itself and targets, targets for the models.
std::string parent_options(const Patient& patient, const RoleState& role) {
  const RoleState* parent = find_role(patient, role.top() ? "root" : "targets");
  return parent == nullptr ? " --key KEY" : key_options(*parent, patient.mine);
}

std::string edit_command(const RoleState& role, std::string_view root_verb, std::string_view manager_verb) {
  return role.top() ? fmt::format("drover trust {} {}", role.role, root_verb)
                    : fmt::format("drover trust manager {} {}", manager_verb, role.role);
}

std::string what_it_signs(const RoleState& role) {
  if (role.role == "root") return "give away the whole fleet's trust";
  if (role.role == "targets") return "name release managers of every model";
  return "ship any release of " + role.role;
}

void check_expiry(const Patient& patient, const RoleState& role, Findings& out) {
  if (!role.expires) return;
  const std::string who = role.top() ? "of any model" : "of " + role.role;
  const std::string command = fmt::format("drover trust renew {}{}", role.role, key_options(role, patient.mine));
  if (patient.now >= *role.expires)
    out.push_back({Level::broken, "expired", role.role,
                   fmt::format("{} has expired {}: no device takes anything new {}", role.role,
                               relative_time(*role.expires, patient.now), who),
                   command});
  else if (*role.expires - patient.now < patient.warn)
    out.push_back({Level::warning, "expires_soon", role.role,
                   fmt::format("{} expires {}; from then on no device takes anything new {}", role.role,
                               relative_time(*role.expires, patient.now), who),
                   command});
}

void check_threshold(const Patient& patient, const RoleState& role, Findings& out) {
  const std::string parent = parent_options(patient, role);
  const auto count = static_cast<int>(role.keyids.size());
  if (count == 1)
    out.push_back({Level::warning, "single_key", role.role,
                   fmt::format("{} hangs on one key: stolen, it can {}; lost, nobody can sign {} any more", role.role,
                               what_it_signs(role), role.role),
                   edit_command(role, "add-key", "add") + " SECOND.pub THIRD.pub --threshold 2" + parent});
  else if (role.threshold == 1)
    out.push_back({Level::warning, "one_key_enough", role.role,
                   fmt::format("one stolen key of {} is enough to {}", role.role, what_it_signs(role)),
                   edit_command(role, "threshold", "threshold") + " 2" + parent});
  else if (role.threshold == count)
    out.push_back(
        {Level::warning, "no_spare_key", role.role,
         fmt::format("{} needs all of its {} keys: one lost key, and nobody can sign it any more", role.role, count),
         edit_command(role, "add-key", "add") + " SPARE.pub" + parent});
}

// One key for several models is one person's. One that also signs root or targets, or lies on the server, is not.
void check_shared(const Patient& patient, Findings& out) {
  std::map<std::string, std::vector<std::string>> roles_of;
  for (const RoleState& role : patient.roles)
    for (const std::string& id : role.keyids) roles_of[id].push_back(role.role);
  for (const OnlineState& online : patient.online) roles_of[online.keyid].push_back(online.role);
  for (const auto& [id, roles] : roles_of) {
    const bool only_models = std::all_of(roles.begin(), roles.end(), [&](const std::string& name) {
      const RoleState* role = find_role(patient, name);
      return role != nullptr && !role->top();
    });
    if (roles.size() < 2 || only_models) continue;
    const RoleState* last = find_role(patient, roles.back());
    const std::string command =
        last == nullptr
            ? "drover trust online rotate " + roles.back() + " --key KEY"
            : edit_command(*last, "add-key", "add") + " NEW.pub" + parent_options(patient, *last) + ", then " +
                  edit_command(*last, "remove-key", "remove") + " " + id.substr(0, 16) + parent_options(patient, *last);
    out.push_back({Level::warning, "shared_key", roles.back(),
                   fmt::format("key {} stands in {}: whoever has it has all of them", id.substr(0, 16),
                               fmt::join(roles, " and ")),
                   command});
  }
}

void check_online(const Patient& patient, const OnlineState& online, Findings& out) {
  const RoleState* root = find_role(patient, online.role == "director" ? "targets" : "root");
  const std::string command = fmt::format("drover trust online rotate {}{}", online.role,
                                          root == nullptr ? " --key KEY" : key_options(*root, patient.mine));
  if (online.next_waits)
    out.push_back({Level::warning, "unfinished_rotation", online.role,
                   fmt::format("the server has a new {} key that is not signed in yet", online.role), command});
  else if (online.made && patient.now - *online.made > kOnlineKeyAge)
    out.push_back(
        {Level::warning, "old_online_key", online.role,
         fmt::format("the server's {} key is {} old", online.role,
                     human_span(std::chrono::duration_cast<std::chrono::seconds>(patient.now - *online.made))),
         command});
}

}  // namespace

std::vector<std::string> my_files(const RoleState& role, const std::vector<MyKey>& mine) {
  std::vector<std::string> files;
  for (const std::string& id : role.keyids)
    for (const MyKey& key : mine)
      if (key.keyid == id) files.push_back(key.file);
  return files;
}

std::vector<Finding> diagnose(const Patient& patient) {
  Findings out;
  for (const RoleState& role : patient.roles) {
    check_expiry(patient, role, out);
    check_threshold(patient, role, out);
  }
  for (const OnlineState& online : patient.online) check_online(patient, online, out);
  check_shared(patient, out);
  std::stable_sort(out.begin(), out.end(), [](const Finding& a, const Finding& b) { return a.level > b.level; });
  return out;
}

}  // namespace drover::cli
