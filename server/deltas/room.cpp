#include "server/deltas/room.h"

#include <algorithm>

#include "common/delta/format.h"
#include "common/obs/log.h"

namespace drover::deltas {
namespace {

bool is_over(rollout::Phase phase) {
  return phase == rollout::Phase::aborted || phase == rollout::Phase::completed || phase == rollout::Phase::rolled_back;
}

}  // namespace

Result<package::Manifest> read_manifest(const store::Blobs& blobs, const std::string& digest) {
  TRY_ASSIGN(const crypto::Digest name, crypto::Digest::parse(digest));
  TRY_ASSIGN(const Bytes bytes, blobs.read(name, package::kMaxDocumentBytes));
  return package::parse_manifest(bytes);
}

Result<std::set<Release>> releases_of_open_rollouts(store::Store& store) {
  const auto control = store.control();
  store::ReadFn<std::set<Release>> read = [control](const store::Reader& reader) -> Result<std::set<Release>> {
    std::set<Release> open;
    for (const store::RolloutEntry& entry : control->rollouts) {
      TRY_ASSIGN(const rollout::RolloutState state, reader.rollouts.state(entry.no));
      if (!is_over(state.phase)) open.emplace(entry.spec.model, entry.spec.release);
    }
    return open;
  };
  return store.read_now(std::move(read));
}

const store::ReleaseRow* newest_of(const std::map<std::string, store::ReleaseEntry, std::less<>>& releases) {
  const store::ReleaseRow* newest = nullptr;
  for (const auto& [version, entry] : releases)
    if (entry.row.state == store::ReleaseState::published && (newest == nullptr || entry.row.no > newest->no))
      newest = &entry.row;
  return newest;
}

Status Room::keep(const Edge& edge) {
  const std::lock_guard lock(mutex_);
  const auto gone = to_go_for(&edge);
  if (!gone && gone.error().code() == Code::disk_full) TRY(shelf_.note_no_room(edge));
  if (!gone) return gone.error();
  TRY(remove(*gone));
  return shelf_.keep(edge);
}

Result<bool> Room::worth_making(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec) {
  const auto bytes = shelf_.found_no_room(target, base, codec);
  if (!bytes) return true;
  const Edge edge{base, target, codec, *bytes};
  const std::lock_guard lock(mutex_);
  const auto gone = to_go_for(&edge);
  if (gone) return true;
  if (gone.error().code() == Code::disk_full) return false;
  return gone.error();
}

Status Room::look() {
  const std::lock_guard lock(mutex_);
  TRY_ASSIGN(const auto gone, to_go_for(nullptr));
  return remove(gone);
}

// For one more, if there is one, unless that were the first to go.
Result<std::vector<Edge>> Room::to_go_for(const Edge* added) {
  std::vector<ShelfEdge> all = shelf_.all();
  if (added != nullptr) all.push_back({*added, 0});
  std::uint64_t bytes = 0;
  for (const ShelfEdge& one : all) bytes += one.edge.bytes;
  std::vector<Edge> edges;
  if (bytes <= budget_) return edges;
  TRY_ASSIGN(const Purposes purposes, this->purposes());
  std::vector<Kept> kept;
  for (const ShelfEdge& one : all) kept.push_back(kept_of(one, purposes));
  // Among equals the later one goes: bases come in the order of how many devices run them.
  if (added != nullptr) kept.back().saves = 0;
  const auto gone = to_remove(kept, budget_);
  const std::size_t own = added == nullptr ? all.size() : all.size() - 1;
  if (!gone || std::find(gone->begin(), gone->end(), own) != gone->end())
    return Error(Code::disk_full,
                 "there is no room for a delta within delta_budget_mib; devices fetch whole files instead");
  for (const std::size_t i : *gone) edges.push_back(all[i].edge);
  return edges;
}

// What had to go once is not made again at the next start, unless there is room then.
Status Room::remove(const std::vector<Edge>& edges) {
  for (const Edge& edge : edges) {
    TRY(shelf_.note_no_room(edge));
    TRY(shelf_.remove(edge));
    ++removed_;
    log::info("a delta makes room", {{"target", edge.target.hex()}, {"base", edge.base.hex()}, {"bytes", edge.bytes}});
  }
  return {};
}

Kept Room::kept_of(const ShelfEdge& one, const Purposes& purposes) const {
  const auto found = purposes.find(one.edge.target);
  const Purpose purpose = found == purposes.end() ? Purpose() : found->second;
  const std::uint64_t whole = blobs_.size(one.edge.target).value_or(0);
  Kept kept;
  kept.bytes = one.edge.bytes;
  kept.open_rollout = purpose.open_rollout;
  kept.packed = one.edge.base == nothing();
  kept.newest = purpose.newest;
  kept.current_codec = one.edge.codec == delta::kVersion;
  kept.release = purpose.release;
  kept.served = one.served;
  kept.saves = whole - std::min(whole, one.edge.bytes);
  return kept;
}

// What an open rollout needs must be known: rather no room than its deltas lost.
Result<Room::Purposes> Room::purposes() const {
  TRY_ASSIGN(const std::set<Release> open, releases_of_open_rollouts(store_));
  const auto control = store_.control();
  Purposes all;
  for (const auto& [model, releases] : control->models) {
    const store::ReleaseRow* newest = newest_of(releases);
    for (const auto& [version, entry] : releases)
      TRY(add_purposes(entry, {entry.row.no, open.contains(Release(model, version)), &entry.row == newest}, all));
  }
  return all;
}

Status Room::add_purposes(const store::ReleaseEntry& entry, Purpose purpose, Purposes& all) const {
  for (const store::VariantRow& variant : entry.row.variants) {
    TRY_ASSIGN(const package::Manifest files, read_manifest(blobs_, variant.manifest));
    for (const package::File& file : files.files) {
      Purpose& known = all[file.digest];
      known.release = std::max(known.release, purpose.release);
      known.open_rollout = known.open_rollout || purpose.open_rollout;
      known.newest = known.newest || purpose.newest;
    }
  }
  return {};
}

}  // namespace drover::deltas
