// Errors as values. An Error is a code of the one numbered list below, plus a sentence for people.
// The numbers cross the wire (reports, problem details) and are kept on disk: never renumber, only append.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace drover {

enum class Code : std::uint16_t {
  ok = 0,
  // 1-99: general
  internal = 1,          // a bug on our side
  invalid_argument = 2,  // the caller's input is wrong; says which part
  not_found = 3,
  already_exists = 4,
  conflict = 5,           // the state has moved on; look again, then retry
  unauthenticated = 6,    // no or no valid credentials
  permission_denied = 7,  // valid credentials without the right
  unavailable = 8,        // try later
  timeout = 9,
  cancelled = 10,
  io = 11,
  disk_full = 12,
  too_large = 13,  // a documented bound is exceeded
  malformed = 14,  // bytes that do not parse
  unsupported = 15,
  rate_limited = 16,
  precondition_failed = 17,
  range_not_satisfiable = 18,
  gone = 19,     // decommissioned or withdrawn
  pending = 20,  // known, waits for an operator's acceptance
  // 100-199: trust
  bad_signature = 100,
  threshold_not_met = 101,
  metadata_expired = 102,
  metadata_rollback = 103,
  metadata_mismatch = 104,  // version, length, hash or type differs from what the parent lists
  unknown_key = 105,
  target_not_listed = 106,    // the release managers' metadata does not list it (any more)
  target_mismatch = 107,      // director and releases disagree
  wrong_device = 108,         // an assignment that names another device
  wrong_kind = 109,           // a variant for another kind of device
  counter_below_floor = 110,  // release counter below the highest ever installed
  digest_mismatch = 111,
  size_mismatch = 112,
  unsafe_path = 113,  // link, "..", absolute, or case-colliding name in a package
  // 200-299: device life-cycle
  preflight_disk = 200,
  preflight_memory = 201,
  preflight_policy = 202,
  fetch_failed = 210,
  fetch_attempts_exhausted = 211,
  delta_missing = 212,     // no usable delta, and this device may not fetch whole files (a metered link)
  validate_load = 220,     // the model does not load
  validate_golden = 221,   // outputs differ from the golden set
  validate_latency = 222,  // over the latency budget
  validate_memory = 223,   // over the memory budget
  validate_crash = 224,    // the validator died of a signal
  validate_timeout = 225,
  validate_rebooted = 226,  // the device rebooted or the agent died during validation, too often
  validator_missing = 227,  // no validator or no runtime on this device
  activate_failed = 230,
  unhealthy = 240,       // the application said that it is not well
  health_silence = 241,  // the application said nothing before the deadline
  app_crash_loop = 242,
  agent_crash_loop = 243,
  attempts_exhausted = 244,
  superseded = 250,   // a newer assignment took its place
  halted = 251,       // taken back by the server before activation
  no_previous = 252,  // nothing to roll back to
};

// The stable name of a code, as it stands in JSON ("bad_signature"). Unknown numbers give "unknown".
std::string_view code_name(Code code);
// The reverse; Code::internal for a name that is not in the list.
Code code_from_name(std::string_view name);

// HTTP status for a code at the API's boundary (RFC 9110).
int http_status(Code code);

class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  // Adds what was being done, outermost first: "reading root.json: permission denied".
  Error within(std::string_view doing) && {
    message_.insert(0, std::string(doing) + ": ");
    return std::move(*this);
  }

 private:
  Code code_;
  std::string message_;
};

}  // namespace drover
