#include "server/deltas/deltas.h"

#include <algorithm>

#include "common/obs/log.h"
#include "server/deltas/making.h"

namespace drover::deltas {
namespace {

constexpr int kNiceness = 5;  // devices and people first, but a busy machine must not starve a rollout that waits

wire::DeltaCounts& counts_of(wire::DeltaProgress& progress, const Pair& pair) {
  return pair.base == nothing() ? progress.packed : progress;
}

void add_new(const std::vector<Pair>& pairs, std::vector<Pair>& all) {
  for (const Pair& pair : pairs)
    if (std::find(all.begin(), all.end(), pair) == all.end()) all.push_back(pair);
}

std::string name_of(const Pair& pair) { return pair.base == nothing() ? "none" : pair.base.hex(); }

}  // namespace

struct Deltas::Work final : async::Job {
  explicit Work(Release wanted, bool only_packed = false, bool is_awaited = true)
      : release(std::move(wanted)), packed(only_packed), awaited(is_awaited) {}
  Release release;  // empty: only the budget is looked at
  bool packed;      // its packed files, when its deltas are made; gives way to deltas
  bool awaited;     // offers wait for it
};

Deltas::Deltas(store::Store& store, const store::Blobs& blobs, fs::Files& files, const DeltasOptions& options)
    : store_(store),
      blobs_(blobs),
      files_(files),
      shelf_(files, options.folder),
      room_(store, blobs, shelf_, options.budget),
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
  ++deltas_waiting_;
  const Status taken = worker_.submit(job);
  if (taken) return;
  --deltas_waiting_;
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
  auto open = releases_of_open_rollouts(store_);
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
                                 std::span<const std::int64_t> codecs, std::uint64_t room) const {
  wire::DeltaPlan plan;
  const auto size_of = [this](const crypto::Digest& file) { return blobs_.size(file); };
  const auto whole = size_of(target);
  if (!whole) return plan;
  const auto edges_to = [this](const crypto::Digest& file) { return shelf_.to(file); };
  for (const Edge& edge : plan_chain(Question{target, *whole, held, codecs, room}, edges_to, size_of))
    plan.steps.push_back(
        {edge.base.text(), edge.target.text(), edge.codec, edge.bytes, size_of(edge.target).value_or(0)});
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
  stats.removed = room_.removed();
  stats.pending = stats.waiting;
  const std::lock_guard lock(mutex_);
  for (const auto& [release, one] : progress_) {
    if (one.state != "making") continue;
    stats.pending += static_cast<std::uint64_t>(one.left() + one.packed.left());
    stats.pending_bytes += one.bytes_total - one.bytes_done;
  }
  return stats;
}

// --- on a worker's thread --------------------------------------------------------------------------------------------

void Deltas::run(const Work& work) {
  const Release& release = work.release;
  if (release.first.empty()) {
    if (const Status room = room_.look(); !room) log::failure("deltas take more room than they may", room.error());
    return;
  }
  if (!work.packed) --deltas_waiting_;
  const Result<bool> made = stopping_ ? Result<bool>(true) : make_all(release, work.packed);
  if (!made && made.error().code() != Code::cancelled)
    log::failure("deltas could not be made", made.error(), {{"model", release.first}, {"release", release.second}});
  const bool more = made && (!work.packed || !*made) && !stopping_;  // the packed files, or the rest of them
  // Where there are deltas, nearly all devices take one: their offers do not wait for packed files.
  const bool awaited = work.awaited && (work.packed || !made || !has_deltas(release));
  if (work.awaited && !awaited) finished(release);
  if ((!more || !submit_packed(release, awaited)) && awaited) finished(release);
}

bool Deltas::has_deltas(const Release& release) const {
  const std::lock_guard lock(mutex_);
  const auto found = progress_.find(release);
  return found != progress_.end() && found->second.ready > 0;
}

bool Deltas::submit_packed(const Release& release, bool awaited) {
  std::unique_ptr<async::Job> job = std::make_unique<Work>(release, true, awaited);
  const Status taken = worker_.submit(job);
  if (taken) return true;
  log::failure("files are not packed now", taken.error(), {{"model", release.first}, {"release", release.second}});
  tell(release, [](wire::DeltaProgress& progress) { progress.state = "ready"; });
  return false;
}

Result<bool> Deltas::make_all(const Release& release, bool packed) {
  TRY_ASSIGN(const std::vector<Pair> pairs, plan(release));
  wire::DeltaProgress begin;
  begin.state = "making";
  for (const Pair& pair : pairs) {
    if (!shelf_.find(pair.target, pair.base, kCodec)) begin.bytes_total += pair.target_size;
    ++counts_of(begin, pair).wanted;
  }
  tell(release, [&](wire::DeltaProgress& progress) {
    if (!packed) progress = begin;
    progress.packed = begin.packed;  // from the beginning, should it have given way
  });
  for (const Pair& pair : pairs) {
    if (stopping_) return true;
    if ((pair.base == nothing()) != packed) continue;
    const Made made = make_once(release, pair);
    if (made == Made::gave_way) return false;
    const auto edge = shelf_.find(pair.target, pair.base, kCodec);
    tell(release, [&](wire::DeltaProgress& progress) {
      wire::DeltaCounts& counts = counts_of(progress, pair);
      ++(made == Made::ready ? counts.ready : made == Made::useless ? counts.useless : counts.failed);
      if (made != Made::ready) return;
      counts.delta_bytes += edge ? edge->bytes : 0;
      counts.whole_bytes += pair.target_size;
    });
  }
  if (!packed) return true;
  tell(release, [](wire::DeltaProgress& progress) {
    progress.state = "ready";
    progress.bytes_done = progress.bytes_total;
  });
  return true;
}

// Deltas first, which save most; packed files, for whoever holds nothing, behind them.
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
  std::vector<package::Manifest> made;
  for (const store::VariantRow& variant : target->row.variants) {
    TRY_ASSIGN(package::Manifest manifest, read_manifest(blobs_, variant.manifest));
    made.push_back(std::move(manifest));
  }
  for (const std::string& base : base_releases(control->models.find(model)->second, version, runs)) {
    const store::ReleaseEntry& from = *control->release(model, base);
    for (std::size_t i = 0; i < made.size(); ++i) {
      const store::VariantRow* same_kind = from.variant(target->row.variants[i].kind);
      if (same_kind == nullptr) continue;
      TRY_ASSIGN(const package::Manifest held, read_manifest(blobs_, same_kind->manifest));
      add_new(pairs_of(held, made[i]), all);
    }
  }
  for (const package::Manifest& manifest : made) add_new(packed_of(manifest), all);
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
  if (made.error().code() == Code::cancelled) return stopping_ ? Made::failed : Made::gave_way;
  ++failed_;
  log::failure("a delta could not be made", made.error(), {{"target", pair.target.hex()}, {"base", name_of(pair)}});
  return Made::failed;
}

Result<Deltas::Made> Deltas::make(const Release& release, const Pair& pair) {
  if (shelf_.find(pair.target, pair.base, kCodec)) return Made::ready;
  if (pair.target_size > kMaxFile || shelf_.is_useless(pair.target, pair.base, kCodec)) return Made::useless;
  TRY_ASSIGN(const bool fits, room_.worth_making(pair.target, pair.base, kCodec));
  if (!fits) return Error(Code::disk_full, "it found no room within delta_budget_mib, and there is none now");
  TRY(shelf_.prepare(pair.target));
  const std::string temporary = shelf_.temporary(pair.target, pair.base, kCodec);
  // A packed file takes as long as a delta, and helps fewer devices: it is begun anew when there is nothing else to do.
  const bool packed = pair.base == nothing();
  const Making making{blobs_, files_, [this, packed] { return stopping_ || (packed && deltas_waiting_ > 0); }};
  std::uint64_t told = 0;
  const auto edge = encode_pair(making, pair, temporary, [&](std::uint64_t done) {
    tell(release,
         [&](wire::DeltaProgress& all) { all.bytes_done = std::min(all.bytes_total, all.bytes_done + done - told); });
    told = done;
  });
  if (!edge) tell(release, [&](wire::DeltaProgress& all) { all.bytes_done -= std::min(all.bytes_done, told); });
  Status made = edge ? try_out(making, pair, temporary) : Status(edge.error());
  if (made) made = room_.keep(*edge);
  if (made) {
    ++made_;
    return Made::ready;
  }
  TRY(files_.remove(temporary));
  if (made.error().code() != Code::too_large) return made.error();
  log::info("a delta is not worth it", {{"target", pair.target.hex()}, {"base", name_of(pair)}});
  ++useless_;
  TRY(shelf_.note_useless(pair.target, pair.base, kCodec));
  return Made::useless;
}

}  // namespace drover::deltas
