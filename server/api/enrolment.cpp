#include <nlohmann/json.hpp>

#include "common/crypto/hash.h"
#include "common/crypto/secret.h"
#include "proto/json/reader.h"
#include "server/api/change.h"
#include "server/api/resources.h"

namespace drover::api {
namespace {

constexpr std::size_t kMaxBody = 64 * 1024;
constexpr std::int64_t kMaxLife = 10LL * 365 * 24 * 3600;  // ten years: longer is a typing error
constexpr std::int64_t kMaxUses = 100'000'000;
constexpr std::size_t kMaxTag = 64;
constexpr std::string_view kPrefix = "dre_";

nlohmann::json encode(const store::EnrolmentTokenRow& token) {
  return {{"id", token.id},
          {"name", token.name},
          {"tags", token.tags},
          {"created_at", format_time(token.created_at)},
          {"expires", format_time(token.expires)},
          {"uses_left", token.uses_left}};
}

Result<store::EnrolmentTokenRow> decode(std::string_view body, WallTime now) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxBody));
  json::Reader in(document);
  store::EnrolmentTokenRow token;
  token.name = in.text("name", wire::kMaxName);
  token.tags = in.texts_or_none("tags", store::kMaxTags, kMaxTag);
  token.created_at = now;
  token.expires = now + std::chrono::seconds(in.integer_or("expires_seconds", 7 * 24 * 3600, 1, kMaxLife));
  token.uses_left = in.integer_or("uses", 1, 1, kMaxUses);
  TRY(in.finish());
  return token;
}

Result<Effect> store_token(store::Writer& writer, const store::EnrolmentTokenRow& token, const std::string& text) {
  TRY_ASSIGN(const auto all, writer.enrolment_tokens.all());
  if (all.size() >= store::kMaxEnrolmentTokens) return Error(Code::too_large, "too many enrolment tokens; remove some");
  TRY(writer.enrolment_tokens.insert(token));
  nlohmann::json body = encode(token);
  body["token"] = text;
  Effect effect = json_effect(201, body);
  effect.secret = true;
  effect.action = "enrolment_token.create";
  effect.subject = token.id;
  effect.detail = token.name;
  return effect;
}

}  // namespace

Answer list_enrolment_tokens(Api& api, Call&) {
  store::ReadFn<std::vector<store::EnrolmentTokenRow>> read = [](const store::Reader& reader) {
    return reader.enrolment_tokens.all();
  };
  Result<std::vector<store::EnrolmentTokenRow>> all = co_await api.store.read(std::move(read));
  if (!all) co_return std::move(all).error();
  nlohmann::json items = nlohmann::json::array();
  for (const auto& token : *all) items.push_back(encode(token));
  co_return list_response(std::move(items), 0);
}

Answer post_enrolment_token(Api& api, Call& call) {
  CO_TRY_ASSIGN(store::EnrolmentTokenRow token, decode(call.request.body, api.clock.wall()));
  const std::string text = crypto::random_token(kPrefix, api.rng);
  token.id = random_id("et-", api.rng);
  token.hash = crypto::sha256(text).hex();
  ChangeFn fn = [token, text](store::Writer& writer) { return store_token(writer, token, text); };
  co_return co_await change(api, call, std::move(fn));
}

Answer delete_enrolment_token(Api& api, Call& call) {
  ChangeFn fn = [id = call.param(0)](store::Writer& writer) -> Result<Effect> {
    TRY_ASSIGN(const bool removed, writer.enrolment_tokens.remove(id));
    if (!removed) return Error(Code::not_found, "there is no enrolment token " + id.substr(0, 64));
    Effect effect;
    effect.status = 204;
    effect.action = "enrolment_token.remove";
    effect.subject = id;
    return effect;
  };
  co_return co_await change(api, call, std::move(fn));
}

}  // namespace drover::api
