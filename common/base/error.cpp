#include "common/base/error.h"

#include <array>
#include <utility>

namespace drover {
namespace {

struct Row {
  Code code;
  std::string_view name;
  int status;
};

constexpr std::array kRows = {
    Row{Code::ok, "ok", 200},
    Row{Code::internal, "internal", 500},
    Row{Code::invalid_argument, "invalid_argument", 400},
    Row{Code::not_found, "not_found", 404},
    Row{Code::already_exists, "already_exists", 409},
    Row{Code::conflict, "conflict", 409},
    Row{Code::unauthenticated, "unauthenticated", 401},
    Row{Code::permission_denied, "permission_denied", 403},
    Row{Code::unavailable, "unavailable", 503},
    Row{Code::timeout, "timeout", 504},
    Row{Code::cancelled, "cancelled", 503},
    Row{Code::io, "io", 500},
    Row{Code::disk_full, "disk_full", 507},
    Row{Code::too_large, "too_large", 413},
    Row{Code::malformed, "malformed", 400},
    Row{Code::unsupported, "unsupported", 415},
    Row{Code::rate_limited, "rate_limited", 429},
    Row{Code::precondition_failed, "precondition_failed", 412},
    Row{Code::range_not_satisfiable, "range_not_satisfiable", 416},
    Row{Code::gone, "gone", 410},
    Row{Code::pending, "pending", 403},
    Row{Code::bad_signature, "bad_signature", 422},
    Row{Code::threshold_not_met, "threshold_not_met", 422},
    Row{Code::metadata_expired, "metadata_expired", 422},
    Row{Code::metadata_rollback, "metadata_rollback", 409},
    Row{Code::metadata_mismatch, "metadata_mismatch", 422},
    Row{Code::unknown_key, "unknown_key", 422},
    Row{Code::target_not_listed, "target_not_listed", 422},
    Row{Code::target_mismatch, "target_mismatch", 422},
    Row{Code::wrong_device, "wrong_device", 422},
    Row{Code::wrong_kind, "wrong_kind", 422},
    Row{Code::counter_below_floor, "counter_below_floor", 422},
    Row{Code::digest_mismatch, "digest_mismatch", 422},
    Row{Code::size_mismatch, "size_mismatch", 422},
    Row{Code::unsafe_path, "unsafe_path", 422},
    Row{Code::preflight_disk, "preflight_disk", 500},
    Row{Code::preflight_memory, "preflight_memory", 500},
    Row{Code::preflight_policy, "preflight_policy", 500},
    Row{Code::fetch_failed, "fetch_failed", 500},
    Row{Code::fetch_attempts_exhausted, "fetch_attempts_exhausted", 500},
    Row{Code::delta_missing, "delta_missing", 500},
    Row{Code::validate_load, "validate_load", 500},
    Row{Code::validate_golden, "validate_golden", 500},
    Row{Code::validate_latency, "validate_latency", 500},
    Row{Code::validate_memory, "validate_memory", 500},
    Row{Code::validate_crash, "validate_crash", 500},
    Row{Code::validate_timeout, "validate_timeout", 500},
    Row{Code::validate_rebooted, "validate_rebooted", 500},
    Row{Code::validator_missing, "validator_missing", 500},
    Row{Code::activate_failed, "activate_failed", 500},
    Row{Code::unhealthy, "unhealthy", 500},
    Row{Code::health_silence, "health_silence", 500},
    Row{Code::app_crash_loop, "app_crash_loop", 500},
    Row{Code::agent_crash_loop, "agent_crash_loop", 500},
    Row{Code::attempts_exhausted, "attempts_exhausted", 500},
    Row{Code::superseded, "superseded", 500},
    Row{Code::halted, "halted", 500},
    Row{Code::no_previous, "no_previous", 500},
};

}  // namespace

std::string_view code_name(Code code) {
  for (const Row& row : kRows)
    if (row.code == code) return row.name;
  return "unknown";
}

Code code_from_name(std::string_view name) {
  for (const Row& row : kRows)
    if (row.name == name) return row.code;
  return Code::internal;
}

int http_status(Code code) {
  for (const Row& row : kRows)
    if (row.code == code) return row.status;
  return 500;
}

}  // namespace drover
