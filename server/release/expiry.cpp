#include "server/release/expiry.h"

#include <algorithm>
#include <optional>

namespace drover::release {
namespace {

using std::chrono::seconds;

seconds life_of(const LeadTimes& leads, std::string_view role) {
  return role == "snapshot" ? leads.snapshot_life : leads.timestamp_life;
}

std::optional<Severity> severity_of(const RoleExpiry& role, const LeadTimes& leads, WallTime now) {
  const seconds warn = role.online ? life_of(leads, role.role) / 4 : leads.warn;
  const seconds urgent = role.online ? life_of(leads, role.role) / 8 : leads.urgent;
  if (now >= role.expires) return Severity::expired;
  if (role.expires - now < urgent) return Severity::urgent;
  if (role.expires - now < warn) return Severity::warning;
  return std::nullopt;
}

std::string what_stops(const RoleExpiry& role) {
  if (role.role == "root" || role.role == "targets" || role.online)
    return "from then on no device takes anything new, of any model";
  return "from then on no device takes anything new of " + role.role;
}

std::string span_text(seconds span) {
  constexpr seconds kDay{24 * 3600}, kHour{3600};
  if (span >= 2 * kDay) return std::to_string(span / kDay) + " days";
  if (span >= 2 * kHour) return std::to_string(span / kHour) + " hours";
  return std::to_string(std::max<std::int64_t>(span / std::chrono::minutes(1), 0)) + " minutes";
}

std::string message_of(const RoleExpiry& role, Severity severity, WallTime now) {
  std::string text = role.role;
  if (severity == Severity::expired)
    text += " has expired: no device takes anything new" + (role.role == "root" || role.role == "targets" || role.online
                                                                ? std::string(", of any model")
                                                                : " of " + role.role);
  else
    text +=
        " expires in " + span_text(std::chrono::duration_cast<seconds>(role.expires - now)) + "; " + what_stops(role);
  if (role.online) text += ". The server renews it by itself: look into its log why it does not";
  return text;
}

}  // namespace

std::string_view to_text(Severity severity) {
  switch (severity) {
    case Severity::warning:
      return "warning";
    case Severity::urgent:
      return "urgent";
    case Severity::expired:
      break;
  }
  return "expired";
}

std::vector<ExpiryWarning> expiry_warnings(std::span<const RoleExpiry> roles, const LeadTimes& leads, WallTime now) {
  std::vector<ExpiryWarning> out;
  for (const RoleExpiry& role : roles) {
    const auto severity = severity_of(role, leads, now);
    if (!severity) continue;
    std::string command = role.online ? "" : "drover trust renew " + role.role + " --key KEY";
    out.push_back({role.role, *severity, role.expires, message_of(role, *severity, now), std::move(command)});
  }
  std::sort(out.begin(), out.end(), [](const ExpiryWarning& a, const ExpiryWarning& b) {
    return a.expires != b.expires ? a.expires < b.expires : a.role < b.role;
  });
  return out;
}

}  // namespace drover::release
