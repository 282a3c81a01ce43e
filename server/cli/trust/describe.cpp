#include "server/cli/trust/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "server/cli/api.h"
#include "server/cli/human.h"
#include "server/cli/signers.h"
#include "server/cli/trust_store.h"

namespace drover::cli {
namespace {

using Roles = std::map<std::string, tuf::RoleKeys, std::less<>>;

// Whom a file names, by role.
Result<Roles> roles_in(const std::string& role, const tuf::Document& document) {
  if (role == tuf::kRoot) {
    TRY_ASSIGN(tuf::Root root, parse_root(document));
    return std::move(root.roles);
  }
  TRY_ASSIGN(const tuf::Targets targets, parse_targets(document));
  Roles out;
  for (const tuf::Delegation& one : targets.delegations) out.emplace(one.name, one.keys);
  return out;
}

void compare_keys(const std::string& role, const tuf::RoleKeys* old, const tuf::RoleKeys* now, Json& out) {
  const auto ids = [](const tuf::RoleKeys* keys) {
    return keys == nullptr ? std::set<std::string>() : std::set<std::string>(keys->keyids.begin(), keys->keyids.end());
  };
  const std::set<std::string> before = ids(old), after = ids(now);
  for (const std::string& id : after)
    if (!before.contains(id)) out["keys"].push_back({{"role", role}, {"keyid", id}, {"added", true}});
  for (const std::string& id : before)
    if (!after.contains(id)) out["keys"].push_back({{"role", role}, {"keyid", id}, {"added", false}});
  const int from = old == nullptr ? 0 : old->threshold, to = now == nullptr ? 0 : now->threshold;
  if (from != to) out["thresholds"].push_back({{"role", role}, {"from", from}, {"to", to}});
}

void compare_roles(const Roles& old, const Roles& now, Json& out) {
  for (const auto& [role, keys] : now) {
    const auto was = old.find(role);
    compare_keys(role, was == old.end() ? nullptr : &was->second, &keys, out);
  }
  for (const auto& [role, keys] : old)
    if (!now.contains(role)) compare_keys(role, &keys, nullptr, out);
}

Status compare_releases(const tuf::Document* old, const tuf::Document& now, Json& out) {
  std::set<std::string> before, after;
  TRY_ASSIGN(const tuf::Targets listed, parse_targets(now));
  for (const auto& [path, target] : listed.targets) after.insert(path);
  if (old != nullptr) {
    TRY_ASSIGN(const tuf::Targets was, parse_targets(*old));
    for (const auto& [path, target] : was.targets) {
      before.insert(path);
      const auto same = listed.targets.find(path);
      if (same != listed.targets.end() &&
          (same->second.hashes != target.hashes || same->second.custom != target.custom))
        return Error(Code::metadata_mismatch, path + " would be another release under the same name");
    }
  }
  for (const std::string& path : after)
    if (!before.contains(path)) out["listed"].push_back(path);
  for (const std::string& path : before)
    if (!after.contains(path)) out["withdrawn"].push_back(path);
  return {};
}

Result<Json> describe_file(const Change& change, const std::string& role, const std::vector<Needed>& needed) {
  const tuf::Document& document = change.file(role);
  const tuf::Document* before = change.before(role);
  TRY_ASSIGN(const WallTime expires, document.expires());
  Json out = {{"role", role},
              {"from", before == nullptr ? 0 : before->version()},
              {"to", document.version()},
              {"expires", format_time(expires)}};
  for (const char* list : {"keys", "thresholds", "listed", "withdrawn", "signatures"}) out[list] = Json::array();
  Roles old;
  if (before != nullptr) {
    TRY_ASSIGN(old, roles_in(role, *before));
  }
  TRY_ASSIGN(const Roles now, roles_in(role, document));
  compare_roles(old, now, out);
  if (role != tuf::kRoot) TRY(compare_releases(before, document, out));
  for (const Needed& one : needed)
    if (one.role == role)
      out["signatures"].push_back({{"by", one.by},
                                   {"threshold", one.state.threshold},
                                   {"signed_by", one.state.signed_by},
                                   {"missing", one.state.missing}});
  return out;
}

bool touches(const Json& files, std::string_view role) {
  for (const Json& file : files)
    for (const Json& key : items_of(file, "keys"))
      if (text_of(key, "role") == role) return true;
  return false;
}

Json what_devices_do(const Change& change, const Json& files) {
  Json out = Json::array();
  if (change.has(std::string(tuf::kRoot)))
    out.push_back(
        fmt::format("take root {} at their next check-in with news, those that were away for long too: one "
                    "request for each root on the way, nobody has to touch them",
                    change.file(std::string(tuf::kRoot)).version()));
  if (touches(files, tuf::kDirector))
    out.push_back(
        "get a new assignment, signed by the new director key, at their next check-in; what is under way goes "
        "on");
  for (const Json& file : files)
    if (!items_of(file, "withdrawn").empty()) out.push_back("install no withdrawn release any more");
  if (out.empty()) out.push_back("read it at their next check-in with news; nothing else changes for them");
  return out;
}

std::string joined(const Json& ids) {
  std::vector<std::string> texts;
  for (const Json& id : ids)
    if (id.is_string()) texts.push_back(id.get<std::string>());
  return texts.empty() ? "nobody" : describe_keyids(texts);
}

void render_signatures(const Json& file, std::string& out) {
  for (const Json& one : items_of(file, "signatures")) {
    const auto have = static_cast<std::int64_t>(items_of(one, "signed_by").size());
    const std::int64_t threshold = number_of(one, "threshold");
    out += fmt::format("    signatures by the keys of {}: {} of {}", text_of(one, "by"), have, threshold);
    if (have > 0) out += fmt::format(", by {}", joined(items_of(one, "signed_by")));
    if (have < threshold) out += fmt::format("; {} more of: {}", threshold - have, joined(items_of(one, "missing")));
    out += "\n";
  }
}

void render_file(const Json& file, WallTime now, const Style& style, std::string& out) {
  const std::string version = number_of(file, "from") == 0
                                  ? fmt::format("new, version {}", number_of(file, "to"))
                                  : fmt::format("version {} -> {}", number_of(file, "from"), number_of(file, "to"));
  out += fmt::format("  {}  {}, expires {}\n", style(Colour::bold, printable(text_of(file, "role"))), version,
                     relative_time(text_of(file, "expires"), now));
  for (const Json& key : items_of(file, "keys")) {
    const bool added = flag_of(key, "added");
    out += fmt::format("    {} key {}  {}\n", style(added ? Colour::green : Colour::red, added ? "+" : "-"),
                       short_keyid(text_of(key, "keyid")), printable(text_of(key, "role")));
  }
  for (const Json& one : items_of(file, "thresholds"))
    out += fmt::format("    threshold of {}: {} -> {}\n", printable(text_of(one, "role")), number_of(one, "from"),
                       number_of(one, "to"));
  for (const Json& path : items_of(file, "listed"))
    out += fmt::format("    + release {}\n", printable(path.get<std::string>()));
  for (const Json& path : items_of(file, "withdrawn"))
    out += fmt::format("    - release {}\n", printable(path.get<std::string>()));
  render_signatures(file, out);
}

}  // namespace

Result<Json> describe_change(const Change& change) {
  TRY_ASSIGN(const std::vector<Needed> needed, change.needed());
  Json files = Json::array();
  for (const std::string& role : change.roles()) {
    TRY_ASSIGN(Json file, describe_file(change, role, needed));
    files.push_back(std::move(file));
  }
  TRY_ASSIGN(const bool complete, change.complete());
  const Json devices = what_devices_do(change, files);
  return Json{{"files", files}, {"complete", complete}, {"devices", devices}};
}

std::string render_change(const Json& description, WallTime now, const Style& style) {
  std::string out;
  for (const Json& file : items_of(description, "files")) render_file(file, now, style, out);
  for (const Json& sentence : items_of(description, "devices"))
    out += fmt::format("  {}  {}\n", style(Colour::bold, "devices"), sentence.get<std::string>());
  return out;
}

Result<std::string> first_missing(const Change& change) {
  TRY_ASSIGN(const std::vector<Needed> needed, change.needed());
  for (const Needed& one : needed)
    if (!one.state.complete())
      return fmt::format("{}: {} (by the keys of {})", one.role, describe_signatures(one.state), one.by);
  return std::string();
}

}  // namespace drover::cli
