#include "common/tuf/author.h"

#include <algorithm>

#include "common/tuf/canonical.h"

namespace drover::tuf {
namespace {

using Json = nlohmann::json;

Json common_part(std::string_view type, std::int64_t version, WallTime expires) {
  return {{"_type", type}, {"spec_version", kSpecVersion}, {"version", version}, {"expires", format_time(expires)}};
}

Json meta_json(const MetaFile& file) {
  Json json = {{"version", file.version}};
  if (file.length) json["length"] = *file.length;
  if (!file.hashes.empty()) json["hashes"] = file.hashes;
  return json;
}

Result<Json*> root_role(Document& root, std::string_view role) {
  Json& part = root.edit();
  const auto roles = part.find("roles");
  if (roles == part.end() || !roles->contains(role))
    return Error(Code::invalid_argument, "root has no role \"" + std::string(role) + "\"");
  return &*roles->find(role);
}

bool names_key(const Json& role, std::string_view keyid) {
  const Json& keyids = role.at("keyids");
  return std::find(keyids.begin(), keyids.end(), keyid) != keyids.end();
}

// Keys that no role names any more only make the file larger.
template <class Roles>
void drop_unused_keys(Json& keys, const Roles& roles) {
  for (auto key = keys.begin(); key != keys.end();) {
    const bool used =
        std::any_of(roles.begin(), roles.end(), [&](const Json& role) { return names_key(role, key.key()); });
    if (used)
      ++key;
    else
      key = keys.erase(key);
  }
}

Json& delegations_of(Document& targets) {
  Json& part = targets.edit();
  if (!part.contains("delegations")) part["delegations"] = {{"keys", Json::object()}, {"roles", Json::array()}};
  return part["delegations"];
}

Json::iterator find_delegation(Json& roles, std::string_view name) {
  return std::find_if(roles.begin(), roles.end(), [&](const Json& role) { return role.at("name") == name; });
}

// A file from outside may hold anything: what is edited below has been parsed as its type first.
Status check_document(const Document& document, std::string_view type) {
  if (document.type() != type)
    return Error(Code::invalid_argument,
                 "the file is of type \"" + document.type() + "\", not \"" + std::string(type) + "\"");
  TRY_ASSIGN(const Envelope envelope, document.envelope());
  if (type == kRoot) {
    TRY_ASSIGN([[maybe_unused]] const Root root, parse_root(envelope));
  } else {
    TRY_ASSIGN([[maybe_unused]] const Targets targets, parse_targets(envelope));
  }
  return {};
}

Json assigned_json(const AssignedTarget& target) {
  return {{"length", target.length},
          {"hashes", target.hashes},
          {"custom",
           {{"kind", target.kind},
            {"variant", target.variant.text()},
            {"release_counter", target.release_counter},
            {"deployment", target.deployment},
            {"rollback", target.rollback}}}};
}

}  // namespace

Key make_key(const crypto::PublicKey& key) { return make_key(crypto::public_half(key)); }

Key make_key(const crypto::PublicHalf& key) {
  const std::string keytype = key.scheme == crypto::Scheme::ed25519 ? "ed25519" : "ecdsa";
  const std::string scheme(crypto::to_text(key.scheme)), text = crypto::public_text(key);
  const Json object = {{"keytype", keytype}, {"scheme", scheme}, {"keyval", {{"public", text}}}};
  return {.id = *key_id(object), .keytype = keytype, .scheme = scheme, .public_text = text, .object = object};
}

Result<Key> read_key(const nlohmann::json& object) {
  TRY_ASSIGN(const std::string id, key_id(object));
  return parse_key(id, object);
}

Document make_root(WallTime expires) {
  Json part = common_part(kRoot, 1, expires);
  part["consistent_snapshot"] = true;
  part["keys"] = Json::object();
  for (const std::string_view role : {kRoot, kTargets, kSnapshot, kTimestamp})
    part["roles"][std::string(role)] = {{"keyids", Json::array()}, {"threshold", 1}};
  return Document(std::move(part));
}

Status add_root_key(Document& root, std::string_view role, const Key& key) {
  TRY(check_document(root, kRoot));
  TRY_ASSIGN(Json * entry, root_role(root, role));
  if (!names_key(*entry, key.id)) entry->at("keyids").push_back(key.id);
  root.edit()["keys"][key.id] = key.object;
  return {};
}

Status remove_root_key(Document& root, std::string_view role, std::string_view keyid) {
  TRY(check_document(root, kRoot));
  TRY_ASSIGN(Json * entry, root_role(root, role));
  Json& keyids = entry->at("keyids");
  const auto found = std::find(keyids.begin(), keyids.end(), keyid);
  if (found == keyids.end()) return Error(Code::not_found, "the role " + std::string(role) + " has no such key");
  if (keyids.size() - 1 < entry->at("threshold").get<std::size_t>())
    return Error(Code::precondition_failed,
                 "fewer keys than the threshold would be left: lower the threshold, or add the new key first");
  keyids.erase(found);
  Json& part = root.edit();
  drop_unused_keys(part["keys"], part["roles"]);
  return {};
}

Status set_root_threshold(Document& root, std::string_view role, int threshold) {
  TRY(check_document(root, kRoot));
  TRY_ASSIGN(Json * entry, root_role(root, role));
  const std::size_t count = entry->at("keyids").size();
  if (threshold < 1 || static_cast<std::size_t>(threshold) > count)
    return Error(Code::invalid_argument,
                 "the threshold must lie between 1 and the number of keys (" + std::to_string(count) + ")");
  (*entry)["threshold"] = threshold;
  return {};
}

Document make_targets(WallTime expires) {
  Json part = common_part(kTargets, 1, expires);
  part["targets"] = Json::object();
  return Document(std::move(part));
}

Status add_target(Document& targets, std::string_view path, const Target& target) {
  TRY(check_document(targets, kTargets));
  if (path.empty() || target.hashes.empty()) return Error(Code::invalid_argument, "a target needs a path and a hash");
  Json entry = {{"length", target.length}, {"hashes", target.hashes}};
  if (!target.custom.is_null()) entry["custom"] = target.custom;
  targets.edit()["targets"][std::string(path)] = std::move(entry);
  return {};
}

Status remove_target(Document& targets, std::string_view path) {
  TRY(check_document(targets, kTargets));
  if (!targets.signed_part().contains("targets") || !targets.signed_part()["targets"].contains(path))
    return Error(Code::not_found, "\"" + std::string(path) + "\" is not listed");
  targets.edit()["targets"].erase(std::string(path));
  return {};
}

Status set_delegation(Document& targets, const DelegationSpec& spec) {
  TRY(check_document(targets, kTargets));
  if (spec.threshold < 1 || static_cast<std::size_t>(spec.threshold) > spec.keys.size())
    return Error(Code::invalid_argument,
                 "the threshold must lie between 1 and the number of keys (" + std::to_string(spec.keys.size()) + ")");
  Json& delegations = delegations_of(targets);
  Json role = {{"name", spec.name},
               {"keyids", Json::array()},
               {"threshold", spec.threshold},
               {"paths", spec.paths},
               {"terminating", spec.terminating}};
  for (const Key& key : spec.keys) {
    if (names_key(role, key.id)) return Error(Code::invalid_argument, "the key " + key.id + " is given twice");
    role["keyids"].push_back(key.id);
    delegations["keys"][key.id] = key.object;
  }
  Json& roles = delegations["roles"];
  if (const auto old = find_delegation(roles, spec.name); old != roles.end())
    *old = std::move(role);
  else
    roles.push_back(std::move(role));
  drop_unused_keys(delegations["keys"], roles);
  return {};
}

Status remove_delegation(Document& targets, std::string_view name) {
  TRY(check_document(targets, kTargets));
  Json& delegations = delegations_of(targets);
  Json& roles = delegations["roles"];
  const auto found = find_delegation(roles, name);
  if (found == roles.end()) return Error(Code::not_found, "\"" + std::string(name) + "\" is not delegated");
  roles.erase(found);
  drop_unused_keys(delegations["keys"], roles);
  return {};
}

DelegationSpec model_delegation(std::string model, std::vector<Key> keys, int threshold) {
  std::string paths = model + "/*";
  return {.name = std::move(model),
          .paths = {std::move(paths)},
          .keys = std::move(keys),
          .threshold = threshold,
          .terminating = true};
}

DelegationSpec director_delegation(Key key) {
  DelegationSpec spec{
      .name = std::string(kDirector), .paths = {"director/*"}, .keys = {}, .threshold = 1, .terminating = true};
  spec.keys.push_back(std::move(key));
  return spec;
}

Document make_snapshot(std::int64_t version, WallTime expires, const MetaFiles& files) {
  Json part = common_part(kSnapshot, version, expires);
  part["meta"] = Json::object();
  for (const auto& [name, file] : files) part["meta"][name] = meta_json(file);
  return Document(std::move(part));
}

Document make_timestamp(std::int64_t version, WallTime expires, WallTime issued, const MetaFile& snapshot) {
  Json part = common_part(kTimestamp, version, expires);
  part["x-issued"] = format_time(issued);
  part["meta"] = {{"snapshot.json", meta_json(snapshot)}};
  return Document(std::move(part));
}

Document make_assignment(const Assignment& assignment) {
  Json part = common_part(kAssignmentType, assignment.version, assignment.expires);
  part["issued"] = format_time(assignment.issued);
  part["device_id"] = assignment.device_id;
  part["nonce"] = assignment.nonce;
  part["targets"] = Json::object();
  for (const auto& [path, target] : assignment.targets) part["targets"][path] = assigned_json(target);
  return Document(std::move(part));
}

}  // namespace drover::tuf
