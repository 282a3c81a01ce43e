// Targets metadata: what is listed and who may list it.
#include <algorithm>
#include <set>

#include "common/tuf/metadata.h"
#include "common/tuf/parse_impl.h"

namespace drover::tuf {
namespace {

constexpr std::size_t kMaxTargets = 100'000;  // beyond what fits into kMaxTargetsBytes: the bytes are the bound

Result<Target> read_target(const std::string& path, const json::Value& value) {
  json::Reader in = open_reader(value, "/signed/targets/" + path);
  Target target;
  target.length = static_cast<std::uint64_t>(in.integer("length", 0, INT64_MAX));
  target.hashes = read_hashes(in);
  if (target.hashes.empty()) in.fail("hashes", "is missing");
  target.custom = in.raw("custom");
  TRY(in.finish());
  return target;
}

Delegation read_delegation(json::Reader& in) {
  Delegation delegation;
  delegation.name = in.text("name", kMaxTextLength);
  delegation.keys = read_role_keys(in);
  const bool by_path = in.has("paths"), by_hash = in.has("path_hash_prefixes");
  delegation.paths = in.texts_or_none("paths", kMaxPaths, kMaxTextLength);
  delegation.path_hash_prefixes = in.texts_or_none("path_hash_prefixes", kMaxPaths, 2 * crypto::kSha256Size);
  if (by_path == by_hash) in.fail("paths", "must be there, or \"path_hash_prefixes\", and not both");
  if (!in.has("terminating")) in.fail("terminating", "is missing");
  delegation.terminating = in.boolean_or("terminating", false);
  if (delegation.name.empty() || is_top_level(delegation.name)) in.fail("name", "must not be that of a top-level role");
  return delegation;
}

Status read_delegations(const json::Value& value, Targets& targets) {
  if (!value.is_object()) return Error(Code::malformed, "/signed/delegations: must be an object");
  if (value.contains("succinct_roles"))
    return Error(Code::unsupported, "/signed/delegations/succinct_roles: hash bins are not understood here");
  TRY(read_keys(value, targets.delegation_keys));
  json::Reader in = open_reader(value, "/signed/delegations");
  in.array("roles", kMaxDelegatedRoles,
           [&](json::Reader& role) { targets.delegations.push_back(read_delegation(role)); });
  TRY(in.finish());
  std::set<std::string_view> names;
  for (const Delegation& delegation : targets.delegations)
    if (!names.insert(delegation.name).second)
      return Error(Code::malformed, "/signed/delegations/roles: \"" + delegation.name + "\" stands twice");
  return {};
}

}  // namespace

Result<crypto::Digest> Target::digest() const {
  const auto found = hashes.find("sha256");
  if (found == hashes.end()) return Error(Code::malformed, "the target lists no sha256");
  return crypto::Digest::parse_hex(found->second);
}

bool Delegation::covers(std::string_view target_path) const {
  if (std::any_of(paths.begin(), paths.end(),
                  [&](const std::string& pattern) { return matches_pattern(pattern, target_path); }))
    return true;
  if (path_hash_prefixes.empty()) return false;
  const std::string hash = crypto::sha256(target_path).hex();
  return std::any_of(path_hash_prefixes.begin(), path_hash_prefixes.end(),
                     [&](const std::string& prefix) { return hash.starts_with(prefix); });
}

const Delegation* Targets::delegation(std::string_view name) const {
  const auto found = std::find_if(delegations.begin(), delegations.end(),
                                  [&](const Delegation& delegation) { return delegation.name == name; });
  return found == delegations.end() ? nullptr : &*found;
}

Result<Targets> parse_targets(const Envelope& envelope) {
  Targets targets;
  TRY(read_common(envelope, kTargets, targets));
  const auto read_one = [&](const std::string& path, const json::Value& value) -> Status {
    TRY_ASSIGN(Target target, read_target(path, value));
    targets.targets.emplace(path, std::move(target));
    return {};
  };
  TRY(each_member(envelope.signed_part, "targets", kMaxTargets, read_one));
  const auto delegations = envelope.signed_part.find("delegations");
  if (delegations != envelope.signed_part.end()) TRY(read_delegations(*delegations, targets));
  return targets;
}

}  // namespace drover::tuf
