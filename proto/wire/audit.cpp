#include "proto/wire/audit.h"

#include <nlohmann/json.hpp>

#include "proto/json/reader.h"

namespace drover::wire {
namespace {

constexpr std::size_t kHashDigits = 64;

void put(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ':';
  out += std::to_string(value.size());
  out += ':';
  out += value;
  out += '\n';
}

}  // namespace

std::string audit_canonical(const AuditEntry& entry) {
  std::string out(kAuditContext);
  put(out, "seq", std::to_string(entry.seq));
  put(out, "at", format_time(entry.at));
  put(out, "actor", entry.actor);
  put(out, "role", entry.role);
  put(out, "action", entry.action);
  put(out, "subject", entry.subject);
  put(out, "detail", entry.detail);
  put(out, "outcome", entry.outcome);
  put(out, "prev_hash", entry.prev_hash);
  return out;
}

std::optional<AuditBreak> audit_first_break(std::span<const AuditEntry> entries, std::int64_t first_seq,
                                            std::string_view prev_hash, HashHex sha256_hex) {
  std::string before(prev_hash);
  std::int64_t seq = first_seq;
  for (const AuditEntry& entry : entries) {
    if (entry.seq != seq)
      return AuditBreak{seq, "entry is missing; the next one has number " + std::to_string(entry.seq)};
    if (entry.prev_hash != before) return AuditBreak{seq, "does not follow from the entry before it"};
    if (entry.hash != sha256_hex(audit_canonical(entry))) return AuditBreak{seq, "its content is not what was hashed"};
    before = entry.hash;
    ++seq;
  }
  return std::nullopt;
}

nlohmann::json encode(const AuditEntry& entry) {
  return {{"seq", entry.seq},       {"at", format_time(entry.at)}, {"actor", entry.actor},
          {"role", entry.role},     {"action", entry.action},      {"subject", entry.subject},
          {"detail", entry.detail}, {"outcome", entry.outcome},    {"prev_hash", entry.prev_hash},
          {"hash", entry.hash}};
}

Result<AuditEntry> decode_audit_entry(const nlohmann::json& value) {
  json::Reader in(value);
  in.allow_unknown();
  AuditEntry entry;
  entry.seq = in.integer("seq", 1, INT64_MAX);
  const auto at = parse_time(in.text("at", 20));
  if (at)
    entry.at = *at;
  else
    in.fail("at", "must be a time");
  entry.actor = in.text("actor", kMaxAuditField);
  entry.role = in.text("role", kMaxAuditField);
  entry.action = in.text("action", kMaxAuditField);
  entry.subject = in.text("subject", kMaxAuditField);
  entry.detail = in.text("detail", kMaxAuditDetail);
  entry.outcome = in.text("outcome", kMaxAuditField);
  entry.prev_hash = in.text("prev_hash", kHashDigits);
  entry.hash = in.text("hash", kHashDigits);
  TRY(in.finish());
  return entry;
}

}  // namespace drover::wire
