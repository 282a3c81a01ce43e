#include "server/api/journey/publication.h"

#include <algorithm>

#include "common/crypto/pem_verify.h"
#include "common/tuf/trusted_set.h"

namespace drover::api {
namespace {

// What devices will read once the publication is stored.
class Upcoming {
 public:
  Upcoming(const store::Metadata& stored, const Publication& publication)
      : stored_(stored), publication_(publication) {}

  Result<std::optional<std::string>> bytes(std::string_view role) const {
    if (const SignedFile* file = publication_.find(role)) return std::optional(file->bytes);
    TRY_ASSIGN(auto row, stored_.latest(role));
    return row ? std::optional(std::move(row->bytes)) : std::nullopt;
  }
  Result<tuf::Root> root() const {
    TRY_ASSIGN(const auto text, bytes(tuf::kRoot));
    if (!text) return Error(Code::conflict, "there is no root yet; publish root first");
    return root_of(*text);
  }
  Result<tuf::Targets> targets() const {
    TRY_ASSIGN(const auto text, bytes(tuf::kTargets));
    if (!text) return Error(Code::conflict, "there is no targets role yet; publish it first");
    return targets_of(*text);
  }

 private:
  const store::Metadata& stored_;
  const Publication& publication_;
};

Status check_version(std::string_view role, std::int64_t version, std::int64_t current) {
  if (version == current + 1) return {};
  return Error(version <= current ? Code::metadata_rollback : Code::metadata_mismatch,
               std::string(role) + " has version " + std::to_string(version) + "; version " +
                   std::to_string(current + 1) + " comes next");
}

Status check_expiry(std::string_view role, WallTime expires, WallTime now) {
  if (now < expires) return {};
  return Error(Code::metadata_expired, std::string(role) + " expired at " + format_time(expires));
}

Status verify_role(const tuf::Keys& keys, const tuf::RoleKeys& role, std::string_view bytes) {
  TRY_ASSIGN(const tuf::Envelope envelope, tuf::parse_envelope(as_bytes(bytes), tuf::kMaxTargetsBytes));
  return tuf::verify_threshold(keys, role, envelope, crypto::verify_pem);
}

// --- each file -------------------------------------------------------------------------------------------------------

Status check_root(const OnlineKeys& keys, const store::Metadata& stored, std::string_view bytes, WallTime now) {
  TRY_ASSIGN(const tuf::Root root, root_of(bytes));
  TRY_ASSIGN(const auto before, stored.latest(tuf::kRoot));
  TRY(check_version(tuf::kRoot, root.version, before ? before->version : 0));
  if (before) {
    TRY_ASSIGN(tuf::TrustedSet set, tuf::TrustedSet::create(as_bytes(before->bytes), now, crypto::verify_pem));
    TRY(set.update_root(as_bytes(bytes)));
  } else {
    TRY(tuf::TrustedSet::create(as_bytes(bytes), now, crypto::verify_pem));
  }
  TRY(check_expiry(tuf::kRoot, root.expires, now));
  for (const std::string_view role : {tuf::kSnapshot, tuf::kTimestamp}) {
    const auto signer = keys.signer(role, root.roles.find(role)->second);
    if (!signer)
      return Error(Code::unknown_key,
                   "root must name this server's " + std::string(role) + " key with threshold 1 (GET /trust shows it)");
  }
  return {};
}

Status check_signatures(const Upcoming& upcoming, std::string_view role, std::string_view bytes) {
  if (role == tuf::kTargets) {
    TRY_ASSIGN(const tuf::Root root, upcoming.root());
    return verify_role(root.keys, root.roles.find(tuf::kTargets)->second, bytes);
  }
  TRY_ASSIGN(const tuf::Targets parent, upcoming.targets());
  const tuf::Delegation* delegation = parent.delegation(role);
  if (delegation == nullptr)
    return Error(Code::not_found, "targets delegates no role " + std::string(role) + "; publish targets with it first");
  return verify_role(parent.delegation_keys, delegation->keys, bytes);
}

Status check_director(const OnlineKeys& keys, const tuf::Targets& targets) {
  const tuf::Delegation* director = targets.delegation(tuf::kDirector);
  if (director == nullptr || !keys.signer(tuf::kDirector, director->keys))
    return Error(Code::unknown_key,
                 "targets must delegate director to this server's director key with threshold 1 (GET /trust shows it)");
  return {};
}

Status check_targets(const OnlineKeys& keys, const store::Metadata& stored, const Upcoming& upcoming,
                     const SignedFile& file, WallTime now) {
  TRY(check_signatures(upcoming, file.role, file.bytes).within(file.role));
  TRY_ASSIGN(const tuf::Targets targets, targets_of(file.bytes));
  TRY_ASSIGN(const auto before, stored.latest(file.role));
  TRY(check_version(file.role, targets.version, before ? before->version : 0));
  TRY(check_expiry(file.role, targets.expires, now));
  return file.role == tuf::kTargets ? check_director(keys, targets) : Status();
}

// --- all of them -----------------------------------------------------------------------------------------------------

bool same_keys(const tuf::RoleKeys& a, const tuf::RoleKeys& b) {
  return a.threshold == b.threshold &&
         std::is_permutation(a.keyids.begin(), a.keyids.end(), b.keyids.begin(), b.keyids.end());
}

Status still_verifies(const tuf::Keys& keys, const tuf::RoleKeys& role, std::string_view name, std::string_view bytes) {
  if (verify_role(keys, role, bytes)) return {};
  return Error(Code::threshold_not_met, std::string(name) + " as it is published lacks signatures of the keys that " +
                                            "this change leaves it: sign " + std::string(name) +
                                            " anew and publish it together with the change");
}

Status check_model(const Upcoming& upcoming, const tuf::Targets& after, const tuf::Delegation& before) {
  TRY_ASSIGN(const auto text, upcoming.bytes(before.name));
  if (!text || before.name == tuf::kDirector) return {};
  const tuf::Delegation* now = after.delegation(before.name);
  if (now != nullptr && same_keys(now->keys, before.keys)) return {};
  if (now != nullptr) return still_verifies(after.delegation_keys, now->keys, before.name, *text);
  TRY_ASSIGN(const tuf::Targets listed, targets_of(*text));
  if (listed.targets.empty()) return {};
  return Error(Code::conflict, "targets no longer delegates " + before.name +
                                   ", which has releases; withdraw them first (drover release withdraw)");
}

Status check_consistency(const store::Metadata& stored, const Upcoming& upcoming, const Publication& publication) {
  TRY_ASSIGN(const auto text, upcoming.bytes(tuf::kTargets));
  if (!text) return {};
  if (publication.find(tuf::kRoot) != nullptr) {
    TRY_ASSIGN(const tuf::Root root, upcoming.root());
    TRY(still_verifies(root.keys, root.roles.find(tuf::kTargets)->second, tuf::kTargets, *text));
  }
  TRY_ASSIGN(const auto before, stored.latest(tuf::kTargets));
  if (!before || publication.find(tuf::kTargets) == nullptr) return {};
  TRY_ASSIGN(const tuf::Targets old, targets_of(before->bytes));
  TRY_ASSIGN(const tuf::Targets after, targets_of(*text));
  for (const tuf::Delegation& delegation : old.delegations) TRY(check_model(upcoming, after, delegation));
  return {};
}

int rank(std::string_view role) { return role == tuf::kRoot ? 0 : role == tuf::kTargets ? 1 : 2; }

}  // namespace

Result<tuf::Root> root_of(std::string_view bytes) {
  TRY_ASSIGN(const tuf::Envelope envelope, tuf::parse_envelope(as_bytes(bytes), tuf::kMaxRootBytes));
  return tuf::parse_root(envelope);
}

Result<tuf::Targets> targets_of(std::string_view bytes) {
  TRY_ASSIGN(const tuf::Envelope envelope, tuf::parse_envelope(as_bytes(bytes), tuf::kMaxTargetsBytes));
  return tuf::parse_targets(envelope);
}

Result<tuf::Root> current_root(const store::Metadata& metadata) {
  TRY_ASSIGN(const auto row, metadata.latest(tuf::kRoot));
  if (!row) return Error(Code::conflict, "there is no root yet; publish root first");
  return root_of(row->bytes);
}

Result<Publication> Publication::of(std::vector<SignedFile> files) {
  if (files.empty() || files.size() > kMaxPublishedFiles)
    return Error(Code::invalid_argument, "a publication has 1 to " + std::to_string(kMaxPublishedFiles) + " files");
  for (const SignedFile& file : files)
    if (file.role != tuf::kRoot && file.role != tuf::kTargets && !tuf::is_model_name(file.role))
      return Error(Code::invalid_argument, "the role is root, targets or a model's name");
  std::sort(files.begin(), files.end(), [](const SignedFile& a, const SignedFile& b) {
    return rank(a.role) != rank(b.role) ? rank(a.role) < rank(b.role) : a.role < b.role;
  });
  for (std::size_t i = 1; i < files.size(); ++i)
    if (files[i].role == files[i - 1].role)
      return Error(Code::invalid_argument, "the role " + files[i].role + " stands twice");
  Publication out;
  out.files_ = std::move(files);
  return out;
}

const SignedFile* Publication::find(std::string_view role) const {
  const auto found = std::find_if(files_.begin(), files_.end(), [&](const SignedFile& f) { return f.role == role; });
  return found == files_.end() ? nullptr : &*found;
}

Status check_publication(const OnlineKeys& keys, const store::Metadata& stored, const Publication& publication,
                         WallTime now) {
  const Upcoming upcoming(stored, publication);
  for (const SignedFile& file : publication.files()) {
    if (file.role == tuf::kRoot) {
      TRY(check_root(keys, stored, file.bytes, now));
    } else {
      TRY(check_targets(keys, stored, upcoming, file, now));
    }
  }
  return check_consistency(stored, upcoming, publication);
}

}  // namespace drover::api
