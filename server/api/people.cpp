#include <charconv>
#include <nlohmann/json.hpp>

#include "common/crypto/secret.h"
#include "proto/json/reader.h"
#include "server/api/change.h"
#include "server/api/resources.h"
#include "server/auth/token.h"

namespace drover::api {
namespace {

constexpr std::size_t kMaxBody = 4096;
constexpr std::int64_t kMaxLife = 10LL * 365 * 24 * 3600;
constexpr std::int64_t kDefaultLife = 90LL * 24 * 3600;

nlohmann::json encode(const store::TokenRow& token) {
  return {{"id", token.id},
          {"name", token.name},
          {"role", auth::to_text(token.role)},
          {"created_at", format_time(token.created_at)},
          {"expires", format_time(token.expires)}};
}

Result<store::TokenRow> decode(std::string_view body, WallTime now) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxBody));
  json::Reader in(document);
  store::TokenRow token;
  token.name = in.text("name", wire::kMaxName);
  if (token.name.empty()) in.fail("name", "must not be empty");
  const auto role = auth::role_from_text(in.text("role", wire::kMaxName));
  if (!role) in.fail("role", "is viewer, operator, release_manager or admin");
  token.created_at = now;
  token.expires = now + std::chrono::seconds(in.integer_or("expires_seconds", kDefaultLife, 1, kMaxLife));
  TRY(in.finish());
  token.role = *role;
  return token;
}

Result<Effect> create(store::Writer& writer, const store::TokenRow& token, const std::string& text) {
  TRY_ASSIGN(const auto control, writer.control());
  if (control->tokens.size() >= store::kMaxTokens) return Error(Code::too_large, "too many tokens; remove some");
  TRY(writer.tokens.insert(token));
  writer.control_changed();
  nlohmann::json body = encode(token);
  body["token"] = text;
  Effect effect = json_effect(201, body);
  effect.secret = true;
  effect.action = "token.create";
  effect.subject = token.id;
  effect.detail = token.name + " as " + std::string(auth::to_text(token.role));
  return effect;
}

Result<Effect> remove(store::Writer& writer, const std::string& id, WallTime now) {
  TRY_ASSIGN(const auto tokens, writer.tokens.all());
  int admins = 0;
  bool is_admin = false;
  for (const store::TokenRow& token : tokens) {
    if (token.role != auth::Role::admin || now >= token.expires) continue;  // one that has expired opens nothing
    ++admins;
    is_admin = is_admin || token.id == id;
  }
  if (is_admin && admins == 1) return Error(Code::conflict, "this is the last admin's token; make another one first");
  TRY_ASSIGN(const bool removed, writer.tokens.remove(id));
  if (!removed) return Error(Code::not_found, "there is no token " + id.substr(0, 64));
  writer.control_changed();
  Effect effect;
  effect.status = 204;
  effect.action = "token.remove";
  effect.subject = id;
  return effect;
}

}  // namespace

Answer get_whoami(Api& api, Call& call) {
  const auto control = api.store.control();
  nlohmann::json body = {{"name", call.who.name}, {"role", auth::to_text(call.who.role)}, {"expires", nullptr}};
  for (const auto& [hash, token] : control->tokens)
    if (token.id == call.who.id) body["expires"] = format_time(token.expires);
  co_return json_response(200, body);
}

Answer list_tokens(Api& api, Call&) {
  store::ReadFn<std::vector<store::TokenRow>> read = [](const store::Reader& reader) { return reader.tokens.all(); };
  Result<std::vector<store::TokenRow>> tokens = co_await api.store.read(std::move(read));
  if (!tokens) co_return std::move(tokens).error();
  nlohmann::json items = nlohmann::json::array();
  for (const store::TokenRow& token : *tokens) items.push_back(encode(token));
  co_return list_response(std::move(items), 0);
}

Answer post_token(Api& api, Call& call) {
  CO_TRY_ASSIGN(store::TokenRow token, decode(call.request.body, api.clock.wall()));
  const std::string text = crypto::random_token(auth::kTokenPrefix, api.rng);
  CO_TRY_ASSIGN(token.hash, auth::token_hash(text));
  token.id = random_id("t-", api.rng);
  ChangeFn fn = [token, text](store::Writer& writer) { return create(writer, token, text); };
  co_return co_await change(api, call, std::move(fn));
}

Answer delete_token(Api& api, Call& call) {
  ChangeFn fn = [id = call.param(0), now = api.clock.wall()](store::Writer& writer) { return remove(writer, id, now); };
  co_return co_await change(api, call, std::move(fn));
}

Answer list_audit(Api& api, Call& call) {
  CO_TRY_ASSIGN(Page page, page_of(call.request));
  if (const auto after = call.request.query_param("after"); after && page.after == 0) {
    const auto [end, error] = std::from_chars(after->data(), after->data() + after->size(), page.after);
    if (error != std::errc() || end != after->data() + after->size() || page.after < 0)
      co_return Error(Code::invalid_argument, "after must be a number of the log");
  }
  store::ReadFn<std::vector<wire::AuditEntry>> read = [page](const store::Reader& reader) {
    return reader.audit.list(page.after, page.limit);
  };
  Result<std::vector<wire::AuditEntry>> entries = co_await api.store.read(std::move(read));
  if (!entries) co_return std::move(entries).error();
  nlohmann::json items = nlohmann::json::array();
  for (const wire::AuditEntry& entry : *entries) items.push_back(wire::encode(entry));
  const bool more = entries->size() == page.limit;
  co_return list_response(std::move(items), more ? entries->back().seq : 0);
}

}  // namespace drover::api
