#include "agent/app/server_link.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "common/crypto/hash.h"
#include "proto/json/reader.h"
#include "proto/wire/content_key.h"
#include "proto/wire/problem.h"

namespace drover::agent {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kMaxChallenge = 16 * 1024;

Result<std::string> read_challenge(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxChallenge));
  json::Reader in(document);
  in.allow_unknown();
  std::string challenge = in.text("challenge", kMaxChallenge);
  TRY(in.finish());
  return challenge;
}

std::chrono::seconds seconds_of(std::string_view text) {
  std::int64_t seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return std::clamp(std::chrono::seconds(seconds), std::chrono::seconds(0), kMaxRetryAfter);
}

}  // namespace

wire::SessionRequest ServerLink::identity() const {
  wire::SessionRequest request;
  request.name = settings_.name;
  request.kind = settings_.kind;
  request.attributes = settings_.attributes;
  return request;
}

std::string ServerLink::identity_digest() const {
  const std::string text = wire::canonical_identity(settings_.name, settings_.kind, settings_.attributes);
  return crypto::sha256(text).hex().substr(0, 16);
}

void ServerLink::drop_session() {
  Session session = store_.session();
  session.token.clear();
  // Not stored for sure is no harm: the server would refuse the token once more.
  (void)store_.save(session);
}

asio::awaitable<Result<std::string>> ServerLink::post(std::string target, std::string body, bool authorised) {
  net::ClientRequest request;
  request.method = net::Method::post;
  request.target = std::move(target);
  request.headers.add("Content-Type", "application/json");
  if (authorised) request.headers.add("Authorization", "Bearer " + store_.session().token);
  request.body = std::move(body);
  request.max_body = wire::kMaxCheckinAnswer;
  request.repeatable = true;  // challenges are stateless, sessions and check-ins idempotent
  auto answer = co_await client_.send(std::move(request));
  retry_after_ = std::chrono::seconds(0);
  if (!answer) co_return std::move(answer).error();
  if (answer->ok()) co_return std::move(answer->body);
  retry_after_ = seconds_of(answer->header("Retry-After"));
  co_return wire::decode_problem(answer->status, answer->body);
}

asio::awaitable<Status> ServerLink::ensure_session() {
  const Session& session = store_.session();
  if (!session.token.empty() && session.expires > clock_.wall() + kSessionMargin) co_return Status();
  CO_TRY_ASSIGN(const crypto::PublicKey public_key, crypto::ed25519_key(key_.public_half()));
  auto body = co_await post("/api/v1/device/challenge", "{}", false);
  if (!body) co_return std::move(body).error().within("asking for a challenge");
  wire::SessionRequest request = identity();
  CO_TRY_ASSIGN(request.challenge, read_challenge(*body));
  request.public_key = to_hex(public_key);
  CO_TRY_ASSIGN(const Bytes signature, key_.sign(std::string(wire::kSessionContext) + request.challenge));
  request.signature = to_hex(signature);
  request.enrolment_token = settings_.enrolment_token;
  std::string text = wire::encode(request).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  body = co_await post("/api/v1/device/session", std::move(text), false);
  if (!body) co_return std::move(body).error().within("opening a session");
  CO_TRY_ASSIGN(const wire::SessionAnswer answer, wire::decode_session_answer(*body));
  if (answer.device_id != crypto::device_id(public_key))
    co_return Error(Code::wrong_device, "the server takes this device for " + answer.device_id);
  Session fresh;
  fresh.token = answer.token;
  fresh.expires = answer.token_expires;
  fresh.poll_seconds = answer.poll_seconds;
  co_return store_.save(fresh);
}

asio::awaitable<Result<Bytes>> ServerLink::content_key(std::string package, std::string box_key) {
  wire::ContentKeyRequest request;
  CO_TRY_ASSIGN(const Bytes signature, key_.sign(wire::content_key_message(package, box_key)));
  request.signature = to_hex(signature);
  request.package = std::move(package);
  request.box_key = std::move(box_key);
  auto body = co_await post("/api/v1/device/content-key", wire::encode(request).dump(), true);
  if (!body) {
    if (body.error().code() == Code::unauthenticated) drop_session();
    co_return std::move(body).error().within("asking for a content key");
  }
  CO_TRY_ASSIGN(const wire::ContentKeyAnswer answer, wire::decode_content_key_answer(*body));
  co_return from_hex(answer.sealed).within("the content key");
}

asio::awaitable<Result<wire::CheckinAnswer>> ServerLink::check_in(wire::CheckinRequest request) {
  std::string text = wire::encode(request).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  auto body = co_await post("/api/v1/device/checkin", std::move(text), true);
  if (!body) {
    if (body.error().code() == Code::unauthenticated) drop_session();
    co_return std::move(body).error().within("checking in");
  }
  CO_TRY_ASSIGN(wire::CheckinAnswer answer, wire::decode_checkin_answer(*body));
  Session session = store_.session();
  const bool newer = !answer.token.empty();
  if (newer) {
    session.token = answer.token;
    session.expires = answer.token_expires;
  }
  if (newer || session.poll_seconds != answer.poll_seconds) {
    session.poll_seconds = answer.poll_seconds;
    CO_TRY(store_.save(session));
  }
  co_return answer;
}

}  // namespace drover::agent
