#include "server/audit/chain.h"

#include <algorithm>

#include "common/crypto/hash.h"

namespace drover::audit {
namespace {

std::string sha256_hex(std::string_view bytes) { return crypto::sha256(bytes).hex(); }

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Bytes of the well-formed character at `at`; 0 when there is none. Strict: no overlong forms, no surrogates.
std::size_t character_at(std::string_view text, std::size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                             : lead >= 0xE0 && lead <= 0xEF ? 3
                             : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                            : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if (!is_continuation(text[at + i])) return 0;
  const auto second = static_cast<unsigned char>(text[at + 1]);
  const bool bad = (lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
                   (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F);
  return bad ? 0 : length;
}

std::string fit(std::string_view text, std::size_t limit) {
  constexpr std::string_view kCut = "...";
  std::string out;
  std::size_t room = 0;  // the end of the last character behind which the mark still fits
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = character_at(text, at);
    if (out.size() + std::max<std::size_t>(length, 1) > limit) return out.substr(0, room).append(kCut);
    if (length == 0)
      out += '?';
    else
      out += text.substr(at, length);
    at += std::max<std::size_t>(length, 1);
    if (out.size() + kCut.size() <= limit) room = out.size();
  }
  return out;
}

}  // namespace

Entry append(const Head& head, Event event) {
  Entry entry;
  entry.seq = head.seq + 1;
  entry.at = event.at;
  entry.actor = fit(event.actor, wire::kMaxAuditField);
  entry.role = fit(event.role, wire::kMaxAuditField);
  entry.action = fit(event.action, wire::kMaxAuditField);
  entry.subject = fit(event.subject, wire::kMaxAuditField);
  entry.detail = fit(event.detail, wire::kMaxAuditDetail);
  entry.outcome = fit(event.outcome, wire::kMaxAuditField);
  entry.prev_hash = head.hash;
  entry.hash = sha256_hex(wire::audit_canonical(entry));
  return entry;
}

std::optional<Break> verify(std::span<const Entry> entries, const Head& before) {
  return wire::audit_first_break(entries, before.seq + 1, before.hash, &sha256_hex);
}

}  // namespace drover::audit
