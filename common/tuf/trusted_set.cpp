#include "common/tuf/trusted_set.h"

#include <algorithm>

namespace drover::tuf {
namespace {

Error version_error(std::string_view role, std::int64_t got, std::int64_t expected) {
  return {Code::metadata_mismatch, std::string(role) + " has version " + std::to_string(got) + " where " +
                                       std::to_string(expected) + " is listed"};
}

Error rollback_error(std::string_view role, std::int64_t got, std::int64_t trusted) {
  return {Code::metadata_rollback,
          std::string(role) + " went back from version " + std::to_string(trusted) + " to " + std::to_string(got)};
}

Status verify_root_with(const Root& signer, const Envelope& envelope, ForeignVerify foreign) {
  return verify_threshold(signer.keys, signer.roles.find(kRoot)->second, envelope, foreign)
      .within("root, by the keys of version " + std::to_string(signer.version));
}

}  // namespace

Result<TrustedSet> TrustedSet::create(ByteView bytes, WallTime now, ForeignVerify foreign) {
  TRY_ASSIGN(Envelope envelope, parse_envelope(bytes, kMaxRootBytes).within("trusted root"));
  TRY_ASSIGN(Root root, parse_root(envelope).within("trusted root"));
  TRY(verify_root_with(root, envelope, foreign));
  return TrustedSet(std::move(root), now, foreign);
}

Status TrustedSet::update_root(ByteView bytes) {
  if (root_is_final_) return Error(Code::internal, "a new root after the end of the chain");
  TRY_ASSIGN(Envelope envelope, parse_envelope(bytes, kMaxRootBytes).within("root"));
  TRY_ASSIGN(Root next, parse_root(envelope).within("root"));
  TRY(verify_root_with(root_, envelope, foreign_));
  if (next.version != root_.version + 1) return version_error(kRoot, next.version, root_.version + 1);
  TRY(verify_root_with(next, envelope, foreign_));
  root_ = std::move(next);
  return {};
}

Status TrustedSet::finish_root() {
  TRY(check_expiry(kRoot, root_.expires));
  root_is_final_ = true;
  return {};
}

Status TrustedSet::check_expiry(std::string_view role, WallTime expires) const {
  if (now_ < expires) return {};
  return Error(Code::metadata_expired,
               std::string(role) + " has expired at " + format_time(expires) + ", and it is " + format_time(now_));
}

Status TrustedSet::verify_by_root(std::string_view role, const Envelope& envelope) const {
  if (!root_is_final_) return Error(Code::internal, "the root chain has not been walked to its end");
  return verify_threshold(root_.keys, root_.roles.find(role)->second, envelope, foreign_).within(role);
}

Status TrustedSet::guard_timestamp(ByteView bytes) {
  TRY_ASSIGN(Envelope envelope, parse_envelope(bytes, kMaxTimestampBytes).within(kTimestamp));
  TRY_ASSIGN(Timestamp timestamp, parse_timestamp(envelope).within(kTimestamp));
  TRY(verify_by_root(kTimestamp, envelope));
  timestamp_ = std::move(timestamp);
  return {};
}

void TrustedSet::notice_rotation(ByteView snapshot) {
  const auto envelope = parse_envelope(snapshot, kMaxSnapshotBytes);
  if (!envelope || !parse_snapshot(*envelope)) return;  // damaged: tells nothing
  const RoleKeys& role = root_.roles.find(kSnapshot)->second;
  const auto is_current = [&](const FileSignature& signature) {
    return std::find(role.keyids.begin(), role.keyids.end(), signature.keyid) != role.keyids.end();
  };
  const auto current = std::count_if(envelope->signatures.begin(), envelope->signatures.end(), is_current);
  snapshot_key_rotated_ = current < role.threshold;
}

Result<TimestampChange> TrustedSet::update_timestamp(ByteView bytes) {
  TRY_ASSIGN(Envelope envelope, parse_envelope(bytes, kMaxTimestampBytes).within(kTimestamp));
  TRY_ASSIGN(Timestamp next, parse_timestamp(envelope).within(kTimestamp));
  TRY(verify_by_root(kTimestamp, envelope));
  if (timestamp_) {
    if (next.version < timestamp_->version) return rollback_error(kTimestamp, next.version, timestamp_->version);
    if (next.version == timestamp_->version) {
      TRY(check_expiry(kTimestamp, timestamp_->expires));
      return TimestampChange::same;
    }
    if (!snapshot_key_rotated_ && next.snapshot.version < timestamp_->snapshot.version)
      return rollback_error("the snapshot in timestamp", next.snapshot.version, timestamp_->snapshot.version);
  }
  TRY(check_expiry(kTimestamp, next.expires));
  timestamp_ = std::move(next);
  return TimestampChange::newer;
}

Status TrustedSet::guard_snapshot(ByteView bytes) {
  if (!timestamp_) return Error(Code::internal, "a snapshot before the timestamp");
  TRY_ASSIGN(Envelope envelope, parse_envelope(bytes, kMaxSnapshotBytes).within(kSnapshot));
  TRY_ASSIGN(Snapshot snapshot, parse_snapshot(envelope).within(kSnapshot));
  TRY(verify_by_root(kSnapshot, envelope));
  snapshot_ = std::move(snapshot);
  // It guards even when it is not the one that the timestamp lists.
  snapshot_matches_ = verify_listed(timestamp_->snapshot, bytes).has_value();
  return {};
}

bool TrustedSet::snapshot_is_current() const {
  return timestamp_ && snapshot_ && snapshot_matches_ && snapshot_->version == timestamp_->snapshot.version &&
         now_ < timestamp_->expires && now_ < snapshot_->expires;
}

Status TrustedSet::check_snapshot_rollback(const Snapshot& next) const {
  if (!snapshot_) return {};
  for (const auto& [name, trusted] : snapshot_->meta) {
    const auto found = next.meta.find(name);
    if (found == next.meta.end()) return Error(Code::metadata_rollback, name + " is no longer listed in the snapshot");
    if (found->second.version < trusted.version) return rollback_error(name, found->second.version, trusted.version);
  }
  return {};
}

Status TrustedSet::update_snapshot(ByteView bytes) {
  if (!timestamp_) return Error(Code::internal, "a snapshot before the timestamp");
  TRY(check_expiry(kTimestamp, timestamp_->expires));
  TRY(verify_listed(timestamp_->snapshot, bytes).within(kSnapshot));
  TRY_ASSIGN(Envelope envelope, parse_envelope(bytes, kMaxSnapshotBytes).within(kSnapshot));
  TRY_ASSIGN(Snapshot next, parse_snapshot(envelope).within(kSnapshot));
  TRY(verify_by_root(kSnapshot, envelope));
  if (next.version != timestamp_->snapshot.version)
    return version_error(kSnapshot, next.version, timestamp_->snapshot.version);
  TRY(check_snapshot_rollback(next));
  TRY(check_expiry(kSnapshot, next.expires));
  snapshot_ = std::move(next);
  snapshot_matches_ = true;
  return {};
}

const MetaFile* TrustedSet::listed(std::string_view role) const {
  if (!snapshot_) return nullptr;
  const auto found = snapshot_->meta.find(std::string(role) + ".json");
  return found == snapshot_->meta.end() ? nullptr : &found->second;
}

const Targets* TrustedSet::targets(std::string_view role) const {
  const auto found = targets_.find(role);
  return found == targets_.end() ? nullptr : &found->second.targets;
}

Result<TrustedSet::Loaded> TrustedSet::load_targets(ByteView bytes, std::string_view role) const {
  if (!snapshot_is_current()) return Error(Code::internal, "targets before a current snapshot");
  const MetaFile* meta = listed(role);
  if (meta == nullptr) return Error(Code::metadata_mismatch, "the snapshot does not list it");
  TRY(verify_listed(*meta, bytes));
  TRY_ASSIGN(Envelope envelope, parse_envelope(bytes, kMaxTargetsBytes));
  TRY_ASSIGN(Targets targets, parse_targets(envelope));
  return Loaded{std::move(targets), std::move(envelope), {}};
}

Status TrustedSet::verify_by_delegator(std::string_view role, std::string_view delegator,
                                       const Envelope& envelope) const {
  if (delegator == kRoot) return verify_by_root(role, envelope);
  const Targets* parent = targets(delegator);
  const RoleKeys* keys = parent == nullptr ? nullptr : parent->delegated_keys(role);
  if (keys == nullptr) return Error(Code::unknown_key, "\"" + std::string(delegator) + "\" does not delegate to it");
  return verify_threshold(parent->delegation_keys, *keys, envelope, foreign_);
}

Status TrustedSet::check_authority(std::string_view role, std::string_view delegator) const {
  const auto found = targets_.find(role);
  if (found == targets_.end()) return Error(Code::internal, "the role " + std::string(role) + " is not loaded");
  if (found->second.verified_by == delegator) return {};
  return verify_by_delegator(role, delegator, found->second.envelope).within(role);
}

Status TrustedSet::update_targets(ByteView bytes) { return update_delegated(bytes, kTargets, kRoot); }

Status TrustedSet::update_delegated(ByteView bytes, std::string_view role, std::string_view delegator) {
  TRY_ASSIGN(Loaded loaded, load_targets(bytes, role).within(role));
  TRY(verify_by_delegator(role, delegator, loaded.envelope).within(role));
  const std::int64_t expected = listed(role)->version;
  if (loaded.targets.version != expected) return version_error(role, loaded.targets.version, expected);
  TRY(check_expiry(role, loaded.targets.expires));
  loaded.verified_by = delegator;
  for (auto& [name, below] : targets_)
    if (below.verified_by == role) below.verified_by.clear();  // another delegator may name other keys
  targets_.insert_or_assign(std::string(role), std::move(loaded));
  return {};
}

}  // namespace drover::tuf
