#include "proto/wire/device.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "proto/json/reader.h"

namespace drover::wire {
namespace {

constexpr std::size_t kMaxToken = 1024;
constexpr std::size_t kMaxHexKey = 64;
constexpr std::size_t kMaxHexSignature = 128;
constexpr std::int64_t kMaxVersion = std::int64_t{1} << 53;  // the next one must still fit
constexpr std::int64_t kMaxPollSeconds = 7 * 24 * 3600;

constexpr std::array<std::string_view, 10> kSteps = {"sync",     "preflight", "fetch",   "verify", "stage",
                                                     "validate", "activate",  "confirm", "commit", "roll_back"};
constexpr std::array<std::string_view, 6> kOutcomes = {"started", "progress",    "succeeded",
                                                       "failed",  "rolled_back", "aborted"};

template <class Enum, std::size_t n>
Result<Enum> find_text(const std::array<std::string_view, n>& names, std::string_view text, std::string_view what) {
  const auto at = std::find(names.begin(), names.end(), text);
  if (at == names.end()) return Error(Code::malformed, "unknown " + std::string(what) + ": " + std::string(text));
  return static_cast<Enum>(at - names.begin());
}

nlohmann::json encode_attributes(const Attributes& attributes) {
  nlohmann::json out = nlohmann::json::object();
  for (const auto& [key, value] : attributes) out[key] = value;
  return out;
}

Attributes read_attributes(json::Reader& in) {
  Attributes attributes = in.text_map_or_none("attributes", kMaxAttributes, kMaxAttributeKey, kMaxAttributeValue);
  std::sort(attributes.begin(), attributes.end());
  return attributes;
}

// A time that must be there and parse; a fault of the reader otherwise.
WallTime read_time(json::Reader& in, std::string_view name) {
  Result<WallTime> time = parse_time(in.text(name, 20));
  if (!time) in.fail(name, "must be a time of the form 2026-01-02T03:04:05Z");
  return std::move(time).value_or(WallTime{});
}

void read_identity(json::Reader& in, SessionRequest& out) {
  out.name = in.text_or("name", "", kMaxName);
  out.kind = in.text("kind", kMaxName);
  out.attributes = read_attributes(in);
}

Event read_event(json::Reader& in) {
  Event event;
  event.seq = static_cast<std::uint64_t>(in.integer("seq", 1, INT64_MAX));
  event.at = read_time(in, "at");
  event.deployment = in.text("deployment", kMaxName);
  event.model = in.text("model", kMaxName);
  event.release = in.text("release", kMaxName);
  auto step = step_from_text(in.text("step", kMaxName));
  if (!step)
    in.fail("step", "is not a known step");
  else
    event.step = *step;
  auto outcome = outcome_from_text(in.text("outcome", kMaxName));
  if (!outcome)
    in.fail("outcome", "is not a known outcome");
  else
    event.outcome = *outcome;
  event.code = code_from_name(in.text_or("code", "ok", kMaxName));
  event.detail = in.text_or("detail", "", kMaxDetail);
  event.bytes_fetched = static_cast<std::uint64_t>(in.integer_or("bytes_fetched", 0, 0, INT64_MAX));
  event.bytes_resumed = static_cast<std::uint64_t>(in.integer_or("bytes_resumed", 0, 0, INT64_MAX));
  event.bytes_saved = static_cast<std::uint64_t>(in.integer_or("bytes_saved", 0, 0, INT64_MAX));
  event.evidence = in.text_or("evidence", "", kMaxEvidence);
  return event;
}

nlohmann::json encode_event(const Event& event) {
  nlohmann::json out = {{"seq", event.seq},
                        {"at", format_time(event.at)},
                        {"deployment", event.deployment},
                        {"model", event.model},
                        {"release", event.release},
                        {"step", to_text(event.step)},
                        {"outcome", to_text(event.outcome)}};
  if (event.code != Code::ok) out["code"] = code_name(event.code);
  if (!event.detail.empty()) out["detail"] = event.detail;
  if (event.bytes_fetched != 0) out["bytes_fetched"] = event.bytes_fetched;
  if (event.bytes_resumed != 0) out["bytes_resumed"] = event.bytes_resumed;
  if (event.bytes_saved != 0) out["bytes_saved"] = event.bytes_saved;
  if (!event.evidence.empty()) out["evidence"] = event.evidence;
  return out;
}

Installed read_installed(json::Reader& in) {
  Installed installed;
  installed.model = in.text("model", kMaxName);
  installed.release = in.text("release", kMaxName);
  installed.package = in.text("package", kMaxName);
  installed.release_counter = in.integer_or("release_counter", 0, 0, INT64_MAX);
  installed.since = read_time(in, "since");
  return installed;
}

}  // namespace

std::string_view to_text(Step step) { return kSteps[static_cast<std::size_t>(step)]; }
std::string_view to_text(Outcome outcome) { return kOutcomes[static_cast<std::size_t>(outcome)]; }
Result<Step> step_from_text(std::string_view text) { return find_text<Step>(kSteps, text, "step"); }
Result<Outcome> outcome_from_text(std::string_view text) { return find_text<Outcome>(kOutcomes, text, "outcome"); }

std::string canonical_identity(std::string_view name, std::string_view kind, const Attributes& attributes) {
  return nlohmann::json{{"attributes", encode_attributes(attributes)}, {"kind", kind}, {"name", name}}.dump();
}

nlohmann::json encode(const SessionRequest& request) {
  nlohmann::json out = {{"public_key", request.public_key},
                        {"challenge", request.challenge},
                        {"signature", request.signature},
                        {"name", request.name},
                        {"kind", request.kind},
                        {"attributes", encode_attributes(request.attributes)}};
  if (!request.enrolment_token.empty()) out["enrolment_token"] = request.enrolment_token;
  return out;
}

nlohmann::json encode(const SessionAnswer& answer) {
  return {{"device_id", answer.device_id},
          {"token", answer.token},
          {"token_expires", format_time(answer.token_expires)},
          {"poll_seconds", answer.poll_seconds}};
}

nlohmann::json encode(const Report& report) {
  nlohmann::json events = nlohmann::json::array(), installed = nlohmann::json::array();
  for (const Event& event : report.events) events.push_back(encode_event(event));
  for (const Installed& item : report.installed)
    installed.push_back({{"model", item.model},
                         {"release", item.release},
                         {"package", item.package},
                         {"release_counter", item.release_counter},
                         {"since", format_time(item.since)}});
  nlohmann::json out = {
      {"device_id", report.device_id}, {"boot_id", report.boot_id}, {"events", events}, {"installed", installed}};
  if (report.counter != 0) out["counter"] = report.counter;
  return out;
}

nlohmann::json encode(const CheckinRequest& request) {
  nlohmann::json out = {{"identity_digest", request.identity_digest},
                        {"assignment_version", request.assignment_version}};
  if (!request.nonce.empty()) out["nonce"] = request.nonce;
  if (request.identity)
    out["identity"] = {{"name", request.identity->name},
                       {"kind", request.identity->kind},
                       {"attributes", encode_attributes(request.identity->attributes)}};
  if (request.report) out["report"] = {{"payload", request.report->payload}, {"signature", request.report->signature}};
  if (request.renew_assignment) out["renew_assignment"] = true;
  return out;
}

nlohmann::json encode(const CheckinAnswer& answer) {
  nlohmann::json out = {{"poll_seconds", answer.poll_seconds}};
  if (answer.acked_seq != 0) out["acked_seq"] = answer.acked_seq;
  if (answer.report_floor != 0) out["report_floor"] = answer.report_floor;
  if (!answer.token.empty()) {
    out["token"] = answer.token;
    out["token_expires"] = format_time(answer.token_expires);
  }
  if (!answer.assignment.empty()) out["assignment"] = answer.assignment;
  if (answer.want_identity) out["want_identity"] = true;
  return out;
}

Result<SessionRequest> decode_session_request(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxCheckinBody));
  json::Reader in(document);
  in.allow_unknown();
  SessionRequest request;
  request.public_key = in.text("public_key", kMaxHexKey);
  request.challenge = in.text("challenge", kMaxToken);
  request.signature = in.text("signature", kMaxHexSignature);
  request.enrolment_token = in.text_or("enrolment_token", "", kMaxToken);
  read_identity(in, request);
  TRY(in.finish());
  return request;
}

Result<SessionAnswer> decode_session_answer(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxCheckinAnswer));
  json::Reader in(document);
  in.allow_unknown();
  SessionAnswer answer;
  answer.device_id = in.text("device_id", kMaxName);
  answer.token = in.text("token", kMaxToken);
  answer.token_expires = read_time(in, "token_expires");
  answer.poll_seconds = in.integer("poll_seconds", 1, kMaxPollSeconds);
  TRY(in.finish());
  return answer;
}

Result<Report> decode_report(std::string_view payload) {
  TRY_ASSIGN(const json::Value document, json::parse(payload, kMaxCheckinBody));
  json::Reader in(document);
  in.allow_unknown();
  Report report;
  report.device_id = in.text("device_id", kMaxName);
  report.boot_id = in.text_or("boot_id", "", kMaxName);
  report.counter = static_cast<std::uint64_t>(in.integer_or("counter", 0, 0, kMaxCounter));
  in.array("events", kMaxEventsPerReport, [&](json::Reader& item) {
    Event event = read_event(item);
    if (!report.events.empty() && event.seq != report.events.back().seq + 1)
      item.fail("seq", "must follow the event before it");
    report.events.push_back(std::move(event));
  });
  in.array("installed", kMaxInstalled, [&](json::Reader& item) { report.installed.push_back(read_installed(item)); });
  TRY(in.finish());
  return report;
}

Result<CheckinRequest> decode_checkin_request(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxCheckinBody));
  json::Reader in(document);
  in.allow_unknown();
  CheckinRequest request;
  request.identity_digest = in.text("identity_digest", 16);
  request.assignment_version = in.integer_or("assignment_version", 0, 0, kMaxVersion);
  request.nonce = in.text_or("nonce", "", kMaxHexKey);
  in.object_or_none("identity", [&](json::Reader& inner) {
    request.identity.emplace();
    read_identity(inner, *request.identity);
  });
  in.object_or_none("report", [&](json::Reader& inner) {
    request.report.emplace();
    request.report->payload = inner.text("payload", kMaxCheckinBody);
    request.report->signature = inner.text("signature", kMaxHexSignature);
  });
  request.renew_assignment = in.boolean_or("renew_assignment", false);
  TRY(in.finish());
  return request;
}

Result<CheckinAnswer> decode_checkin_answer(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxCheckinAnswer));
  json::Reader in(document);
  in.allow_unknown();
  CheckinAnswer answer;
  answer.poll_seconds = in.integer("poll_seconds", 1, kMaxPollSeconds);
  answer.acked_seq = static_cast<std::uint64_t>(in.integer_or("acked_seq", 0, 0, INT64_MAX));
  answer.report_floor = static_cast<std::uint64_t>(in.integer_or("report_floor", 0, 0, kMaxCounter));
  answer.token = in.text_or("token", "", kMaxToken);
  if (!answer.token.empty()) answer.token_expires = read_time(in, "token_expires");
  answer.assignment = in.text_or("assignment", "", kMaxCheckinAnswer);
  answer.want_identity = in.boolean_or("want_identity", false);
  TRY(in.finish());
  return answer;
}

}  // namespace drover::wire
