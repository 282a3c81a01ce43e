// The check-in. The idle one is answered by answer_idle_checkin() without database and coroutine; one with news goes
// through post_checkin(): read, evaluate, and only when something is to be written through the writer.
#include <nlohmann/json.hpp>

#include "common/crypto/hash.h"
#include "common/obs/log.h"
#include "common/tuf/author.h"
#include "common/tuf/limits.h"
#include "server/api/idle_scan.h"
#include "server/api/journey/engine.h"
#include "server/api/journey/evaluate.h"
#include "server/api/journey/outcome.h"
#include "server/api/resources.h"

namespace drover::api {
namespace {

struct Outcome {
  wire::CheckinAnswer answer;
  Claims claims;
  std::size_t events = 0;
  wire::Savings savings;
  bool settled = false;  // false: only the writer can answer
  bool assigned = false;
  bool conflict = false;  // the report was not taken
};

Status check_state(const store::Device& device) {
  if (device.view.state == fleet::DeviceState::decommissioned)
    return Error(Code::gone, "this device was decommissioned");
  if (device.view.state == fleet::DeviceState::pending)
    return Error(Code::pending, "this device waits for an operator's acceptance");
  return {};
}

Result<store::Device> load_device(const store::Devices& devices, const Claims& claims) {
  TRY_ASSIGN(auto device, devices.find(claims.device_no));
  if (!device || device->view.id != claims.device_id)
    return Error(Code::unauthenticated, "the session's device is not known here; open a new session");
  TRY(check_state(*device));
  return std::move(*device);
}

// The stored document serves as it is: says the same, is of the director that devices know now, has not expired, and
// echoes the nonce that the device gave. A document names its signer in its own text.
bool serves(const store::StoredAssignment& stored, const Evaluation& evaluation, const tuf::Key& director,
            const wire::CheckinRequest& request, WallTime now) {
  if (stored.content != evaluation.content || stored.version < request.assignment_version) return false;
  if (stored.document.find(director.id) == std::string::npos) return false;
  if (stored.version == request.assignment_version) return !request.renew_assignment;
  return now < stored.expires && request.nonce.empty();
}

// None: nobody has signed in a director of this server yet, or its key is lost. Then nothing can be assigned, and
// everything else goes on, reports above all.
Result<std::optional<OnlineKeys::Held>> find_director(const Api& api, const store::Metadata& metadata) {
  auto director = api.trust.director(metadata);
  if (director) return std::optional(std::move(*director));
  if (director.error().code() == Code::unknown_key) return std::optional<OnlineKeys::Held>();
  return std::move(director).error();
}

bool is_empty(const std::optional<store::StoredAssignment>& stored, const Evaluation& evaluation) {
  return !stored && evaluation.targets.empty();
}

void settle(Outcome& out, const wire::CheckinRequest& request, const std::optional<store::StoredAssignment>& stored) {
  out.settled = true;
  if (stored) {
    out.claims.assignment_version = stored->version;
    if (stored->version > request.assignment_version) out.answer.assignment = stored->document;
  }
}

struct Checkin {
  wire::CheckinRequest request;
  Claims claims;
  WallTime now{};
};

// A new rollout's offers wait a little for its deltas: whoever asks meanwhile would fetch whole files.
HoldFn hold_of(const Api& api, WallTime now) {
  if (api.deltas == nullptr) return {};
  return [&api, now](const store::RolloutEntry& rollout) {
    return now < rollout.created_at + api.settings.delta_wait &&
           api.deltas->pending(rollout.spec.model, rollout.spec.release);
  };
}

Result<Outcome> try_reading(const Api& api, const store::Reader& reader, const store::Control& control,
                            const Checkin& in) {
  TRY_ASSIGN(const store::Device device, load_device(reader.devices, in.claims));
  Outcome out;
  out.claims = in.claims;
  if (in.request.identity_digest != device.identity_digest) out.answer.want_identity = true;
  out.claims.identity_digest = device.identity_digest;
  TRY_ASSIGN(const Evaluation evaluation, evaluate(reader, control, device, hold_of(api, in.now)));
  if (evaluation.must_record) return out;
  out.claims.revision = evaluation.waiting || out.answer.want_identity ? 0 : control.revision;
  TRY_ASSIGN(const auto stored, reader.devices.assignment(device.no));
  if (is_empty(stored, evaluation) && in.request.assignment_version == 0) {
    out.claims.assignment_version = 0;
    out.settled = true;
  } else if (stored) {
    TRY_ASSIGN(const auto director, find_director(api, reader.metadata));
    if (director && serves(*stored, evaluation, director->key, in.request, in.now)) settle(out, in.request, stored);
  }
  return out;
}

// --- in the writer ---------------------------------------------------------------------------------------------------

Result<store::StoredAssignment> sign_assignment(const Api& api, const store::Device& device,
                                                const Evaluation& evaluation, const Checkin& in,
                                                const OnlineKeys::Held& director, std::int64_t version) {
  tuf::Assignment assignment;
  assignment.version = version;
  assignment.issued = in.now;
  assignment.expires = in.now + api.settings.assignment;
  assignment.device_id = device.view.id;
  assignment.nonce = in.request.nonce;
  assignment.targets = evaluation.targets;
  tuf::Document document = tuf::make_assignment(assignment);
  TRY(document.sign(*director.pair));
  store::StoredAssignment stored;
  stored.version = version;
  stored.expires = assignment.expires;
  stored.content = evaluation.content;
  stored.document = document.encode();
  return stored;
}

Status store_identity(store::Writer& writer, store::Device& device, const wire::SessionRequest& identity) {
  fleet::DeviceView view = device.view;
  // A name that a person gave stays.
  if (!identity.name.empty() && device.view.name.empty()) view.name = identity.name;
  view.kind = identity.kind;
  view.attributes = identity.attributes;
  const std::string canonical = wire::canonical_identity(identity.name, identity.kind, identity.attributes);
  const std::string digest = crypto::sha256(canonical).hex().substr(0, 16);
  TRY(writer.devices.set_identity(device, view, digest));
  device.view = std::move(view);
  device.identity_digest = digest;
  return {};
}

// What was signed counts once, and only forwards.
Status take_report(store::Writer& writer, const store::Device& device, const Checkin& in, Outcome& out) {
  TRY_ASSIGN(const wire::Report report, open_report(*in.request.report, device));
  store::TakenReport taken{report.counter, crypto::sha256(in.request.report->payload).hex(), in.request.report->payload,
                           in.request.report->signature};
  const ReportStanding standing = standing_of_report(device, report, taken.digest);
  if (standing == ReportStanding::next) {
    TRY_ASSIGN(const Applied applied, apply_report(writer, device, report, in.now));
    out.answer.acked_seq = applied.acked_seq;
    out.events = applied.events;
    out.savings = applied.savings;
    return report.counter == 0 ? Status() : writer.devices.set_report(device.no, taken, in.now);
  }
  out.answer.acked_seq = device.acked_seq;
  if (standing == ReportStanding::repeated) return {};
  out.answer.report_floor = device.report_counter;
  out.conflict = true;
  log::warn("a report is not taken: its counter does not go on", {{"device", device.view.id},
                                                                  {"counter", report.counter},
                                                                  {"last", device.report_counter},
                                                                  {"conflicts", device.report_conflicts + 1}});
  return writer.devices.add_conflict(device.no, in.now);
}

Result<Outcome> write_checkin(const Api& api, store::Writer& writer, const Checkin& in) {
  TRY_ASSIGN(store::Device device, load_device(writer.devices, in.claims));
  Outcome out;
  out.claims = in.claims;
  if (in.request.identity) TRY(store_identity(writer, device, *in.request.identity));
  out.answer.want_identity = in.request.identity_digest != device.identity_digest;
  out.claims.identity_digest = device.identity_digest;
  if (in.request.report) TRY(take_report(writer, device, in, out));
  TRY_ASSIGN(const Evaluation evaluation, evaluate_and_record(writer, device, in.now, hold_of(api, in.now)));
  TRY_ASSIGN(const auto control, writer.control());
  out.claims.revision = evaluation.waiting || out.answer.want_identity ? 0 : control->revision;
  TRY_ASSIGN(auto stored, writer.devices.assignment(device.no));
  const bool nothing = is_empty(stored, evaluation) && in.request.assignment_version == 0;
  if (!nothing) {
    TRY_ASSIGN(const auto director, find_director(api, writer.metadata));
    if (!director) {
      out.claims.revision = 0;  // it is to ask again
      out.settled = true;
      return out;
    }
    if (!stored || !serves(*stored, evaluation, director->key, in.request, in.now)) {
      const std::int64_t last = std::max(stored ? stored->version : 0, in.request.assignment_version);
      TRY_ASSIGN(stored, sign_assignment(api, device, evaluation, in, *director, last + 1));
      TRY(writer.devices.put_assignment(device.no, *stored));
      out.assigned = true;
    }
  }
  settle(out, in.request, stored);
  return out;
}

net::Response answer_of(Api& api, Outcome& out, const Checkin& in) {
  const Claims& old = in.claims;
  out.answer.poll_seconds = api.settings.poll.count();
  out.claims.expires = old.expires;
  const bool changed = out.claims.revision != old.revision || out.claims.identity_digest != old.identity_digest ||
                       out.claims.assignment_version != old.assignment_version;
  if (changed || wants_renewal(old, api.settings.session, in.now)) {
    out.claims.expires = in.now + api.settings.session;
    out.answer.token = seal_session(api.keys.session, out.claims, api.rng);
    out.answer.token_expires = out.claims.expires;
  }
  return json_response(200, wire::encode(out.answer));
}

}  // namespace

bool answer_idle_checkin(Api& api, const net::Request& request, net::Response& response) {
  if (request.method != net::Method::post || request.path != "/api/v1/device/checkin") return false;
  const auto body = scan_idle_checkin(request.body);
  if (!body) return false;
  const WallTime now = api.clock.wall();
  const auto claims = open_session(api.keys.session, request.bearer(), now);
  if (!claims || claims->revision != api.store.revision() || claims->identity_digest != body->identity_digest ||
      claims->assignment_version != body->assignment_version || wants_renewal(*claims, api.settings.session, now))
    return false;
  if (!check_certificate(peer_of(request, api.settings.proxies), claims->device_id, api.settings.device_certificates))
    return false;  // the router says why
  api.store.seen(claims->device_no);
  api.counters.checkins_idle.add();
  response.content_type = kJson;
  response.body = api.idle_answer;
  return true;
}

Answer post_checkin(Api& api, Call& call) {
  auto in = std::make_shared<Checkin>();
  CO_TRY_ASSIGN(in->request, wire::decode_checkin_request(call.request.body));
  // Led to the end of the numbers by whoever held the director's key, a device takes lower ones again once that key has
  // been replaced.
  if (in->request.assignment_version >= tuf::kMaxAssignmentVersion) in->request.assignment_version = 0;
  in->claims = *call.session;
  in->now = api.clock.wall();
  api.store.seen(in->claims.device_no);
  api.counters.checkins_news.add();
  Outcome out;
  if (!in->request.report && !in->request.identity) {
    store::ReadFn<Outcome> read = [&api, in](const store::Reader& reader) {
      return try_reading(api, reader, *api.store.control(), *in);
    };
    Result<Outcome> result = co_await api.store.read(std::move(read));
    if (!result) co_return std::move(result).error();
    out = std::move(*result);
  }
  if (!out.settled) {
    store::WriteFn<Outcome> write = [&api, in](store::Writer& writer) { return write_checkin(api, writer, *in); };
    Result<Outcome> result = co_await api.store.write(std::move(write));
    if (!result) co_return std::move(result).error();
    out = std::move(*result);
  }
  api.counters.events.add(out.events);
  api.counters.add(out.savings);
  if (out.assigned) api.counters.assignments.add();
  if (out.conflict) api.counters.report_conflicts.add();
  co_return answer_of(api, out, *in);
}

}  // namespace drover::api
