// Appending to the audit log, and checking it. Pure: the store keeps the entries and gives the last one's hash.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proto/wire/audit.h"

namespace drover::audit {

using Entry = wire::AuditEntry;
using Break = wire::AuditBreak;

// The end of the chain; of an empty log as it is made.
struct Head {
  std::int64_t seq = 0;
  std::string hash = std::string(wire::kAuditOrigin);
};

// What happened, before it has its place in the chain.
struct Event {
  WallTime at{};
  std::string actor;
  std::string role;
  std::string action;
  std::string subject;
  std::string detail;
  std::string outcome = "ok";
};

// The entry behind `head`. Never refuses: what happened must be recorded, so text over its bound is cut at a
// character's end and marked "...", and bytes that are no UTF-8 become '?'.
Entry append(const Head& head, Event event);

inline Head head_of(const Entry& entry) { return {entry.seq, entry.hash}; }

// Checks entries that follow `before`; tells the first that does not fit. Nothing: they hold.
std::optional<Break> verify(std::span<const Entry> entries, const Head& before = {});

}  // namespace drover::audit
