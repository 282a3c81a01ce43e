#include "server/deltas/deltas.h"

#include <algorithm>
#include <set>

#include "common/delta/delta.h"
#include "common/fs/mapped_file.h"
#include "common/obs/log.h"

namespace drover::deltas {
namespace {

constexpr int kNiceness = 5;  // devices and people first, but a busy machine must not starve a rollout that waits
constexpr std::string_view kNone = ".none";
constexpr std::string_view kTemporary = ".tmp";

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

}  // namespace

struct Deltas::Work final : async::Job {
  explicit Work(Release wanted) : release(std::move(wanted)) {}
  Release release;
};

Deltas::Deltas(store::Store& store, const store::Blobs& blobs, fs::Files& files, std::string folder)
    : store_(store), blobs_(blobs), files_(files), folder_(std::move(folder)),
      worker_({.name = "deltas", .threads = 1, .max_queue = kMaxWaiting, .max_batch = 1, .niceness = kNiceness},
              [this](unsigned, async::Batch batch) {
                for (const auto& job : batch) {
                  const Release& release = static_cast<const Work&>(*job).release;
                  const Status made = stopping_ ? Status() : make_all(release);
                  if (!made && made.error().code() != Code::cancelled)
                    log::failure("deltas could not be made", made.error(),
                                 {{"model", release.first}, {"release", release.second}});
                  finished(release);
                }
              }) {}

Deltas::~Deltas() { stop(); }

Result<std::unique_ptr<Deltas>> Deltas::open(store::Store& store, const store::Blobs& blobs, fs::Files& files,
                                             std::string folder) {
  std::unique_ptr<Deltas> deltas(new Deltas(store, blobs, files, std::move(folder)));
  TRY(deltas->prepare().within("the folder of deltas"));
  return deltas;
}

Status Deltas::prepare() {
  TRY(files_.make_folder(folder_));
  TRY_ASSIGN(const auto targets, files_.list(folder_));
  for (const std::string& target : targets) TRY(prepare_target(folder_ + "/" + target));
  return {};
}

Status Deltas::prepare_target(const std::string& folder) {
  TRY_ASSIGN(const auto names, files_.list(folder));
  for (const std::string& name : names) {
    if (name.ends_with(kTemporary)) TRY(files_.remove(folder + "/" + name));
    if (name.find('.') == std::string::npos) ++ready_;
  }
  return {};
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

void Deltas::resume() {
  const auto control = store_.control();
  std::set<Release> owed;
  for (const store::RolloutEntry& rollout : control->rollouts) owed.emplace(rollout.spec.model, rollout.spec.release);
  for (const auto& [model, releases] : control->models) {
    const store::ReleaseRow* newest = nullptr;
    for (const auto& [version, entry] : releases)
      if (entry.row.state == store::ReleaseState::published && (newest == nullptr || entry.row.no > newest->no))
        newest = &entry.row;
    if (newest != nullptr) owed.emplace(model, newest->version);
  }
  for (const auto& [model, version] : owed) want(model, version);
}

std::optional<Deltas::Found> Deltas::find(const crypto::Digest& target, const crypto::Digest& base) const {
  Found found;
  found.path = folder_ + "/" + target.hex() + "/" + base.hex();
  const auto info = files_.info(found.path);
  if (!info || info->kind != fs::Kind::file) return std::nullopt;
  found.size = info->size;
  return found;
}

Stats Deltas::stats() const { return {ready_, left_ + worker_.queued()}; }

// --- on the worker's thread ------------------------------------------------------------------------------------------

Status Deltas::make_all(const Release& release) {
  TRY_ASSIGN(const std::vector<Pair> pairs, plan(release));
  left_ = pairs.size();
  for (const Pair& pair : pairs) {
    const Status made = stopping_ ? Status() : make(pair);
    --left_;
    if (!made && made.error().code() != Code::cancelled)
      log::failure("a delta could not be made", made.error(), {{"target", pair.target.hex()}, {"base", pair.base.hex()}});
  }
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

Status Deltas::make(const Pair& pair) {
  const std::string folder = folder_ + "/" + pair.target.hex(), path = folder + "/" + pair.base.hex();
  const std::string none = path + std::string(kNone), temporary = path + std::string(kTemporary);
  if (fs::exists(files_, path) || fs::exists(files_, none)) return {};
  if (pair.target_size > kMaxFile) return {};
  TRY(files_.make_folder(folder));
  TRY(files_.sync_folder(folder_));
  Status made = encode(pair, temporary);
  if (made) made = try_out(pair, temporary);
  if (made) {
    TRY(files_.rename(temporary, path));
    TRY(files_.sync_folder(folder));
    ++ready_;
    return {};
  }
  TRY(files_.remove(temporary));
  if (made.error().code() != Code::too_large) return made;
  log::info("a delta is not worth it", {{"target", pair.target.hex()}, {"base", pair.base.hex()}});
  return fs::write_atomic(files_, none, "");
}

Status Deltas::encode(const Pair& pair, const std::string& path) {
  TRY_ASSIGN(const fs::MappedFile base, fs::MappedFile::open(blobs_.path(pair.base).string()));
  TRY_ASSIGN(const fs::MappedFile target, fs::MappedFile::open(blobs_.path(pair.target).string()));
  if (base.bytes().size() > kMaxFile) return Error(Code::too_large, "the base is too large");
  TRY_ASSIGN(const std::unique_ptr<fs::Appender> file, files_.append(path, 0));
  FileSink sink(*file, target.bytes().size() * kWorth / 100, stopping_);
  TRY_ASSIGN(const auto parts, delta::make_delta(base.bytes(), target.bytes(), sink));
  TRY(file->sync());
  log::info("a delta is ready", {{"target", pair.target.hex()},
                                 {"base", pair.base.hex()},
                                 {"bytes", file->size()},
                                 {"whole", target.bytes().size()},
                                 {"parts", parts.size()}});
  return {};
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

}  // namespace drover::deltas
