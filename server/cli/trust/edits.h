// What people change in a change of trust: keys in and out, thresholds. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/cli/trust/change.h"

namespace drover::cli {

struct KeyEdit {
  std::vector<tuf::Key> add;
  std::vector<std::string> remove;  // key ids
  std::optional<int> threshold;
};

// Of `root` or `targets`, in root.json. Errors: already_exists for a key that the role has, not_found for one that it
// has not, invalid_argument for a threshold that the keys do not fit.
Status edit_root_role(Change& change, const std::string& role, const KeyEdit& edit, WallTime expires);
// A model's release managers, in targets.json.
Status edit_managers(Change& change, const std::string& model, const KeyEdit& edit, WallTime expires);
// Puts `key` in place of all keys of an online role: snapshot, timestamp (root.json) or director (targets.json).
Status set_online_key(Change& change, const std::string& role, const tuf::Key& key, WallTime expires);

// The roles in which people hold this key: root, targets, models.
Result<std::vector<std::string>> roles_of_key(const Change& change, std::string_view keyid);
// Another key in its place, in each of them.
Status replace_key(Change& change, std::string_view keyid, const tuf::Key& key, WallTime expires);

// Keys and threshold of root, targets or a model, as the change leaves them.
struct RoleView {
  tuf::Keys keys;  // of the whole file
  tuf::RoleKeys role;
};
Result<RoleView> view_role(const Change& change, const std::string& role);

// The key of a role that `text` means: its id or the first 8 digits or more of it, its public half, or its file.
Result<std::string> find_key(const RoleView& role, const std::string& name, const std::string& text);

}  // namespace drover::cli
