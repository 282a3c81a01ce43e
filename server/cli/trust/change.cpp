#include "server/cli/trust/change.h"

#include <algorithm>

#include "common/crypto/pem_verify.h"
#include "common/tuf/trusted_set.h"
#include "proto/json/reader.h"

namespace drover::cli {
namespace {

constexpr std::string_view kMark = "trust-change";
constexpr int kFormat = 1;

int rank(std::string_view role) { return role == tuf::kRoot ? 0 : role == tuf::kTargets ? 1 : 2; }

bool same_keys(const tuf::RoleKeys& a, const tuf::RoleKeys& b) {
  return a.threshold == b.threshold &&
         std::is_permutation(a.keyids.begin(), a.keyids.end(), b.keyids.begin(), b.keyids.end());
}

Result<bool> verifies(const tuf::Document& document, const tuf::Keys& keys, const tuf::RoleKeys& role) {
  TRY_ASSIGN(const tuf::Envelope envelope, document.envelope());
  return tuf::verify_threshold(keys, role, envelope, crypto::verify_pem).has_value();
}

Result<Needed> make_needed(const std::string& role, std::string by, const tuf::Document& document, tuf::Keys keys,
                           tuf::RoleKeys signers) {
  Needed out{role, std::move(by), std::move(keys), std::move(signers), {}};
  TRY_ASSIGN(out.state, tuf::signature_state(document, out.keys, out.signers, crypto::verify_pem));
  return out;
}

Json file_json(const tuf::Document& document) {
  return {{"signed", document.signed_part()}, {"signatures", document.signatures()}};
}

Result<tuf::Document> read_file_json(const Json& json, const std::string& what) {
  const std::string text = json.dump();
  return tuf::Document::parse(as_bytes(text)).within(what);
}

Result<Present> decode_present(const Json& json) {
  Present out;
  if (!json.is_object()) return Error(Code::malformed, "there is no \"present\"");
  for (const Json& root : json.value("roots", Json::array())) {
    TRY_ASSIGN(tuf::Document document, read_file_json(root, "root"));
    out.roots.push_back(std::move(document));
  }
  if (const auto targets = json.find("targets"); targets != json.end() && !targets->is_null()) {
    TRY_ASSIGN(out.targets, read_file_json(*targets, "targets"));
  }
  const Json models = json.value("models", Json::object());  // outlives the loop over its items
  for (const auto& [name, model] : models.items()) {
    std::optional<tuf::Document> document;
    if (!model.is_null()) {
      TRY_ASSIGN(document, read_file_json(model, name));
    }
    out.models.emplace(name, std::move(document));
  }
  return out;
}

Status verify_models(const Present& present, const tuf::Targets& targets) {
  for (const auto& [name, model] : present.models)
    if (model) TRY(verify_model(targets, name, *model));
  return {};
}

// The place of the first root that must be vouched for, given one that is pinned.
Result<tuf::TrustedSet> begin_chain(const Present& present, const tuf::Document* pinned, std::size_t& next) {
  const std::string first = pinned != nullptr ? pinned->encode() : present.roots.front().encode();
  TRY_ASSIGN(tuf::TrustedSet set, tuf::TrustedSet::create(as_bytes(first), WallTime{}, crypto::verify_pem));
  for (next = 0; next < present.roots.size() && present.roots[next].version() <= set.root().version; ++next) {
    const tuf::Document& given = present.roots[next];
    if (given.version() == set.root().version && pinned != nullptr && given.signed_part() != pinned->signed_part())
      return Error(Code::metadata_mismatch, "root " + std::to_string(given.version()) +
                                                " is another one than this machine has pinned: somebody made it up");
  }
  if (present.roots.back().version() < set.root().version)
    return Error(Code::metadata_rollback, "this was made from root " + std::to_string(present.roots.back().version()) +
                                              ", and this machine knows root " + std::to_string(set.root().version));
  return set;
}

}  // namespace

Result<tuf::Root> parse_root(const tuf::Document& document) {
  TRY_ASSIGN(const tuf::Envelope envelope, document.envelope());
  return tuf::parse_root(envelope);
}

Result<tuf::Targets> parse_targets(const tuf::Document& document) {
  TRY_ASSIGN(const tuf::Envelope envelope, document.envelope());
  return tuf::parse_targets(envelope);
}

Status verify_model(const tuf::Targets& targets, const std::string& name, const tuf::Document& model) {
  const tuf::Delegation* delegation = targets.delegation(name);
  if (delegation == nullptr) return Error(Code::unknown_key, "targets delegates no " + name);
  TRY_ASSIGN(const bool good, verifies(model, targets.delegation_keys, delegation->keys));
  if (good) return {};
  return Error(Code::threshold_not_met, name + " is not signed by those whom targets names");
}

Status verify_present(const Present& present, const tuf::Document* pinned) {
  if (present.roots.empty()) {
    if (pinned == nullptr) return {};
    return Error(Code::metadata_rollback,
                 "this is the first trust of a server, and this machine trusts another already");
  }
  std::size_t next = 0;
  TRY_ASSIGN(tuf::TrustedSet set, begin_chain(present, pinned, next));
  for (; next < present.roots.size(); ++next) {
    const std::string bytes = present.roots[next].encode();
    TRY(set.update_root(as_bytes(bytes)));
  }
  if (!present.targets) return {};
  const tuf::Root& root = set.root();
  TRY_ASSIGN(const bool good, verifies(*present.targets, root.keys, root.roles.find(tuf::kTargets)->second));
  if (!good) return Error(Code::threshold_not_met, "targets is not signed by those whom root names");
  TRY_ASSIGN(const tuf::Targets targets, parse_targets(*present.targets));
  return verify_models(present, targets);
}

Result<const std::optional<tuf::Document>*> Present::model(const std::string& name) {
  auto found = models.find(name);
  if (found == models.end()) {
    std::optional<tuf::Document> loaded;
    if (load) {
      TRY_ASSIGN(loaded, load(name));
    }
    found = models.emplace(name, std::move(loaded)).first;
  }
  return &found->second;
}

const tuf::Document* Change::before(const std::string& role) const {
  if (role == tuf::kRoot) return present_.root();
  if (role == tuf::kTargets) return present_.targets ? &*present_.targets : nullptr;
  const auto found = present_.models.find(role);
  return found == present_.models.end() || !found->second ? nullptr : &*found->second;
}

Result<tuf::Document*> Change::edit(const std::string& role, WallTime expires) {
  if (const auto found = files_.find(role); found != files_.end()) return &found->second;
  if (rank(role) == 2) TRY(present_.model(role));
  const tuf::Document* present = before(role);
  if (present == nullptr) return Error(Code::not_found, role + " has no metadata yet");
  tuf::Document next = *present;
  next.bump(expires);
  return &files_.insert_or_assign(role, std::move(next)).first->second;
}

Result<tuf::Root> Change::root() const {
  const auto found = files_.find(std::string(tuf::kRoot));
  if (found != files_.end()) return parse_root(found->second);
  if (present_.root() == nullptr) return Error(Code::not_found, "there is no root yet");
  return parse_root(*present_.root());
}

Result<tuf::Targets> Change::targets() const {
  const auto found = files_.find(std::string(tuf::kTargets));
  if (found != files_.end()) return parse_targets(found->second);
  if (!present_.targets) return Error(Code::not_found, "there is no targets role yet");
  return parse_targets(*present_.targets);
}

Status Change::sign_anew(const std::string& role, WallTime now, WallTime expires) {
  const tuf::Document* present = before(role);
  TRY_ASSIGN(const WallTime until, present->expires());
  TRY(edit(role, now < until ? until : expires));
  return {};
}

Status Change::follow_targets(WallTime now, WallTime expires) {
  if (!has(std::string(tuf::kRoot)) || has(std::string(tuf::kTargets)) || !present_.targets) return {};
  TRY_ASSIGN(const tuf::Root after, root());
  TRY_ASSIGN(const bool good, verifies(*present_.targets, after.keys, after.roles.find(tuf::kTargets)->second));
  return good ? Status() : sign_anew(std::string(tuf::kTargets), now, expires);
}

Status Change::follow_models(WallTime now, WallTime expires) {
  if (!has(std::string(tuf::kTargets)) || !present_.targets) return {};
  TRY_ASSIGN(const tuf::Targets old, parse_targets(*present_.targets));
  TRY_ASSIGN(const tuf::Targets after, targets());
  for (const tuf::Delegation& one : after.delegations) {
    const tuf::Delegation* was = old.delegation(one.name);
    if (one.name == tuf::kDirector || was == nullptr || same_keys(was->keys, one.keys) || has(one.name)) continue;
    TRY_ASSIGN(const std::optional<tuf::Document>* model, present_.model(one.name));
    if (!*model) continue;
    TRY_ASSIGN(const bool good, verifies(**model, after.delegation_keys, one.keys));
    if (!good) TRY(sign_anew(one.name, now, expires));
  }
  return {};
}

Status Change::follow(WallTime now, WallTime expires) {
  TRY(follow_targets(now, expires));
  return follow_models(now, expires);
}

Result<Needed> Change::needed_of_child(const std::string& role) const {
  const tuf::Document& document = file(role);
  if (role == tuf::kTargets) {
    TRY_ASSIGN(const tuf::Root by, root());
    return make_needed(role, "root " + std::to_string(by.version), document, by.keys,
                       by.roles.find(tuf::kTargets)->second);
  }
  TRY_ASSIGN(const tuf::Targets by, targets());
  const tuf::Delegation* delegation = by.delegation(role);
  if (delegation == nullptr) return Error(Code::unknown_key, "nobody may sign " + role);
  return make_needed(role, "targets " + std::to_string(by.version), document, by.delegation_keys, delegation->keys);
}

Result<std::vector<Needed>> Change::needed() const {
  std::vector<Needed> out;
  for (const std::string& role : roles()) {
    if (role != tuf::kRoot) {
      TRY_ASSIGN(Needed one, needed_of_child(role));
      out.push_back(std::move(one));
      continue;
    }
    std::vector<tuf::Root> by;
    if (const tuf::Document* old = present_.root()) {
      TRY_ASSIGN(tuf::Root root, parse_root(*old));
      by.push_back(std::move(root));
    }
    TRY_ASSIGN(tuf::Root after, root());
    by.push_back(std::move(after));
    for (const tuf::Root& one : by) {
      TRY_ASSIGN(Needed need, make_needed(role, "root " + std::to_string(one.version), file(role), one.keys,
                                          one.roles.find(tuf::kRoot)->second));
      out.push_back(std::move(need));
    }
  }
  return out;
}

Result<bool> Change::complete() const {
  TRY_ASSIGN(const std::vector<Needed> all, needed());
  return std::all_of(all.begin(), all.end(), [](const Needed& one) { return one.state.complete(); });
}

std::vector<std::string> Change::roles() const {
  std::vector<std::string> out;
  for (const auto& [role, document] : files_) out.push_back(role);
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return out;
}

Status Change::merge(const Change& other) {
  if (roles() != other.roles()) return Error(Code::metadata_mismatch, "the other file is another change");
  for (auto& [role, document] : files_) TRY(document.merge(other.file(role)).within(role));
  return {};
}

std::string Change::encode() const {
  Json json = {{"drover", kMark}, {"version", kFormat}, {"files", Json::object()}};
  Json& present = json["present"] = {{"roots", Json::array()}, {"targets", nullptr}, {"models", Json::object()}};
  for (const auto& [role, document] : files_) json["files"][role] = file_json(document);
  for (const tuf::Document& root : present_.roots) present["roots"].push_back(file_json(root));
  if (present_.targets) present["targets"] = file_json(*present_.targets);
  for (const auto& [name, model] : present_.models) present["models"][name] = model ? file_json(*model) : Json(nullptr);
  return json.dump(1) + "\n";
}

Result<Change> Change::decode(std::string_view text) {
  const auto json = json::parse(text, kMaxChangeFile);
  const bool marked = json && json->is_object() && json->value("drover", Json()) == kMark && json->contains("files") &&
                      json->at("files").is_object() && json->contains("present");
  if (!marked) return Error(Code::invalid_argument, "is no change of trust as --out writes it");
  if (json->value("version", Json()) != kFormat)
    return Error(Code::unsupported, "was written by another version of this tool");
  TRY_ASSIGN(Present present, decode_present(json->at("present")));
  Change out(std::move(present));
  for (const auto& [role, file] : json->at("files").items()) {
    if (rank(role) == 2 && !tuf::is_model_name(role))
      return Error(Code::malformed, "\"" + role + "\" is no role that people sign");
    TRY_ASSIGN(tuf::Document document, read_file_json(file, role));
    const tuf::Document* before = out.before(role);
    const std::int64_t expected = before == nullptr ? 1 : before->version() + 1;
    if (document.version() != expected)
      return Error(Code::metadata_mismatch, role + " has version " + std::to_string(document.version()) + " where " +
                                                std::to_string(expected) + " comes next");
    out.create(role, std::move(document));
  }
  if (out.files_.empty()) return Error(Code::malformed, "there is nothing in it");
  return out;
}

Json Change::publication() const {
  Json files = Json::object();
  for (const auto& [role, document] : files_) files[role] = document.encode();
  return {{"files", files}};
}

}  // namespace drover::cli
