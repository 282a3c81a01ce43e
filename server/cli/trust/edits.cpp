#include "server/cli/trust/edits.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/cli/human.h"
#include "server/cli/signers.h"

namespace drover::cli {
namespace {

constexpr std::size_t kShortestId = 8;  // digits: among a handful of keys nobody finds two that begin alike

bool names(const tuf::RoleKeys& role, std::string_view keyid) {
  return std::find(role.keyids.begin(), role.keyids.end(), keyid) != role.keyids.end();
}

Status check_edit(const RoleView& view, const std::string& role, const KeyEdit& edit) {
  for (const tuf::Key& key : edit.add)
    if (names(view.role, key.id))
      return Error(Code::already_exists, fmt::format("{} has the key {} already", role, key.id.substr(0, 16)));
  for (const std::string& id : edit.remove)
    if (!names(view.role, id)) return Error(Code::not_found, fmt::format("{} has no key {}", role, id.substr(0, 16)));
  const std::size_t left = view.role.keyids.size() + edit.add.size() - edit.remove.size();
  const auto threshold = static_cast<std::size_t>(edit.threshold.value_or(view.role.threshold));
  if (threshold >= 1 && threshold <= left) return {};
  return Error(Code::invalid_argument,
               fmt::format("{} would have {} with a threshold of {}; give --threshold N, or add the new key first",
                           role, counted(static_cast<std::int64_t>(left), "key"), threshold));
}

std::string found_by_id(const RoleView& view, std::string_view text) {
  if (text.size() < kShortestId) return "";
  for (const std::string& id : view.role.keyids)
    if (std::string_view(id).starts_with(text)) return id;
  return "";
}

Result<tuf::DelegationSpec> spec_of(const tuf::Targets& targets, const std::string& model) {
  const tuf::Delegation* found = targets.delegation(model);
  if (found == nullptr || model == tuf::kDirector)
    return Error(
        Code::not_found,
        fmt::format("nobody may sign releases of {0} yet; begin with: drover trust delegate {0} --release-key PUB "
                    "--targets-key KEY",
                    printable(model)));
  tuf::DelegationSpec spec{found->name, found->paths, {}, found->keys.threshold, found->terminating};
  for (const std::string& id : found->keys.keyids) {
    const auto key = targets.delegation_keys.find(id);
    if (key == targets.delegation_keys.end()) return Error(Code::malformed, "targets lacks the key " + id);
    spec.keys.push_back(key->second);
  }
  return spec;
}

}  // namespace

Result<RoleView> view_role(const Change& change, const std::string& role) {
  if (role == tuf::kRoot || role == tuf::kTargets) {
    TRY_ASSIGN(tuf::Root root, change.root());
    return RoleView{root.keys, root.roles.find(role)->second};
  }
  TRY_ASSIGN(const tuf::Targets targets, change.targets());
  TRY(spec_of(targets, role));
  return RoleView{targets.delegation_keys, targets.delegation(role)->keys};
}

Status edit_root_role(Change& change, const std::string& role, const KeyEdit& edit, WallTime expires) {
  TRY_ASSIGN(const RoleView view, view_role(change, role));
  TRY(check_edit(view, role, edit));
  TRY_ASSIGN(tuf::Document * root, change.edit(std::string(tuf::kRoot), expires));
  for (const tuf::Key& key : edit.add) TRY(tuf::add_root_key(*root, role, key));
  // Between the two the threshold must fit what is there at each step.
  if (edit.threshold && *edit.threshold < view.role.threshold)
    TRY(tuf::set_root_threshold(*root, role, *edit.threshold));
  for (const std::string& id : edit.remove) TRY(tuf::remove_root_key(*root, role, id));
  return edit.threshold ? tuf::set_root_threshold(*root, role, *edit.threshold) : Status();
}

Status edit_managers(Change& change, const std::string& model, const KeyEdit& edit, WallTime expires) {
  TRY_ASSIGN(const RoleView view, view_role(change, model));
  TRY(check_edit(view, model, edit));
  TRY_ASSIGN(const tuf::Targets targets, change.targets());
  TRY_ASSIGN(tuf::DelegationSpec spec, spec_of(targets, model));
  std::erase_if(spec.keys, [&](const tuf::Key& key) {
    return std::find(edit.remove.begin(), edit.remove.end(), key.id) != edit.remove.end();
  });
  spec.keys.insert(spec.keys.end(), edit.add.begin(), edit.add.end());
  spec.threshold = edit.threshold.value_or(spec.threshold);
  TRY_ASSIGN(tuf::Document * document, change.edit(std::string(tuf::kTargets), expires));
  return tuf::set_delegation(*document, spec);
}

Status set_online_key(Change& change, const std::string& role, const tuf::Key& key, WallTime expires) {
  if (role == tuf::kDirector) {
    TRY_ASSIGN(tuf::Document * targets, change.edit(std::string(tuf::kTargets), expires));
    return tuf::set_delegation(*targets, tuf::director_delegation(key));
  }
  TRY_ASSIGN(const tuf::Root before, change.root());
  TRY_ASSIGN(tuf::Document * root, change.edit(std::string(tuf::kRoot), expires));
  TRY(tuf::add_root_key(*root, role, key));
  TRY(tuf::set_root_threshold(*root, role, 1));
  for (const std::string& id : before.roles.find(role)->second.keyids)
    if (id != key.id) TRY(tuf::remove_root_key(*root, role, id));
  return {};
}

Result<std::vector<std::string>> roles_of_key(const Change& change, std::string_view keyid) {
  std::vector<std::string> out;
  TRY_ASSIGN(const tuf::Root root, change.root());
  for (const std::string_view role : {tuf::kRoot, tuf::kTargets})
    if (names(root.roles.find(role)->second, keyid)) out.emplace_back(role);
  TRY_ASSIGN(const tuf::Targets targets, change.targets());
  for (const tuf::Delegation& one : targets.delegations)
    if (one.name != tuf::kDirector && names(one.keys, keyid)) out.push_back(one.name);
  return out;
}

Status replace_key(Change& change, std::string_view keyid, const tuf::Key& key, WallTime expires) {
  TRY_ASSIGN(const std::vector<std::string> roles, roles_of_key(change, keyid));
  const KeyEdit edit{{key}, {std::string(keyid)}, std::nullopt};
  for (const std::string& role : roles) {
    const bool top = role == tuf::kRoot || role == tuf::kTargets;
    TRY(top ? edit_root_role(change, role, edit, expires) : edit_managers(change, role, edit, expires));
  }
  return {};
}

Result<std::string> find_key(const RoleView& role, const std::string& name, const std::string& text) {
  if (const std::string id = found_by_id(role, text); !id.empty()) return id;
  auto key = read_public_key(text);
  if (key && names(role.role, key->id)) return key->id;
  return Error(Code::not_found,
               fmt::format("{} has no key {}; it has {}", name, printable(text), describe_keyids(role.role.keyids)));
}

}  // namespace drover::cli
