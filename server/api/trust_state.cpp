#include "server/api/trust_state.h"

#include "common/obs/log.h"
#include "common/tuf/author.h"
#include "server/api/journey/publication.h"

namespace drover::api {
namespace {

bool is_online(std::string_view role) { return role == tuf::kSnapshot || role == tuf::kTimestamp; }

struct Found {
  std::int64_t targets_version = 0;
  std::optional<tuf::Root> root;
  tuf::RoleKeys director;
  std::vector<release::RoleExpiry> expiries;
};

Result<Found> read_all(const store::Metadata& metadata) {
  TRY_ASSIGN(const std::vector<store::MetadataRow> files, metadata.current());
  Found out;
  for (const store::MetadataRow& file : files) {
    TRY_ASSIGN(const tuf::Document document, tuf::Document::parse(as_bytes(file.bytes)));
    TRY_ASSIGN(const WallTime expires, document.expires());
    out.expiries.push_back({file.role, expires, is_online(file.role)});
    if (file.role == tuf::kRoot) {
      TRY_ASSIGN(const tuf::Envelope envelope, document.envelope());
      TRY_ASSIGN(out.root, tuf::parse_root(envelope));
    } else if (file.role == tuf::kTargets) {
      out.targets_version = file.version;
      TRY_ASSIGN(out.director, director_keys(file.bytes));
    }
  }
  return out;
}

}  // namespace

Result<tuf::RoleKeys> director_keys(std::string_view targets) {
  TRY_ASSIGN(const tuf::Envelope envelope, tuf::parse_envelope(as_bytes(targets), tuf::kMaxTargetsBytes));
  TRY_ASSIGN(const tuf::Targets parsed, tuf::parse_targets(envelope));
  const tuf::Delegation* director = parsed.delegation(tuf::kDirector);
  if (director == nullptr) return Error(Code::unknown_key, "targets delegates no director");
  return director->keys;
}

Status TrustState::reload(const store::Reader& reader) {
  TRY_ASSIGN(Found found, read_all(reader.metadata));
  if (found.root)
    for (const std::string_view role : {tuf::kSnapshot, tuf::kTimestamp})
      TRY(keys_.settle(role, found.root->roles.find(role)->second));
  if (found.targets_version > 0) {
    TRY(keys_.settle(tuf::kDirector, found.director));
    if (const auto signer = keys_.signer(tuf::kDirector, found.director); !signer)
      log::failure("no device can be assigned anything", signer.error());
  }
  add_gauges(found.expiries);
  const std::lock_guard guard(lock_);
  // Two publications may be read in the other order.
  if (found.targets_version < targets_version_) return {};
  targets_version_ = found.targets_version;
  director_ = std::move(found.director);
  expiries_.clear();
  for (release::RoleExpiry& one : found.expiries) expiries_.emplace(one.role, std::move(one));
  return {};
}

Result<OnlineKeys::Held> TrustState::director(const store::Metadata& metadata) const {
  tuf::RoleKeys named;
  std::int64_t version = 0;
  {
    const std::lock_guard guard(lock_);
    named = director_;
    version = targets_version_;
  }
  TRY_ASSIGN(const auto newer, metadata.find(tuf::kTargets, version + 1));
  if (!newer) return keys_.signer(tuf::kDirector, named);
  TRY_ASSIGN(const auto latest, metadata.latest(tuf::kTargets));
  if (!latest) return Error(Code::internal, "targets is there and is not");
  TRY_ASSIGN(named, director_keys(latest->bytes));
  return keys_.signer(tuf::kDirector, named);
}

std::vector<release::RoleExpiry> TrustState::expiries() const {
  const std::lock_guard guard(lock_);
  std::vector<release::RoleExpiry> out;
  for (const auto& [role, one] : expiries_) out.push_back(one);
  return out;
}

std::vector<release::ExpiryWarning> TrustState::warnings(const release::LeadTimes& leads) const {
  return release::expiry_warnings(expiries(), leads, clock_.wall());
}

double TrustState::seconds_left(const std::string& role) const {
  const std::lock_guard guard(lock_);
  const auto found = expiries_.find(role);
  if (found == expiries_.end()) return 0;
  return std::chrono::duration<double>(found->second.expires - clock_.wall()).count();
}

// Not under the lock: the registry takes its own, and asks for the values under it.
void TrustState::add_gauges(const std::vector<release::RoleExpiry>& roles) {
  std::vector<std::string> added;
  {
    const std::lock_guard guard(lock_);
    for (const release::RoleExpiry& one : roles)
      if (gauges_.insert(one.role).second) added.push_back(one.role);
  }
  for (const std::string& role : added)
    metrics_.gauge_reader("drover_trust_expiry_seconds", "Until the role's metadata expires; below 0: it has",
                          [this, role] { return seconds_left(role); }, {{"role", role}});
}

}  // namespace drover::api
