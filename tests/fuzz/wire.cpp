// Messages between device, server and application.
#include <nlohmann/json.hpp>

#include "agent/fetch/journal.h"
#include "agent/report/app_message.h"
#include "proto/wire/deltas.h"
#include "proto/wire/device.h"
#include "proto/wire/problem.h"
#include "proto/wire/rollout.h"
#include "tests/fuzz/fuzz.h"

namespace drover::fuzz {
namespace {

template <class Decode>
void round_trip(std::string_view text, Decode decode) {
  const auto value = decode(text);
  if (!value) return;
  const auto once = wire::encode(*value);
  const auto again = decode(once.dump());
  require(again.has_value(), "what is written is read");
  require(wire::encode(*again) == once, "and written the same");
}

wire::Report example() {
  wire::Report report;
  report.device_id = "d00";
  report.boot_id = "boot";
  wire::Event event;
  event.seq = 7;
  event.deployment = "dep-1";
  event.model = "m";
  event.release = "1.0";
  event.step = wire::Step::validate;
  event.outcome = wire::Outcome::failed;
  event.code = Code::validate_golden;
  event.detail = "3 of 32 samples differ";
  event.bytes_fetched = 5'000'000'000;
  event.evidence = R"({"verdict":"fail"})";
  report.events = {event};
  wire::Installed installed;
  installed.model = "m";
  installed.release = "0.9";
  installed.package = "sha256:00";
  report.installed = {installed};
  return report;
}

}  // namespace

void run(ByteView input) {
  const std::string_view text = as_text(input);
  round_trip(text, wire::decode_session_request);
  round_trip(text, wire::decode_session_answer);
  round_trip(text, wire::decode_report);
  round_trip(text, wire::decode_checkin_request);
  round_trip(text, wire::decode_checkin_answer);
  for (const int status : {200, 404, 503}) (void)wire::decode_problem(status, text);
  (void)agent::parse_app_message(text);
  (void)wire::decode_delta_plan(text);
  (void)wire::decode_rollout_spec(text);
  const auto journal = agent::parse_journal(text);
  if (journal) require(agent::parse_journal(agent::print(*journal)).has_value(), "a journal is written and read again");
}

std::vector<std::string> seeds() {
  wire::SessionRequest session;
  session.public_key = std::string(64, 'a');
  session.challenge = "v4.local.x";
  session.signature = std::string(128, 'b');
  session.enrolment_token = "token";
  session.name = "kiosk-1";
  session.kind = "kiosk";
  session.attributes = {{"region", "north"}, {"site", "7"}};
  wire::CheckinRequest checkin;
  checkin.identity_digest = "0123456789abcdef";
  checkin.assignment_version = 4;
  checkin.nonce = "n1";
  checkin.identity = session;
  checkin.report = wire::SignedReport{wire::encode(example()).dump(), std::string(128, 'c')};
  wire::CheckinAnswer answer;
  answer.acked_seq = 9;
  answer.token = "v4.local.y";
  answer.assignment = R"({"signed":{}})";
  answer.want_identity = true;
  wire::SessionAnswer opened;
  opened.device_id = "d00";
  opened.token = "v4.local.z";
  return {wire::encode(session).dump(),
          wire::encode(checkin).dump(),
          wire::encode(answer).dump(),
          wire::encode(opened).dump(),
          wire::encode(example()).dump(),
          wire::encode_problem(Error(Code::not_found, "no such device")),
          R"({"type":"health","model":"m","package":"sha256:00","ok":false,"detail":"nine classes"})"};
}

}  // namespace drover::fuzz
