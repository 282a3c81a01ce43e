// Sessions: a device proves that it holds its key, and is enrolled when it may be.
#include <nlohmann/json.hpp>

#include "common/crypto/hash.h"
#include "common/obs/log.h"
#include "proto/json/reader.h"
#include "server/api/change.h"
#include "server/api/resources.h"
#include "server/auth/token.h"
#include "server/release/rules.h"

namespace drover::api {
namespace {

struct Joining {
  wire::SessionRequest request;
  crypto::PublicKey key{};
  std::string id;
  WallTime now{};
};

// Names the device in `call` as soon as it has proved who it is.
Result<Joining> prove(const Api& api, Call& call) {
  const net::Request& http = call.request;
  Joining in;
  in.now = api.clock.wall();
  TRY_ASSIGN(in.request, wire::decode_session_request(http.body));
  TRY_ASSIGN(in.key, crypto::parse_public_key(in.request.public_key).within("public_key"));
  TRY(check_challenge(api.keys.session, in.request.challenge, in.now));
  std::string message(wire::kSessionContext);
  message += in.request.challenge;
  TRY_ASSIGN(const Bytes signature, from_hex(in.request.signature).within("signature"));
  if (!crypto::verify(in.key, as_bytes(message), signature))
    return Error(Code::bad_signature, "the challenge is not signed by this key");
  in.id = crypto::device_id(in.key);
  call.who.kind = auth::Principal::Kind::device;
  call.who.id = call.who.name = in.id;
  TRY(check_certificate(call.peer, in.id, api.settings.device_certificates));
  if (!release::is_kind(in.request.kind))
    return Error(Code::invalid_argument, "kind must be a short name of small letters, digits and . _ -");
  return in;
}

std::string digest_of(const wire::SessionRequest& request) {
  const std::string canonical = wire::canonical_identity(request.name, request.kind, request.attributes);
  return crypto::sha256(canonical).hex().substr(0, 16);
}

// The enrolment token's row, used up by one; nothing when none was given.
Result<std::optional<store::EnrolmentTokenRow>> take_enrolment_token(store::Writer& writer, const Joining& in) {
  if (in.request.enrolment_token.empty()) return std::optional<store::EnrolmentTokenRow>();
  const std::string hash = crypto::sha256(in.request.enrolment_token).hex();
  TRY_ASSIGN(auto token, writer.enrolment_tokens.find_hash(hash));
  if (!token) return Error(Code::permission_denied, "the enrolment token is not valid");
  if (in.now >= token->expires) return Error(Code::permission_denied, "the enrolment token has expired");
  if (token->uses_left <= 0) return Error(Code::permission_denied, "the enrolment token is used up");
  TRY(writer.enrolment_tokens.use(token->id));
  return token;
}

Status record_enrolment(store::Writer& writer, const Joining& in, std::string detail) {
  auth::Principal who;
  who.kind = auth::Principal::Kind::device;
  who.id = who.name = in.id;
  Effect effect;
  effect.action = "device.enrol";
  effect.subject = in.id;
  effect.detail = std::move(detail);
  return record(writer, who, effect, in.now);
}

Result<store::Device> enrol(const Api& api, store::Writer& writer, const Joining& in) {
  TRY_ASSIGN(const auto token, take_enrolment_token(writer, in));
  store::Device device;
  device.key = in.key;
  device.view.id = in.id;
  device.view.name = in.request.name;
  device.view.kind = in.request.kind;
  device.view.attributes = in.request.attributes;
  device.view.state = token ? fleet::DeviceState::active : fleet::DeviceState::pending;
  device.identity_digest = digest_of(in.request);
  if (token) {
    device.view.tags = token->tags;
    device.enrolled_at = in.now;
    TRY(record_enrolment(writer, in, "by enrolment token " + token->name));
  } else {
    TRY_ASSIGN(const std::int64_t pending, writer.devices.count_state(fleet::DeviceState::pending));
    if (pending >= api.settings.max_pending)
      return Error(Code::unavailable, "too many devices wait for acceptance; give this one an enrolment token");
  }
  TRY_ASSIGN(device.no, writer.devices.insert(device));
  return device;
}

// Known already: what it says of itself is taken over, and a token may turn waiting into membership.
Result<store::Device> welcome_back(store::Writer& writer, store::Device device, const Joining& in) {
  if (device.view.state == fleet::DeviceState::pending && !in.request.enrolment_token.empty()) {
    TRY_ASSIGN(const auto token, take_enrolment_token(writer, in));
    TRY(writer.devices.set_state(device, fleet::DeviceState::active, in.now));
    TRY(writer.devices.change_tags(device.no, token->tags, {}));
    device.view.state = fleet::DeviceState::active;
    TRY(record_enrolment(writer, in, "by enrolment token " + token->name));
  }
  const std::string digest = digest_of(in.request);
  if (digest == device.identity_digest) return device;
  fleet::DeviceView view = device.view;
  if (view.name.empty()) view.name = in.request.name;
  view.kind = in.request.kind;
  view.attributes = in.request.attributes;
  TRY(writer.devices.set_identity(device, view, digest));
  device.view = std::move(view);
  device.identity_digest = digest;
  return device;
}

bool writer_needed(const std::optional<store::Device>& known, const Joining& in) {
  if (!known) return true;
  if (known->view.state == fleet::DeviceState::decommissioned) return false;
  if (known->view.state == fleet::DeviceState::pending && !in.request.enrolment_token.empty()) return true;
  return known->identity_digest != digest_of(in.request);
}

Result<store::Device> join(const Api& api, store::Writer& writer, const Joining& in) {
  TRY_ASSIGN(auto known, writer.devices.find_id(in.id));
  if (!known) return enrol(api, writer, in);
  if (known->view.state == fleet::DeviceState::decommissioned) return std::move(*known);
  return welcome_back(writer, std::move(*known), in);
}

Result<net::Response> open(Api& api, const store::Device& device, WallTime now) {
  if (device.view.state == fleet::DeviceState::decommissioned)
    return Error(Code::gone, "this device was decommissioned");
  if (device.view.state == fleet::DeviceState::pending)
    return Error(Code::pending, "device " + device.view.id + " waits for an operator's acceptance");
  Claims claims;
  claims.device_no = device.no;
  claims.device_id = device.view.id;
  claims.identity_digest = device.identity_digest;
  claims.expires = now + api.settings.session;
  wire::SessionAnswer answer;
  answer.device_id = device.view.id;
  answer.token = seal_session(api.keys.session, claims, api.rng);
  answer.token_expires = claims.expires;
  answer.poll_seconds = api.settings.poll.count();
  api.store.seen(device.no);
  api.counters.sessions.add();
  return json_response(200, wire::encode(answer));
}

}  // namespace

Answer post_challenge(Api& api, Call& call) {
  CO_TRY_ASSIGN(const json::Value body, json::parse(call.request.body.empty() ? "{}" : call.request.body, 1024));
  json::Reader in(body);
  in.allow_unknown();
  CO_TRY(in.finish());
  const nlohmann::json answer = {{"challenge", seal_challenge(api.keys.session, api.clock.wall(), api.rng)}};
  co_return json_response(200, answer);
}

Answer post_session(Api& api, Call& call) {
  CO_TRY_ASSIGN(Joining joining, prove(api, call));
  const auto in = std::make_shared<const Joining>(std::move(joining));
  const std::string from = address_key(call.peer.address);
  store::ReadFn<std::optional<store::Device>> find = [in](const store::Reader& reader) {
    return reader.devices.find_id(in->id);
  };
  Result<std::optional<store::Device>> known = co_await api.store.read(std::move(find));
  if (!known) co_return std::move(known).error();
  if (!writer_needed(*known, *in)) co_return open(api, **known, in->now);
  store::WriteFn<store::Device> write = [&api, in](store::Writer& writer) { return join(api, writer, *in); };
  Result<store::Device> device = co_await api.store.write(std::move(write));
  if (!device && device.error().code() == Code::permission_denied) {
    if (!api.throttle.allows(from, api.clock.mono()))
      co_return Error(Code::rate_limited, "too many wrong enrolment tokens from this address; wait a minute");
    api.throttle.failed(from, api.clock.mono());
  }
  if (!device) co_return std::move(device).error();
  co_return open(api, *device, in->now);
}

}  // namespace drover::api
