#include "server/deltas/deltas.h"

#include <algorithm>

#include "common/delta/delta.h"
#include "common/fs/mapped_file.h"
#include "common/obs/log.h"

namespace drover::deltas {
namespace {

constexpr int kNiceness = 5;  // devices and people first, but a busy machine must not starve a rollout that waits

// Writes to a file as long as it stays below `limit` and nobody wants to stop.
class FileSink final : public delta::ByteSink {
 public:
  FileSink(fs::Appender& file, std::uint64_t limit, const std::atomic<bool>& stopping)
      : file_(file), limit_(limit), stopping_(stopping) {}

  Status write(ByteView bytes) override {
    if (stopping_) return Error(Code::cancelled, "the server is stopping");
    if (bytes.size() > limit_ - file_.size()) return Error(Code::too_large, "the delta is hardly smaller than the file");
    return file_.append(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }

 private:
  fs::Appender& file_;
  const std::uint64_t limit_;
  const std::atomic<bool>& stopping_;
};

// What a device would write, thrown away: apply_delta compares the digest itself.
class NoSink final : public delta::ByteSink {
 public:
  explicit NoSink(const std::atomic<bool>& stopping) : stopping_(stopping) {}
  Status write(ByteView) override {
    if (stopping_) return Error(Code::cancelled, "the server is stopping");
    return {};
  }

 private:
  const std::atomic<bool>& stopping_;
};

bool is_over(rollout::Phase phase) {
  return phase == rollout::Phase::aborted || phase == rollout::Phase::completed || phase == rollout::Phase::rolled_back;
}

const store::ReleaseRow* newest_of(const ReleasesOfModel& releases) {
  const store::ReleaseRow* newest = nullptr;
  for (const auto& [version, entry] : releases)
    if (entry.row.state == store::ReleaseState::published && (newest == nullptr || entry.row.no > newest->no))
      newest = &entry.row;
  return newest;
}

}  // namespace

struct Deltas::Work final : async::Job {
  explicit Work(Release wanted) : release(std::move(wanted)) {}
  Release release;  // empty: only the budget is looked at
};

Deltas::Deltas(store::Store& store, const store::Blobs& blobs, fs::Files& files, const DeltasOptions& options)
    : store_(store), blobs_(blobs), files_(files), budget_(options.budget), shelf_(files, options.folder),
      worker_({.name = "deltas",
               .threads = options.threads,
               .max_queue = kMaxWaiting,
               .max_batch = 1,
               .niceness = kNiceness},
              [this](unsigned, async::Batch batch) {
                for (const auto& job : batch) run(static_cast<const Work&>(*job));
              }) {}

Deltas::~Deltas() { stop(); }

Result<std::unique_ptr<Deltas>> Deltas::open(store::Store& store, const store::Blobs& blobs, fs::Files& files,
                                             const DeltasOptions& options) {
  std::unique_ptr<Deltas> deltas(new Deltas(store, blobs, files, options));
  TRY(deltas->shelf_.open().within("the folder of deltas"));
  return deltas;
}

void Deltas::stop() {
  stopping_ = true;
  worker_.stop();
}

void Deltas::want(const std::string& model, const std::string& version) {
  const Release release(model, version);
  {
    const std::lock_guard lock(mutex_);
    ++wanted_[release];
    if (progress_.size() >= kMaxRemembered) progress_.clear();
    wire::DeltaProgress& progress = progress_[release];
    if (progress.state != "making") progress.state = "waiting";
  }
  std::unique_ptr<async::Job> job = std::make_unique<Work>(release);
  const Status taken = worker_.submit(job);
  if (taken) return;
  log::failure("deltas are not made now", taken.error(), {{"model", model}, {"release", version}});
  finished(release);
}

void Deltas::finished(const Release& release) {
  const std::lock_guard lock(mutex_);
  const auto found = wanted_.find(release);
  if (found != wanted_.end() && --found->second <= 0) wanted_.erase(found);
}

bool Deltas::pending(const std::string& model, const std::string& version) const {
  const std::lock_guard lock(mutex_);
  return wanted_.contains(Release(model, version));
}

std::optional<wire::DeltaProgress> Deltas::progress(const std::string& model, const std::string& version) const {
  const std::lock_guard lock(mutex_);
  const auto found = progress_.find(Release(model, version));
  if (found == progress_.end()) return std::nullopt;
  return found->second;
}

template <class Change>
void Deltas::tell(const Release& release, const Change& change) {
  const std::lock_guard lock(mutex_);
  change(progress_[release]);
}

void Deltas::resume() {
  std::unique_ptr<async::Job> look_at_budget = std::make_unique<Work>(Release());
  if (const Status taken = worker_.submit(look_at_budget); !taken)
    log::failure("the budget of deltas is not looked at", taken.error());
  auto open = open_rollouts();
  if (!open) log::failure("deltas of open rollouts are not made now", open.error());
  std::set<Release> owed = open ? std::move(*open) : std::set<Release>();
  const auto control = store_.control();
  for (const auto& [model, releases] : control->models)
    if (const store::ReleaseRow* newest = newest_of(releases)) owed.emplace(model, newest->version);
  for (const auto& [model, version] : owed) want(model, version);
}

std::optional<Deltas::Found> Deltas::find(const crypto::Digest& target, const crypto::Digest& base,
                                          std::int64_t codec) const {
  const auto edge = shelf_.find(target, base, codec);
  if (!edge) return std::nullopt;
  return Found{shelf_.path(target, base, codec), edge->bytes};
}

wire::DeltaPlan Deltas::plan_for(const crypto::Digest& target, std::span<const crypto::Digest> held,
                                 std::span<const std::int64_t> codecs) const {
  wire::DeltaPlan plan;
  const auto size_of = [this](const crypto::Digest& file) { return blobs_.size(file); };
  const auto whole = size_of(target);
  if (!whole) return plan;
  const auto edges_to = [this](const crypto::Digest& file) { return shelf_.to(file); };
  for (const Edge& edge : plan_chain(Question{target, *whole, held, codecs}, edges_to, size_of))
    plan.steps.push_back({edge.base.text(), edge.target.text(), edge.codec, edge.bytes, size_of(edge.target).value_or(0)});
  return plan;
}

void Deltas::note_served(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec) {
  shelf_.note_served(target, base, codec);
}

Stats Deltas::stats() const {
  Stats stats;
  stats.ready = shelf_.count();
  stats.bytes = shelf_.bytes();
  stats.waiting = worker_.queued();
  stats.made = made_;
  stats.useless = useless_;
  stats.failed = failed_;
  stats.removed = removed_;
  stats.pending = stats.waiting;
  const std::lock_guard lock(mutex_);
  for (const auto& [release, one] : progress_) {
    if (one.state != "making") continue;
    stats.pending += static_cast<std::uint64_t>(one.wanted - one.ready - one.useless - one.failed);
    stats.pending_bytes += one.bytes_total - one.bytes_done;
  }
  return stats;
}

// --- on a worker's thread --------------------------------------------------------------------------------------------

void Deltas::run(const Work& work) {
  const Release& release = work.release;
  if (release.first.empty()) {
    const std::lock_guard lock(room_mutex_);
    if (const Status room = make_room(nullptr); !room) log::failure("deltas take more room than they may", room.error());
    return;
  }
  const Status made = stopping_ ? Status() : make_all(release);
  if (!made && made.error().code() != Code::cancelled)
    log::failure("deltas could not be made", made.error(), {{"model", release.first}, {"release", release.second}});
  finished(release);
}

Status Deltas::make_all(const Release& release) {
  TRY_ASSIGN(const std::vector<Pair> pairs, plan(release));
  std::uint64_t bytes = 0;
  for (const Pair& pair : pairs)
    if (!shelf_.find(pair.target, pair.base, kCodec)) bytes += pair.target_size;
  tell(release, [&](wire::DeltaProgress& progress) {
    progress = wire::DeltaProgress();
    progress.state = "making";
    progress.wanted = static_cast<std::int64_t>(pairs.size());
    progress.bytes_total = bytes;
  });
  for (const Pair& pair : pairs) {
    if (stopping_) return {};
    const Made made = make_once(release, pair);
    const auto edge = shelf_.find(pair.target, pair.base, kCodec);
    tell(release, [&](wire::DeltaProgress& progress) {
      ++(made == Made::ready ? progress.ready : made == Made::useless ? progress.useless : progress.failed);
      if (made != Made::ready) return;
      progress.delta_bytes += edge ? edge->bytes : 0;
      progress.whole_bytes += pair.target_size;
    });
  }
  tell(release, [](wire::DeltaProgress& progress) {
    progress.state = "ready";
    progress.bytes_done = progress.bytes_total;
  });
  return {};
}

Result<package::Manifest> Deltas::manifest(const std::string& digest) const {
  TRY_ASSIGN(const crypto::Digest name, crypto::Digest::parse(digest));
  TRY_ASSIGN(const Bytes bytes, blobs_.read(name, package::kMaxDocumentBytes));
  return package::parse_manifest(bytes);
}

Result<std::vector<Pair>> Deltas::plan(const Release& release) const {
  const auto& [model, version] = release;
  store::ReadFn<std::vector<store::ReleaseCount>> read = [model = model](const store::Reader& reader) {
    return reader.devices.releases_run(model, kMostRun + 1);  // the target itself may be among them
  };
  TRY_ASSIGN(const std::vector<store::ReleaseCount> runs, store_.read_now(std::move(read)));
  const auto control = store_.control();
  std::vector<Pair> all;
  const store::ReleaseEntry* target = control->release(model, version);
  if (target == nullptr) return all;
  for (const std::string& base : base_releases(control->models.find(model)->second, version, runs)) {
    const store::ReleaseEntry& from = *control->release(model, base);
    for (const store::VariantRow& variant : target->row.variants) {
      const store::VariantRow* same_kind = from.variant(variant.kind);
      if (same_kind == nullptr) continue;
      TRY_ASSIGN(const package::Manifest to, manifest(variant.manifest));
      TRY_ASSIGN(const package::Manifest held, manifest(same_kind->manifest));
      for (const Pair& pair : pairs_of(held, to))
        if (std::find(all.begin(), all.end(), pair) == all.end()) all.push_back(pair);
    }
  }
  return all;
}

// Two releases may share a pair: one thread makes it, the other waits for it.
Deltas::Made Deltas::make_once(const Release& release, const Pair& pair) {
  const std::pair key(pair.target, pair.base);
  {
    std::unique_lock lock(mutex_);
    one_made_.wait(lock, [&] { return !making_.contains(key); });
    making_.insert(key);
  }
  const auto made = make(release, pair);
  {
    const std::lock_guard lock(mutex_);
    making_.erase(key);
  }
  one_made_.notify_all();
  if (made) return *made;
  if (made.error().code() == Code::cancelled) return Made::failed;
  ++failed_;
  log::failure("a delta could not be made", made.error(), {{"target", pair.target.hex()}, {"base", pair.base.hex()}});
  return Made::failed;
}

Result<Deltas::Made> Deltas::make(const Release& release, const Pair& pair) {
  if (shelf_.find(pair.target, pair.base, kCodec)) return Made::ready;
  if (pair.target_size > kMaxFile || shelf_.is_useless(pair.target, pair.base, kCodec)) return Made::useless;
  TRY(shelf_.prepare(pair.target));
  const std::string temporary = shelf_.temporary(pair.target, pair.base, kCodec);
  const auto edge = encode(release, pair);
  Status made = edge ? try_out(pair, temporary) : Status(edge.error());
  if (made) made = keep(*edge);
  if (made) {
    ++made_;
    return Made::ready;
  }
  TRY(files_.remove(temporary));
  if (made.error().code() != Code::too_large) return made.error();
  log::info("a delta is not worth it", {{"target", pair.target.hex()}, {"base", pair.base.hex()}});
  ++useless_;
  TRY(shelf_.note_useless(pair.target, pair.base, kCodec));
  return Made::useless;
}

Result<Edge> Deltas::encode(const Release& release, const Pair& pair) {
  TRY_ASSIGN(const fs::MappedFile base, fs::MappedFile::open(blobs_.path(pair.base).string()));
  TRY_ASSIGN(const fs::MappedFile target, fs::MappedFile::open(blobs_.path(pair.target).string()));
  if (base.bytes().size() > kMaxFile) return Error(Code::too_large, "the base is too large");
  TRY_ASSIGN(const std::unique_ptr<fs::Appender> file, files_.append(shelf_.temporary(pair.target, pair.base, kCodec), 0));
  FileSink sink(*file, target.bytes().size() * kWorth / 100, stopping_);
  std::uint64_t told = 0;
  const auto progress = [&](std::uint64_t done, std::uint64_t) {
    tell(release, [&](wire::DeltaProgress& all) { all.bytes_done = std::min(all.bytes_total, all.bytes_done + done - told); });
    told = done;
  };
  TRY_ASSIGN(const auto parts, delta::make_delta(base.bytes(), target.bytes(), sink, progress));
  TRY(file->sync());
  log::info("a delta is made", {{"target", pair.target.hex()},
                                {"base", pair.base.hex()},
                                {"bytes", file->size()},
                                {"whole", target.bytes().size()},
                                {"parts", parts.size()}});
  return Edge{pair.base, pair.target, kCodec, file->size()};
}

// A delta that does not give the target would cost every device a download for nothing.
Status Deltas::try_out(const Pair& pair, const std::string& path) const {
  TRY_ASSIGN(const fs::MappedFile base, fs::MappedFile::open(blobs_.path(pair.base).string()));
  TRY_ASSIGN(const fs::MappedFile made, fs::MappedFile::open(path));
  delta::ApplyLimits limits;
  limits.max_target = pair.target_size;
  limits.base = pair.base;
  limits.target = pair.target;
  delta::MemorySource source(made.bytes());
  NoSink sink(stopping_);
  Status tried = delta::apply_delta(source, base.bytes(), limits, sink);
  // Not "too large" of its own, which would be remembered as a fact about the files.
  if (!tried && tried.error().code() == Code::too_large) return Error(Code::internal, tried.error().message());
  return tried;
}

// --- the budget ------------------------------------------------------------------------------------------------------

Status Deltas::keep(const Edge& edge) {
  const std::lock_guard lock(room_mutex_);
  TRY(make_room(&edge));
  return shelf_.keep(edge);
}

// For one more, if there is one, unless that were the first to go. With room_mutex_ held.
Status Deltas::make_room(const Edge* added) {
  std::vector<ShelfEdge> all = shelf_.all();
  if (added != nullptr) all.push_back({*added, 0});
  std::uint64_t bytes = 0;
  for (const ShelfEdge& one : all) bytes += one.edge.bytes;
  if (bytes <= budget_) return {};
  TRY_ASSIGN(const Purposes purposes, this->purposes());
  std::vector<Kept> kept;
  for (const ShelfEdge& one : all) kept.push_back(kept_of(one, purposes));
  // Among equals the later one goes: bases come in the order of how many devices run them.
  if (added != nullptr) kept.back().saves = 0;
  const auto gone = to_remove(kept, budget_);
  const std::size_t own = added == nullptr ? all.size() : all.size() - 1;
  if (!gone || std::find(gone->begin(), gone->end(), own) != gone->end())
    return Error(Code::disk_full, "there is no room for a delta within delta_budget_mib; devices fetch whole files instead");
  for (const std::size_t i : *gone) {
    const Edge& edge = all[i].edge;
    TRY(shelf_.remove(edge));
    ++removed_;
    log::info("a delta makes room", {{"target", edge.target.hex()}, {"base", edge.base.hex()}, {"bytes", edge.bytes}});
  }
  return {};
}

Kept Deltas::kept_of(const ShelfEdge& one, const Purposes& purposes) const {
  const auto found = purposes.find(one.edge.target);
  const Purpose purpose = found == purposes.end() ? Purpose() : found->second;
  const std::uint64_t whole = blobs_.size(one.edge.target).value_or(0);
  Kept kept;
  kept.bytes = one.edge.bytes;
  kept.open_rollout = purpose.open_rollout;
  kept.newest = purpose.newest;
  kept.current_codec = one.edge.codec == kCodec;
  kept.release = purpose.release;
  kept.served = one.served;
  kept.saves = whole - std::min(whole, one.edge.bytes);
  return kept;
}

Result<std::set<Deltas::Release>> Deltas::open_rollouts() const {
  const auto control = store_.control();
  store::ReadFn<std::set<Release>> read = [control](const store::Reader& reader) -> Result<std::set<Release>> {
    std::set<Release> open;
    for (const store::RolloutEntry& entry : control->rollouts) {
      TRY_ASSIGN(const rollout::RolloutState state, reader.rollouts.state(entry.no));
      if (!is_over(state.phase)) open.emplace(entry.spec.model, entry.spec.release);
    }
    return open;
  };
  return store_.read_now(std::move(read));
}

Result<Deltas::Purposes> Deltas::purposes() const {
  TRY_ASSIGN(const std::set<Release> open, open_rollouts());
  const auto control = store_.control();
  Purposes all;
  Status status;
  for (const auto& [model, releases] : control->models) {
    const store::ReleaseRow* newest = newest_of(releases);
    for (const auto& [version, entry] : releases) {
      const Purpose purpose{entry.row.no, open.contains(Release(model, version)), &entry.row == newest};
      add_purposes(entry, purpose, all, status);
    }
  }
  // What an open rollout needs must be known: rather no room than its deltas lost.
  if (!status) return status.error();
  return all;
}

void Deltas::add_purposes(const store::ReleaseEntry& entry, Purpose purpose, Purposes& all, Status& status) const {
  for (const store::VariantRow& variant : entry.row.variants) {
    const auto files = manifest(variant.manifest);
    if (!files) {
      status = files.error();
      continue;
    }
    for (const package::File& file : files->files) {
      Purpose& known = all[file.digest];
      known.release = std::max(known.release, purpose.release);
      known.open_rollout = known.open_rollout || purpose.open_rollout;
      known.newest = known.newest || purpose.newest;
    }
  }
}

}  // namespace drover::deltas
