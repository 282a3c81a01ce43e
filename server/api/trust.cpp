// Who may sign what, and the server's own keys.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/obs/log.h"
#include "common/tuf/author.h"
#include "proto/json/reader.h"
#include "server/api/change.h"
#include "server/api/journey/publication.h"
#include "server/api/resources.h"

namespace drover::api {
namespace {

constexpr std::size_t kMaxBody = 4096;

nlohmann::json encode_role(const store::MetadataRow& file, int threshold, const std::vector<std::string>& keyids) {
  nlohmann::json expires;
  if (const auto document = tuf::Document::parse(as_bytes(file.bytes)); document)
    if (const auto when = document->expires(); when) expires = format_time(*when);
  return {{"role", file.role},
          {"version", file.version},
          {"expires", expires},
          {"threshold", threshold},
          {"keyids", keyids}};
}

struct TrustView {
  std::int64_t root_version = 0;
  bool initialised = false;
  nlohmann::json roles = nlohmann::json::array();
};

Result<TrustView> load_trust(const store::Reader& reader) {
  TRY_ASSIGN(const auto files, reader.metadata.current());
  std::optional<tuf::Root> root;
  std::optional<tuf::Targets> targets;
  for (const store::MetadataRow& file : files) {
    if (file.role == tuf::kRoot) {
      TRY_ASSIGN(root, root_of(file.bytes));
    } else if (file.role == tuf::kTargets) {
      TRY_ASSIGN(targets, targets_of(file.bytes));
    }
  }
  TrustView out;
  out.initialised = root && targets;
  if (!root) return out;
  out.root_version = root->version;
  for (const store::MetadataRow& file : files) {
    const auto top = root->roles.find(file.role);
    const tuf::Delegation* delegation = targets ? targets->delegation(file.role) : nullptr;
    const tuf::RoleKeys* keys = top != root->roles.end() ? &top->second : delegation ? &delegation->keys : nullptr;
    if (keys != nullptr) out.roles.push_back(encode_role(file, keys->threshold, keys->keyids));
  }
  return out;
}

nlohmann::json encode_warnings(const Api& api) {
  nlohmann::json out = nlohmann::json::array();
  for (const release::ExpiryWarning& one : api.trust.warnings(api.settings.leads()))
    out.push_back({{"role", one.role},
                   {"severity", release::to_text(one.severity)},
                   {"expires", format_time(one.expires)},
                   {"message", one.message},
                   {"command", one.command}});
  return out;
}

struct OnlineView {
  nlohmann::json keys = nlohmann::json::object(), next = nlohmann::json::object(), made = nlohmann::json::object();
};

Result<OnlineView> encode_online(const OnlineKeys& keys) {
  OnlineView out;
  for (const std::string_view name : kOnlineRoles) {
    TRY_ASSIGN(const OnlineKeys::Role role, keys.role(name));
    const std::string text(name);
    out.keys[text] = role.current.key.object;
    out.made[text] = format_time(role.current.made);
    if (role.next) out.next[text] = role.next->key.object;
  }
  return out;
}

Result<std::vector<std::string>> decode_roles(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxBody));
  json::Reader in(document);
  std::vector<std::string> roles = in.texts_or_none("roles", kOnlineRoles.size(), wire::kMaxName);
  for (const std::string& role : roles)
    if (std::find(kOnlineRoles.begin(), kOnlineRoles.end(), role) == kOnlineRoles.end())
      in.fail("roles", "are snapshot, timestamp and director");
  TRY(in.finish());
  if (roles.empty()) roles.assign(kOnlineRoles.begin(), kOnlineRoles.end());
  return roles;
}

Result<nlohmann::json> make_keys(const Api& api, const std::vector<std::string>& roles) {
  nlohmann::json keys = nlohmann::json::object();
  for (const std::string& role : roles) {
    TRY_ASSIGN(const tuf::Key key, api.keys.online->make_next(role, api.rng));
    keys[role] = key.object;
  }
  return keys;
}

}  // namespace

Answer get_trust(Api& api, Call&) {
  store::ReadFn<TrustView> read = [](const store::Reader& reader) { return load_trust(reader); };
  Result<TrustView> trust = co_await api.store.read(std::move(read));
  if (!trust) co_return std::move(trust).error();
  CO_TRY_ASSIGN(const OnlineView online, encode_online(*api.keys.online));
  const std::optional<std::string> wrapping = co_await wrapping_public_key(api);
  nlohmann::json body = {{"initialised", trust->initialised},
                         {"keys", online.keys},
                         {"next_keys", online.next},
                         {"keys_made", online.made},
                         {"root_version", trust->root_version},
                         {"roles", trust->roles},
                         {"warnings", encode_warnings(api)}};
  body["wrapping_key"] = wrapping ? nlohmann::json(*wrapping) : nlohmann::json();
  co_return json_response(200, body);
}

// The keys are made first: one that nobody signs in does no harm, and the next call gives it again.
Answer post_trust_keys(Api& api, Call& call) {
  CO_TRY_ASSIGN(const std::vector<std::string> roles, decode_roles(call.request.body));
  async::BlockingFn<nlohmann::json> make = [&api, roles] { return make_keys(api, roles); };
  Result<nlohmann::json> keys = co_await api.disk.run(std::move(make));
  if (!keys) co_return std::move(keys).error();
  ChangeFn fn = [keys = std::move(*keys), roles](store::Writer&) -> Result<Effect> {
    const nlohmann::json body = {{"keys", keys}};
    Effect effect = json_effect(201, body);
    effect.action = "trust.keys.make";
    for (const std::string& role : roles) effect.subject += (effect.subject.empty() ? "" : ",") + role;
    return effect;
  };
  Result<net::Response> answer = co_await change(api, call, std::move(fn));
  co_return answer;
}

boost::asio::awaitable<void> reload_trust(Api& api) {
  store::ReadFn<void> read = [&api](const store::Reader& reader) { return api.trust.reload(reader); };
  const Status status = co_await api.store.read(std::move(read));
  if (!status) log::failure("the published metadata was not read anew", status.error());
}

void log_expiry(const Api& api) {
  for (const release::ExpiryWarning& one : api.trust.warnings(api.settings.leads()))
    log::warn(one.message, {{"role", one.role},
                            {"severity", release::to_text(one.severity)},
                            {"expires", format_time(one.expires)},
                            {"run", one.command}});
}

}  // namespace drover::api
