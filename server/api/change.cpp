#include "server/api/change.h"

#include <nlohmann/json.hpp>

#include "common/crypto/hash.h"
#include "common/obs/log.h"

namespace drover::api {
namespace {

constexpr std::size_t kMaxKey = 255;

struct Repetition {
  std::string actor;
  std::string key;  // empty: none was given
  std::string request;
};

Result<Repetition> repetition_of(const Call& call) {
  Repetition out;
  out.actor = call.who.id;
  out.key = call.request.header("Idempotency-Key");
  if (out.key.size() > kMaxKey) return Error(Code::invalid_argument, "Idempotency-Key is longer than 255 bytes");
  if (out.key.empty()) return out;
  crypto::Sha256 hash;
  hash.update(as_bytes(call.route));
  hash.update(as_bytes(call.request.path));
  hash.update(as_bytes(std::string_view("\n")));
  hash.update(as_bytes(call.request.body));
  out.request = hash.finish().hex();
  return out;
}

Result<Effect> replay(const store::KeptAnswer& kept, const Repetition& repetition) {
  if (kept.request != repetition.request)
    return Error(Code::conflict, "this Idempotency-Key was used for another request");
  if (kept.status == 0)
    return Error(Code::conflict, "this request was carried out before; its answer held a secret and was not kept");
  Effect effect;
  effect.status = kept.status;
  effect.etag = kept.headers;
  effect.body = kept.body;
  return effect;
}

Result<Effect> carry_out(store::Writer& writer, const ChangeFn& fn, const Repetition& repetition,
                         const auth::Principal& who, WallTime now) {
  if (!repetition.key.empty()) {
    TRY_ASSIGN(const auto kept, writer.answers.find(repetition.actor, repetition.key));
    if (kept) return replay(*kept, repetition);
  }
  TRY_ASSIGN(Effect effect, fn(writer));
  if (!effect.action.empty()) TRY(record(writer, who, effect, now));
  if (repetition.key.empty()) return effect;
  TRY(writer.answers.forget_before(now - store::kAnswersKept));
  store::KeptAnswer answer{repetition.request, effect.status, effect.etag, effect.body};
  if (effect.secret) answer = {repetition.request, 0, "", ""};
  TRY(writer.answers.insert(repetition.actor, repetition.key, answer, now));
  return effect;
}

std::string role_of(const auth::Principal& who, std::string_view nobody) {
  if (who.kind == auth::Principal::Kind::person) return std::string(auth::to_text(who.role));
  return std::string(who.kind == auth::Principal::Kind::device ? "device" : nobody);
}

}  // namespace

Effect json_effect(int status, const nlohmann::json& body) {
  Effect effect;
  effect.status = status;
  effect.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return effect;
}

Answer change(Api& api, const Call& call, ChangeFn fn) {
  CO_TRY_ASSIGN(Repetition repetition, repetition_of(call));
  store::WriteFn<Effect> write = [fn = std::move(fn), repetition = std::move(repetition), who = call.who,
                                  now = api.clock.wall()](store::Writer& writer) {
    return carry_out(writer, fn, repetition, who, now);
  };
  Result<Effect> effect = co_await api.store.write(std::move(write));
  if (!effect) co_return std::move(effect).error();
  net::Response response(effect->status);
  if (!effect->body.empty()) {
    response.content_type = kJson;
    response.body = std::move(effect->body);
  }
  if (!effect->etag.empty()) response.headers.add("ETag", effect->etag);
  co_return response;
}

Status record(store::Writer& writer, const auth::Principal& who, const Effect& effect, WallTime now) {
  TRY_ASSIGN(const audit::Head head, writer.audit.head());
  audit::Event event;
  event.at = now;
  event.actor = who.name;
  event.role = role_of(who, "server");
  event.action = effect.action;
  event.subject = effect.subject;
  event.detail = effect.detail;
  return writer.audit.insert(audit::append(head, std::move(event)));
}

boost::asio::awaitable<void> record_refusal(Api& api, const Call& call, Error why) {
  const std::string from = address_key(call.peer.address);
  if (!api.refusals.admits(call.who, from, why.code(), api.clock.mono())) co_return;
  const bool nobody = call.who.kind == auth::Principal::Kind::nobody;
  audit::Event event;
  event.at = api.clock.wall();
  event.actor = nobody ? std::string(call.peer.address) : call.who.name;
  event.role = role_of(call.who, "nobody");
  event.action = call.route;
  event.subject = call.request.path;
  event.detail = why.message();
  if (!nobody) event.detail.append(" (from ").append(call.peer.address).append(")");
  event.outcome = code_name(why.code());
  store::WriteFn<void> write = [event = std::move(event)](store::Writer& writer) -> Status {
    TRY_ASSIGN(const audit::Head head, writer.audit.head());
    return writer.audit.insert(audit::append(head, event));
  };
  const Status status = co_await api.store.write(std::move(write));
  if (!status) log::failure("a refusal was not written to the audit log", status.error());
}

}  // namespace drover::api
