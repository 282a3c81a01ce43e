#include "server/api/journey/publish.h"

#include <algorithm>

#include "common/tuf/author.h"
#include "server/api/journey/engine.h"
#include "server/api/trust_state.h"

namespace drover::api {
namespace {

constexpr std::int64_t kSnapshotsKept = 100;  // for devices that read the timestamp just before a publication

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
    const auto found = std::find_if(checked.begin(), checked.end(), [&](const CheckedRelease& one) {
      return one.row.model == model && one.row.version == added.version;
    });
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

Result<OnlineKeys::Held> online_signer(const Api& api, const store::Writer& writer, std::string_view role) {
  TRY_ASSIGN(const tuf::Root root, current_root(writer.metadata));
  return api.keys.online->signer(role, root.roles.find(role)->second);
}

Status sign_timestamp(const Api& api, store::Writer& writer, std::string_view snapshot, WallTime now) {
  TRY_ASSIGN(const OnlineKeys::Held key, online_signer(api, writer, tuf::kTimestamp));
  TRY_ASSIGN(const tuf::MetaFile described, tuf::Document::describe(as_bytes(snapshot)));
  TRY_ASSIGN(const auto before, writer.metadata.latest(tuf::kTimestamp));
  const std::int64_t version = before ? before->version + 1 : 1;
  TRY_ASSIGN(std::string bytes, signed_bytes(tuf::make_timestamp(version, now + api.settings.timestamp, now, described),
                                             *key.pair));
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
  TRY_ASSIGN(const OnlineKeys::Held key, online_signer(api, writer, tuf::kSnapshot));
  TRY_ASSIGN(const std::string bytes,
             signed_bytes(tuf::make_snapshot(version, now + api.settings.snapshot, listed), *key.pair));
  TRY(writer.metadata.insert({std::string(tuf::kSnapshot), version, bytes}));
  TRY(writer.metadata.forget_below(tuf::kSnapshot, version - kSnapshotsKept));
  return sign_timestamp(api, writer, bytes, now);
}

Status publish_model(store::Writer& writer, const SignedFile& file, const std::vector<CheckedRelease>& checked,
                     WallTime now) {
  TRY_ASSIGN(const tuf::Targets targets, targets_of(file.bytes));
  TRY_ASSIGN(std::vector<release::Listed> after, listed_releases(file.role, targets));
  return store_releases(writer, file.role, std::move(after), checked, now);
}

Status note_director(store::Writer& writer, const SignedFile& targets) {
  TRY_ASSIGN(const auto before, writer.metadata.latest(tuf::kTargets));
  if (!before) return {};
  TRY_ASSIGN(const tuf::RoleKeys old, director_keys(before->bytes));
  TRY_ASSIGN(const tuf::RoleKeys now, director_keys(targets.bytes));
  if (old.keyids != now.keyids) writer.control_changed();
  return {};
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

Result<PublishedVersions> publish(const Api& api, store::Writer& writer, const Publication& publication,
                                  const std::vector<CheckedRelease>& checked, WallTime now) {
  TRY(check_publication(*api.keys.online, writer.metadata, publication, now));
  PublishedVersions versions;
  for (const SignedFile& file : publication.files()) {
    TRY_ASSIGN(const tuf::Document document, tuf::Document::parse(as_bytes(file.bytes)));
    versions[file.role] = document.version();
    if (file.role != tuf::kRoot && file.role != tuf::kTargets) TRY(publish_model(writer, file, checked, now));
    // Devices must hear of another director before their old assignment is in their way: their sessions are as of an
    // older revision then, and their next check-in gets a document that it signed.
    if (file.role == tuf::kTargets) TRY(note_director(writer, file));
    TRY(writer.metadata.insert({file.role, document.version(), file.bytes}));
  }
  TRY(sign_snapshot(api, writer, now));
  return versions;
}

Result<bool> refresh_online_roles(const Api& api, store::Writer& writer, WallTime now) {
  TRY_ASSIGN(const auto snapshot, writer.metadata.latest(tuf::kSnapshot));
  TRY_ASSIGN(const auto timestamp, writer.metadata.latest(tuf::kTimestamp));
  if (!snapshot || !timestamp) return false;
  TRY_ASSIGN(const WallTime snapshot_expires, expiry_of(snapshot->bytes));
  if (snapshot_expires - now < api.settings.snapshot / 2) {
    TRY(sign_snapshot(api, writer, now));
    return true;
  }
  TRY_ASSIGN(const WallTime timestamp_expires, expiry_of(timestamp->bytes));
  if (timestamp_expires - now >= api.settings.timestamp / 2) return false;
  TRY(sign_timestamp(api, writer, snapshot->bytes, now));
  return true;
}

}  // namespace drover::api
