#include "server/api/journey/publish.h"

#include <algorithm>

#include "common/crypto/pem_verify.h"
#include "common/tuf/author.h"
#include "common/tuf/trusted_set.h"
#include "server/api/journey/engine.h"

namespace drover::api {
namespace {

constexpr std::int64_t kSnapshotsKept = 100;  // for devices that read the timestamp just before a publication

std::uint64_t limit_of(std::string_view role) {
  return role == tuf::kRoot ? tuf::kMaxRootBytes : tuf::kMaxTargetsBytes;
}

bool holds(const std::vector<std::string>& keyids, const tuf::Key& key) {
  return std::find(keyids.begin(), keyids.end(), key.id) != keyids.end();
}

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

Result<tuf::Root> current_root(const store::Metadata& metadata) {
  TRY_ASSIGN(const auto row, metadata.latest(tuf::kRoot));
  if (!row) return Error(Code::conflict, "there is no root yet; publish root first");
  TRY_ASSIGN(const tuf::Envelope envelope, tuf::parse_envelope(as_bytes(row->bytes), tuf::kMaxRootBytes));
  return tuf::parse_root(envelope);
}

// --- root ------------------------------------------------------------------------------------------------------------

Status names_online_keys(const Api& api, const tuf::Root& root) {
  const std::pair<std::string_view, const crypto::KeyPair*> online[] = {{tuf::kSnapshot, &api.keys.snapshot},
                                                                        {tuf::kTimestamp, &api.keys.timestamp}};
  for (const auto& [role, key] : online) {
    const auto found = root.roles.find(role);
    if (found == root.roles.end() || found->second.threshold != 1 ||
        !holds(found->second.keyids, tuf::make_key(key->public_key())))
      return Error(Code::unknown_key, "root must name this server's " + std::string(role) +
                                          " key with threshold 1 (GET /trust shows it)");
  }
  return {};
}

Result<std::int64_t> check_root(const Api& api, const store::Metadata& metadata, std::string_view bytes, WallTime now) {
  TRY_ASSIGN(const tuf::Envelope envelope, tuf::parse_envelope(as_bytes(bytes), tuf::kMaxRootBytes));
  TRY_ASSIGN(const tuf::Root root, tuf::parse_root(envelope));
  TRY_ASSIGN(const auto before, metadata.latest(tuf::kRoot));
  TRY(check_version(tuf::kRoot, root.version, before ? before->version : 0));
  if (before) {
    TRY_ASSIGN(tuf::TrustedSet set, tuf::TrustedSet::create(as_bytes(before->bytes), now, crypto::verify_pem));
    TRY(set.update_root(as_bytes(bytes)));
  } else {
    TRY(tuf::TrustedSet::create(as_bytes(bytes), now, crypto::verify_pem));
  }
  TRY(check_expiry(tuf::kRoot, root.expires, now));
  TRY(names_online_keys(api, root));
  return root.version;
}

// --- targets and model roles -----------------------------------------------------------------------------------------

Status names_director(const Api& api, const tuf::Targets& targets) {
  const tuf::Delegation* director = targets.delegation(tuf::kDirector);
  if (director == nullptr || director->keys.threshold != 1 ||
      !holds(director->keys.keyids, tuf::make_key(api.keys.director.public_key())))
    return Error(Code::unknown_key,
                 "targets must delegate director to this server's director key with threshold 1 (GET /trust shows it)");
  return {};
}

Result<tuf::Targets> current_targets(const store::Metadata& metadata) {
  TRY_ASSIGN(const auto row, metadata.latest(tuf::kTargets));
  if (!row) return Error(Code::conflict, "there is no targets role yet; publish it first");
  TRY_ASSIGN(const tuf::Envelope envelope, tuf::parse_envelope(as_bytes(row->bytes), tuf::kMaxTargetsBytes));
  return tuf::parse_targets(envelope);
}

Status check_signatures(const store::Metadata& metadata, std::string_view role, const tuf::Envelope& envelope) {
  if (role == tuf::kTargets) {
    TRY_ASSIGN(const tuf::Root root, current_root(metadata));
    return tuf::verify_threshold(root.keys, root.roles.at(std::string(tuf::kTargets)), envelope, crypto::verify_pem);
  }
  TRY_ASSIGN(const tuf::Targets parent, current_targets(metadata));
  const tuf::Delegation* delegation = parent.delegation(role);
  if (delegation == nullptr)
    return Error(Code::not_found, "targets delegates no role " + std::string(role) + "; publish targets with it first");
  return tuf::verify_threshold(parent.delegation_keys, delegation->keys, envelope, crypto::verify_pem);
}

Result<tuf::Targets> check_targets(const Api& api, const store::Metadata& metadata, std::string_view role,
                                   std::string_view bytes, WallTime now) {
  TRY_ASSIGN(const tuf::Envelope envelope, tuf::parse_envelope(as_bytes(bytes), limit_of(role)));
  TRY(check_signatures(metadata, role, envelope));
  TRY_ASSIGN(tuf::Targets targets, tuf::parse_targets(envelope));
  TRY_ASSIGN(const auto before, metadata.latest(role));
  TRY(check_version(role, targets.version, before ? before->version : 0));
  TRY(check_expiry(role, targets.expires, now));
  if (role == tuf::kTargets) TRY(names_director(api, targets));
  return targets;
}

// --- releases --------------------------------------------------------------------------------------------------------

release::Listed listed_of(const store::ReleaseRow& row) {
  release::Listed out;
  out.version = row.version;
  out.length = row.index_size;
  out.sha256 = row.index_digest.substr(std::string_view("sha256:").size());
  out.release_counter = row.release_counter;
  for (const store::VariantRow& variant : row.variants) out.kinds.push_back(variant.kind);
  return out;
}

Status set_state(store::Writer& writer, const store::Control& control, std::string_view model,
                 std::string_view version, store::ReleaseState state, std::int64_t counter) {
  const store::ReleaseEntry* entry = control.release(model, version);
  if (entry == nullptr) return Error(Code::internal, "a listed release is not stored");
  store::ReleaseRow row = entry->row;
  row.state = state;
  row.release_counter = std::max(row.release_counter, counter);
  return writer.releases.update(row);
}

// Rollouts of a release that was withdrawn offer it no more.
Status stop_withdrawn(store::Writer& writer, const store::Control& control, std::string_view model,
                      const std::vector<std::string>& withdrawn, WallTime now) {
  for (const store::RolloutEntry& entry : control.rollouts) {
    if (entry.spec.model != model) continue;
    if (std::find(withdrawn.begin(), withdrawn.end(), entry.spec.release) == withdrawn.end()) continue;
    TRY_ASSIGN(auto row, writer.rollouts.find_no(entry.no));
    if (!row) continue;
    const Status fed = feed(writer, *row, {now, rollout::ReleaseWithdrawn{}});
    if (!fed && fed.error().code() != Code::conflict) return fed;  // one that is over has nothing to stop
  }
  return {};
}

// A confidential release that no device could open would only fail, everywhere.
Status check_keys(const store::Releases& releases, const store::ReleaseRow& release) {
  for (const store::VariantRow& variant : release.variants) {
    if (!variant.encrypted) continue;
    TRY_ASSIGN(const auto key, releases.content_key(variant.manifest));
    if (!key)
      return Error(Code::conflict, release.model + "/" + release.version + " is encrypted, and the content key for " +
                                       variant.kind + " was not handed over; push it with its key file");
  }
  return {};
}

Status store_releases(store::Writer& writer, std::string_view model, std::vector<release::Listed> after,
                      const std::vector<CheckedRelease>& checked, WallTime now) {
  TRY_ASSIGN(const auto control, writer.control());
  std::vector<release::Listed> before, withdrawn;
  if (const auto found = control->models.find(model); found != control->models.end())
    for (const auto& [version, entry] : found->second)
      (entry.row.state == store::ReleaseState::withdrawn ? withdrawn : before).push_back(listed_of(entry.row));
  TRY_ASSIGN(const release::Changes changes, release::plan_publication(before, withdrawn, after));
  for (const release::Listed& added : changes.added) {
    const auto found = std::find_if(checked.begin(), checked.end(),
                                    [&](const CheckedRelease& one) { return one.row.version == added.version; });
    if (found == checked.end()) return Error(Code::conflict, "the model's releases have changed meanwhile; try again");
    TRY(check_keys(writer.releases, found->row));
    store::ReleaseRow row = found->row;
    row.published_at = now;
    TRY(writer.releases.insert(row));
  }
  for (const release::Listed& one : changes.reinstated)
    TRY(set_state(writer, *control, model, one.version, store::ReleaseState::published, one.release_counter));
  for (const release::Listed& one : changes.raised)
    TRY(set_state(writer, *control, model, one.version, store::ReleaseState::published, one.release_counter));
  for (const std::string& version : changes.withdrawn)
    TRY(set_state(writer, *control, model, version, store::ReleaseState::withdrawn, 0));
  if (!changes.empty()) writer.control_changed();
  return stop_withdrawn(writer, *control, model, changes.withdrawn, now);
}

// --- snapshot and timestamp ------------------------------------------------------------------------------------------

Result<std::string> signed_bytes(tuf::Document document, const crypto::KeyPair& key) {
  TRY(document.sign(key));
  return document.encode();
}

bool is_listed(std::string_view role) {
  return role != tuf::kRoot && role != tuf::kTimestamp && role != tuf::kSnapshot && role != tuf::kDirector;
}

Status sign_timestamp(const Api& api, store::Writer& writer, std::string_view snapshot, WallTime now) {
  TRY_ASSIGN(const tuf::MetaFile described, tuf::Document::describe(as_bytes(snapshot)));
  TRY_ASSIGN(const auto before, writer.metadata.latest(tuf::kTimestamp));
  const std::int64_t version = before ? before->version + 1 : 1;
  TRY_ASSIGN(std::string bytes, signed_bytes(tuf::make_timestamp(version, now + api.settings.timestamp, now, described),
                                             api.keys.timestamp));
  TRY(writer.metadata.insert({std::string(tuf::kTimestamp), version, std::move(bytes)}));
  return writer.metadata.forget_below(tuf::kTimestamp, version);
}

Status sign_snapshot(const Api& api, store::Writer& writer, WallTime now) {
  TRY_ASSIGN(const auto files, writer.metadata.current());
  tuf::MetaFiles listed;
  std::int64_t version = 1;
  bool any = false;
  for (const store::MetadataRow& file : files) {
    if (file.role == tuf::kSnapshot) version = file.version + 1;
    if (file.role == tuf::kTargets) any = true;
    if (!is_listed(file.role)) continue;
    TRY_ASSIGN(listed[file.role + ".json"], tuf::Document::describe(as_bytes(file.bytes)));
  }
  if (!any) return {};
  TRY_ASSIGN(const std::string bytes, signed_bytes(tuf::make_snapshot(version, now + api.settings.snapshot, listed),
                                                   api.keys.snapshot));
  TRY(writer.metadata.insert({std::string(tuf::kSnapshot), version, bytes}));
  TRY(writer.metadata.forget_below(tuf::kSnapshot, version - kSnapshotsKept));
  return sign_timestamp(api, writer, bytes, now);
}

Result<WallTime> expiry_of(std::string_view bytes) {
  TRY_ASSIGN(const tuf::Document document, tuf::Document::parse(as_bytes(bytes)));
  return document.expires();
}

}  // namespace

Result<std::vector<release::Listed>> listed_releases(std::string_view model, const tuf::Targets& targets) {
  std::vector<release::Listed> all;
  for (const auto& [path, target] : targets.targets) {
    release::Listed one;
    TRY_ASSIGN(one.version, release::version_of_path(model, path));
    TRY_ASSIGN(const crypto::Digest digest, target.digest().within(path));
    TRY_ASSIGN(const tuf::ReleaseCustom custom, tuf::parse_release_custom(target.custom).within(path));
    one.length = static_cast<std::int64_t>(target.length);
    one.sha256 = digest.hex();
    one.release_counter = custom.release_counter;
    one.kinds = custom.kinds;
    std::sort(one.kinds.begin(), one.kinds.end());
    all.push_back(std::move(one));
  }
  return all;
}

Status check_metadata(const Api& api, const store::Metadata& metadata, std::string_view role, std::string_view bytes,
                      WallTime now) {
  if (role == tuf::kRoot) {
    TRY(check_root(api, metadata, bytes, now));
  } else {
    TRY(check_targets(api, metadata, role, bytes, now));
  }
  return {};
}

Result<std::int64_t> publish(const Api& api, store::Writer& writer, std::string_view role, std::string_view bytes,
                             const std::vector<CheckedRelease>& checked, WallTime now) {
  std::int64_t version = 0;
  if (role == tuf::kRoot) {
    TRY_ASSIGN(version, check_root(api, writer.metadata, bytes, now));
  } else {
    TRY_ASSIGN(const tuf::Targets targets, check_targets(api, writer.metadata, role, bytes, now));
    version = targets.version;
    if (role != tuf::kTargets) {
      TRY_ASSIGN(std::vector<release::Listed> after, listed_releases(role, targets));
      TRY(store_releases(writer, role, std::move(after), checked, now));
    }
  }
  TRY(writer.metadata.insert({std::string(role), version, std::string(bytes)}));
  TRY(sign_snapshot(api, writer, now));
  return version;
}

Status refresh_online_roles(const Api& api, store::Writer& writer, WallTime now) {
  TRY_ASSIGN(const auto snapshot, writer.metadata.latest(tuf::kSnapshot));
  TRY_ASSIGN(const auto timestamp, writer.metadata.latest(tuf::kTimestamp));
  if (!snapshot || !timestamp) return {};
  TRY_ASSIGN(const WallTime snapshot_expires, expiry_of(snapshot->bytes));
  if (snapshot_expires - now < api.settings.snapshot / 2) return sign_snapshot(api, writer, now);
  TRY_ASSIGN(const WallTime timestamp_expires, expiry_of(timestamp->bytes));
  if (timestamp_expires - now < api.settings.timestamp / 2) return sign_timestamp(api, writer, snapshot->bytes, now);
  return {};
}

}  // namespace drover::api
