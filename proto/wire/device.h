// What crosses the wire between a device and the server. Version 1.
// Decoding is strict about types and bounds and ignores fields that it does not know, so that an agent of any released
// version works with any newer server and the reverse.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/time/clock.h"

namespace drover::wire {

inline constexpr std::size_t kMaxCheckinBody = 256 * 1024;  // a full report and 100 attributes fit with room
inline constexpr std::size_t kMaxCheckinAnswer = 1024 * 1024;
inline constexpr std::size_t kMaxAttributes = 100;  // as hawkBit's
inline constexpr std::size_t kMaxAttributeKey = 128;
inline constexpr std::size_t kMaxAttributeValue = 256;
inline constexpr std::size_t kMaxEventsPerReport = 64;  // the rest goes with the next check-in
inline constexpr std::size_t kMaxInstalled = 64;        // models on one device
inline constexpr std::size_t kMaxDetail = 1000;         // a sentence for people
inline constexpr std::size_t kMaxEvidence = 8 * 1024;   // JSON of one validation
inline constexpr std::size_t kMaxName = 128;
// Of reports and events: a device that sends a thousand a second does so for 285,000 years. A server that names a
// higher floor is not obeyed.
inline constexpr std::int64_t kMaxCounter = std::int64_t{1} << 53;

// Sorted by key, keys unique.
using Attributes = std::vector<std::pair<std::string, std::string>>;

// First 16 hexadecimal digits of SHA-256 over name, kind and attributes in canonical form. Computed by the caller
// (common/crypto) from canonical_identity(); a check-in sends the digest alone and the server asks for the rest if it
// differs.
std::string canonical_identity(std::string_view name, std::string_view kind, const Attributes& attributes);

// --- session -------------------------------------------------------------------------------------------------------
// What the device signs to prove that it holds its key: kSessionContext + challenge.
inline constexpr std::string_view kSessionContext = "drover-session-v1\n";

struct SessionRequest {
  std::string public_key;  // 64 hexadecimal digits, raw Ed25519
  std::string challenge;
  std::string signature;        // 128 hexadecimal digits
  std::string enrolment_token;  // empty: known already, or to be accepted by an operator
  std::string name;
  std::string kind;
  Attributes attributes;
};
struct SessionAnswer {
  std::string device_id;
  std::string token;
  WallTime token_expires;
  std::int64_t poll_seconds = 60;
};

// --- reports -------------------------------------------------------------------------------------------------------
inline constexpr std::string_view kReportContext = "drover-report-v1\n";

// The steps of the device's life-cycle, as they stand in reports.
enum class Step { sync, preflight, fetch, verify, stage, validate, activate, confirm, commit, roll_back };
enum class Outcome {
  started,      // this step has begun (informational)
  progress,     // bytes move (informational)
  succeeded,    // final: committed, the new release is confirmed
  failed,       // final: refused before activation; the device runs what it ran
  rolled_back,  // final: was active, failed, and the device is back on what it ran before
  aborted,      // final: superseded or taken back by the server before activation
};
std::string_view to_text(Step step);
std::string_view to_text(Outcome outcome);
Result<Step> step_from_text(std::string_view text);
Result<Outcome> outcome_from_text(std::string_view text);
constexpr bool is_final(Outcome outcome) { return outcome != Outcome::started && outcome != Outcome::progress; }

struct Event {
  std::uint64_t seq = 0;  // of the device's outbox: starts at 1, grows by one, never reused
  WallTime at{};
  std::string deployment;  // id from the assignment
  std::string model;
  std::string release;
  Step step = Step::sync;
  Outcome outcome = Outcome::started;
  Code code = Code::ok;
  std::string detail;
  std::uint64_t bytes_fetched = 0;  // over the network, in this deployment so far
  std::uint64_t bytes_resumed = 0;  // not fetched again thanks to an earlier attempt, in this deployment so far
  std::uint64_t bytes_saved = 0;    // not fetched at all thanks to deltas, in this deployment so far
  std::string evidence;             // JSON of the validator, or empty
};

struct Installed {
  std::string model;
  std::string release;
  std::string package;  // "sha256:<manifest>"
  std::int64_t release_counter = 0;
  WallTime since{};
};

struct Report {
  // Of the device's reports: grows with each that is sent and is never used twice, so that an old report cannot be told
  // again. 0: an agent that does not count.
  std::uint64_t counter = 0;
  std::string device_id;
  std::string boot_id;
  std::vector<Event> events;  // ascending seq, no gaps
  std::vector<Installed> installed;
};

// The signed form: `payload` is the Report as JSON text, `signature` the device key's over kReportContext + payload, in
// hex.
struct SignedReport {
  std::string payload;
  std::string signature;
};

// --- check-in ------------------------------------------------------------------------------------------------------
struct CheckinRequest {
  std::string identity_digest;             // 16 hexadecimal digits, see canonical_identity
  std::optional<SessionRequest> identity;  // name, kind and attributes only; sent when the server asked
  std::int64_t assignment_version = 0;     // of the last assignment accepted; 0: none
  std::string nonce;                       // echoed in a new assignment
  std::optional<SignedReport> report;      // absent when there is nothing to say
  bool renew_assignment = false;           // the accepted one has expired, and something of it is yet to begin
};
struct CheckinAnswer {
  std::int64_t poll_seconds = 60;
  std::uint64_t acked_seq = 0;  // every event up to it is stored; 0: nothing new acknowledged
  // Not 0: the report was not taken, since its counter is not above this one (and its events may not be above
  // acked_seq): the device's memory went back, or another one has its key. Go on above both.
  std::uint64_t report_floor = 0;
  std::string token;           // a newer session token, or empty: keep yours
  WallTime token_expires{};    // of `token`, when there is one
  std::string assignment;      // a newer director's document (TUF envelope, exact bytes), or empty
  bool want_identity = false;  // send `identity` with the next check-in, at once
};

nlohmann::json encode(const SessionRequest&);
nlohmann::json encode(const SessionAnswer&);
nlohmann::json encode(const Report&);
nlohmann::json encode(const CheckinRequest&);
nlohmann::json encode(const CheckinAnswer&);

Result<SessionRequest> decode_session_request(std::string_view body);
Result<SessionAnswer> decode_session_answer(std::string_view body);
Result<Report> decode_report(std::string_view payload);
Result<CheckinRequest> decode_checkin_request(std::string_view body);
Result<CheckinAnswer> decode_checkin_answer(std::string_view body);

}  // namespace drover::wire
