// Targets metadata: what is listed and who may list it.
#include <algorithm>
#include <charconv>
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

HashBins read_bins(json::Reader& in) {
  HashBins bins;
  bins.keys = read_role_keys(in);
  bins.bits = static_cast<int>(in.integer("bit_length", 1, kMaxBinBits));
  bins.prefix = in.text("name_prefix", kMaxTextLength - 1 - kMaxBinBits / 4);
  return bins;
}

// Hexadecimal digits of a bin's number.
std::size_t bin_digits(int bits) { return (static_cast<std::size_t>(bits) + 3) / 4; }

Status read_delegations(const json::Value& value, Targets& targets) {
  if (!value.is_object()) return Error(Code::malformed, "/signed/delegations: must be an object");
  TRY(read_keys(value, targets.delegation_keys));
  json::Reader in = open_reader(value, "/signed/delegations");
  if (in.has("roles") == in.has("succinct_roles"))
    return Error(Code::malformed, "/signed/delegations: has to have either \"roles\" or \"succinct_roles\"");
  in.array_or_none("roles", kMaxDelegatedRoles,
                   [&](json::Reader& role) { targets.delegations.push_back(read_delegation(role)); });
  in.object_or_none("succinct_roles", [&](json::Reader& bins) { targets.bins = read_bins(bins); });
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

std::string HashBins::bin_of(std::string_view target_path) const {
  const crypto::Digest digest = crypto::sha256(target_path);
  std::uint32_t first = 0;
  for (std::size_t i = 0; i < 4; ++i) first = first << 8 | digest.raw()[i];
  const std::uint32_t number = first >> (32 - bits);
  std::string name = prefix + "-";
  for (std::size_t digit = bin_digits(bits); digit-- > 0;) name += "0123456789abcdef"[number >> 4 * digit & 15];
  return name;
}

bool HashBins::has(std::string_view role) const {
  if (!role.starts_with(prefix) || role.size() != prefix.size() + 1 + bin_digits(bits)) return false;
  role.remove_prefix(prefix.size());
  if (role.front() != '-') return false;
  role.remove_prefix(1);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(role.data(), role.data() + role.size(), number, 16);
  const bool lower = role.find_first_not_of("0123456789abcdef") == role.npos;
  return lower && error == std::errc() && end == role.data() + role.size() && number >> bits == 0;
}

const RoleKeys* Targets::delegated_keys(std::string_view role) const {
  if (bins && bins->has(role)) return &bins->keys;
  const Delegation* found = delegation(role);
  return found == nullptr ? nullptr : &found->keys;
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
