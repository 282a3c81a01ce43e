// The audit log as it is stored, sent and checked. Version 1.
// Each entry carries the hash of the one before, so that nothing can be changed or taken out of the middle unseen:
// whoever kept one (seq, hash) pair can check everything up to it. `drover audit verify` does so from outside the
// server.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/time/clock.h"

namespace drover::wire {

inline constexpr std::size_t kMaxAuditField = 256;    // actor, role, action, subject, outcome
inline constexpr std::size_t kMaxAuditDetail = 4096;  // the longest group query fits
inline constexpr std::string_view kAuditContext = "drover-audit-v1\n";
// prev_hash of the first entry, seq 1.
inline constexpr std::string_view kAuditOrigin = "0000000000000000000000000000000000000000000000000000000000000000";

struct AuditEntry {
  std::int64_t seq = 0;  // from 1, without gaps
  WallTime at{};
  std::string actor;  // a token's name, a device id, or "server"
  std::string role;
  std::string action;   // "rollout.halt"
  std::string subject;  // what it was done to
  std::string detail;
  std::string outcome;    // "ok" or the name of an error code
  std::string prev_hash;  // 64 hexadecimal digits
  std::string hash;       // sha256 of audit_canonical, the same

  bool operator==(const AuditEntry&) const = default;
};

// What is hashed: kAuditContext, then each field but `hash` in the order above as "name:length:bytes\n", times and
// numbers as text. Lengths in front: no field's content can pass for another field.
std::string audit_canonical(const AuditEntry& entry);

struct AuditBreak {
  std::int64_t seq = 0;  // of the first entry that does not fit
  std::string why;
};
using HashHex =
    std::string (*)(std::string_view bytes);  // SHA-256 in lower-case hexadecimal; proto has none of its own

// Checks a run of entries that must begin at `first_seq` behind an entry whose hash is `prev_hash` (kAuditOrigin for
// 1). Nothing: they hold.
std::optional<AuditBreak> audit_first_break(std::span<const AuditEntry> entries, std::int64_t first_seq,
                                            std::string_view prev_hash, HashHex sha256_hex);

nlohmann::json encode(const AuditEntry&);
Result<AuditEntry> decode_audit_entry(const nlohmann::json& value);

}  // namespace drover::wire
