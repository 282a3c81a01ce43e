#include "common/tuf/refresh.h"

#include <algorithm>

namespace drover::tuf {

Result<Refresh> Refresh::start(MetadataStore& store, WallTime now, ForeignVerify foreign) {
  TRY_ASSIGN(const Bytes root, store.load(kRoot).within("loading the trusted root"));
  TRY_ASSIGN(TrustedSet trusted, TrustedSet::create(root, now, foreign));
  return Refresh(store, std::move(trusted));
}

RefreshStep Refresh::next() {
  const auto name = [&](std::int64_t version, std::string_view file) {
    return std::to_string(version) + "." + std::string(file);
  };
  switch (phase_) {
    case Phase::roots:
      return NeedFile{name(trusted_.root().version + 1, "root.json"), kMaxRootBytes};
    case Phase::timestamp:
      return NeedFile{"timestamp.json", kMaxTimestampBytes};
    case Phase::snapshot: {
      const MetaFile& listed = trusted_.timestamp()->snapshot;
      const std::uint64_t length = std::min(listed.length.value_or(kMaxSnapshotBytes), kMaxSnapshotBytes);
      return NeedFile{trusted_.root().consistent_snapshot ? name(listed.version, "snapshot.json") : "snapshot.json",
                      length};
    }
    case Phase::targets:
      return need_role(kTargets);
    case Phase::search:
      return need_role(wanted_role_->role);
    case Phase::done:
      return Done{};
    case Phase::failed:
      break;
  }
  return *error_;
}

NeedFile Refresh::need_role(std::string_view role) const {
  const MetaFile& listed = *trusted_.listed(role);
  const std::string file = encode_role_name(role) + ".json";
  return {trusted_.root().consistent_snapshot ? std::to_string(listed.version) + "." + file : file,
          std::min(listed.length.value_or(kMaxTargetsBytes), kMaxTargetsBytes)};
}

void Refresh::feed(Result<Bytes> file) {
  switch (phase_) {
    case Phase::roots:
      return settle(take_root(std::move(file)));
    case Phase::timestamp:
      return settle(take_timestamp(std::move(file)));
    case Phase::snapshot:
      return settle(take_snapshot(std::move(file)));
    case Phase::targets:
    case Phase::search:
      return settle(take_role(std::move(file)));
    case Phase::done:
    case Phase::failed:
      return;
  }
}

void Refresh::settle(Status status) {
  if (status) return;
  error_ = std::move(status).error();
  phase_ = Phase::failed;
}

Status Refresh::take_root(Result<Bytes> file) {
  if (!file && file.error().code() == Code::not_found) return end_roots();
  TRY_ASSIGN(const Bytes bytes, std::move(file).within("fetching root"));
  TRY(trusted_.update_root(bytes));
  TRY(store_->save(kRoot, bytes).within("storing root"));
  return ++roots_taken_ < kMaxRootRotations ? Status() : end_roots();
}

Status Refresh::load_guard(std::string_view role, Status (TrustedSet::*guard)(ByteView)) {
  TRY_ASSIGN(const std::optional<Bytes> local, load_local(role));
  if (local) (void)(trusted_.*guard)(*local);
  return {};
}

// What is damaged, too large or signed by keys of the past guards nothing; what cannot be read just now may.
Result<std::optional<Bytes>> Refresh::load_local(std::string_view role) {
  auto local = store_->load(role);
  if (local) return std::optional<Bytes>(std::move(*local));
  if (local.error().code() == Code::not_found || local.error().code() == Code::too_large) return std::optional<Bytes>();
  return std::move(local).error().within("loading the local metadata");
}

Status Refresh::end_roots() {
  TRY(trusted_.finish_root());
  TRY(load_guard(kTimestamp, &TrustedSet::guard_timestamp));
  TRY_ASSIGN(const std::optional<Bytes> snapshot, load_local(kSnapshot));
  if (snapshot) trusted_.notice_rotation(*snapshot);
  phase_ = Phase::timestamp;
  return {};
}

Status Refresh::take_timestamp(Result<Bytes> file) {
  TRY_ASSIGN(const Bytes bytes, std::move(file).within("fetching timestamp"));
  TRY_ASSIGN(const TimestampChange change, trusted_.update_timestamp(bytes));
  if (change == TimestampChange::newer) TRY(store_->save(kTimestamp, bytes).within("storing timestamp"));
  return begin_snapshot();
}

Status Refresh::begin_snapshot() {
  TRY(load_guard(kSnapshot, &TrustedSet::guard_snapshot));
  if (trusted_.snapshot_is_current()) return begin_targets();
  phase_ = Phase::snapshot;
  return {};
}

Status Refresh::take_snapshot(Result<Bytes> file) {
  TRY_ASSIGN(const Bytes bytes, std::move(file).within("fetching snapshot"));
  TRY(trusted_.update_snapshot(bytes));
  TRY(store_->save(kSnapshot, bytes).within("storing snapshot"));
  return begin_targets();
}

Status Refresh::begin_targets() {
  if (trusted_.listed(kTargets) == nullptr)
    return Error(Code::metadata_mismatch, "the snapshot does not list targets.json");
  if (!load_local_role(kTargets, kRoot)) {
    phase_ = Phase::targets;
    return {};
  }
  refreshed_ = true;
  phase_ = Phase::done;
  return {};
}

bool Refresh::load_local_role(std::string_view role, std::string_view delegator) {
  const auto local = store_->load(role);
  return local && trusted_.update_delegated(*local, role, delegator).has_value();
}

Status Refresh::take_role(Result<Bytes> file) {
  const Search::NeedRole wanted =
      phase_ == Phase::targets ? Search::NeedRole{std::string(kTargets), std::string(kRoot)} : *wanted_role_;
  TRY_ASSIGN(const Bytes bytes, std::move(file).within("fetching " + wanted.role));
  TRY(trusted_.update_delegated(bytes, wanted.role, wanted.delegator));
  TRY(store_->save(wanted.role, bytes).within("storing " + wanted.role));
  if (phase_ == Phase::search) return continue_search();
  refreshed_ = true;
  phase_ = Phase::done;
  return {};
}

void Refresh::find(std::string target_path) {
  found_.reset();
  if (!refreshed_) {
    if (!error_) settle(Error(Code::internal, "a search before the metadata is current"));
    return;
  }
  error_.reset();
  search_.emplace(std::move(target_path));
  settle(continue_search());
}

Status Refresh::continue_search() {
  for (;;) {  // bounded by kMaxDelegations: every round loads a role or ends
    Search::Step step = search_->advance(trusted_);
    if (auto* error = std::get_if<Error>(&step)) return std::move(*error);
    if (auto* need = std::get_if<Search::NeedRole>(&step)) {
      if (trusted_.listed(need->role) == nullptr)
        return Error(Code::metadata_mismatch, "the snapshot does not list the role " + need->role);
      if (load_local_role(need->role, need->delegator)) continue;
      wanted_role_ = std::move(*need);
      phase_ = Phase::search;
      return {};
    }
    if (auto* found = std::get_if<Search::Found>(&step)) found_ = std::move(*found);
    phase_ = Phase::done;
    return {};
  }
}

Status run(Refresh& refresh, MetadataSource& source) {
  for (;;) {  // bounded: kMaxRootRotations, three files, kMaxDelegations
    RefreshStep step = refresh.next();
    if (std::holds_alternative<Done>(step)) return {};
    if (auto* error = std::get_if<Error>(&step)) return std::move(*error);
    const auto& need = std::get<NeedFile>(step);
    refresh.feed(source.fetch(need.name, need.max_length));
  }
}

}  // namespace drover::tuf
