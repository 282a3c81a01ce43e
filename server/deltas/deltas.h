// The deltas that this server keeps: made in the background by one thread of low priority, served as immutable files.
//
//   <folder>/<target hex>/<base hex>        a delta, smaller than kWorth percent of the target, tried out once
//   <folder>/<target hex>/<base hex>.none   it is not worth it; not tried again
//   <folder>/<target hex>/<base hex>.tmp    being made; removed at the next start
//
// What is to be made is not written down: it follows from releases, fleet and rollouts, and is found again at each start.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "common/async/workers.h"
#include "common/base/result.h"
#include "common/crypto/hash.h"
#include "common/fs/files.h"
#include "server/deltas/bases.h"
#include "server/store/blobs.h"
#include "server/store/store.h"

namespace drover::deltas {

inline constexpr std::uint64_t kWorth = 95;  // percent of the target that a delta must stay below
inline constexpr std::size_t kMaxWaiting = 256;  // releases that wait; more are left to the next rollout or start
inline constexpr std::uint64_t kMaxFile = std::uint64_t{2} << 30;  // some minutes of encoding, and both files are mapped

struct Stats {
  std::uint64_t ready = 0;
  std::uint64_t pending = 0;  // of the release under way, and one for each that waits
};

class Deltas {
 public:
  // All must outlive the object; `store` must run until stop(). io when the folder cannot be made.
  static Result<std::unique_ptr<Deltas>> open(store::Store& store, const store::Blobs& blobs, fs::Files& files,
                                              std::string folder);
  ~Deltas();  // stop()

  // Thread-safe, never blocks on the disk. Until the deltas to this release are there or given up, it is pending.
  void want(const std::string& model, const std::string& version);
  bool pending(const std::string& model, const std::string& version) const;
  // What an interrupted server owes: the releases of live rollouts, and the newest of each model.
  void resume();

  struct Found {
    std::string path;
    std::uint64_t size = 0;
  };
  // Looks at the disk. Thread-safe.
  std::optional<Found> find(const crypto::Digest& target, const crypto::Digest& base) const;
  Stats stats() const;
  // Ends at the next piece of a delta under way. Idempotent.
  void stop();

 private:
  using Release = std::pair<std::string, std::string>;  // model and version
  struct Work;

  Deltas(store::Store& store, const store::Blobs& blobs, fs::Files& files, std::string folder);
  Status prepare();
  Status prepare_target(const std::string& folder);
  Status make_all(const Release& release);
  Result<std::vector<Pair>> plan(const Release& release) const;
  Result<package::Manifest> manifest(const std::string& digest) const;
  Status make(const Pair& pair);
  Status encode(const Pair& pair, const std::string& path);
  Status try_out(const Pair& pair, const std::string& path) const;
  void finished(const Release& release);

  store::Store& store_;
  const store::Blobs& blobs_;
  fs::Files& files_;
  const std::string folder_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> ready_{0}, left_{0};
  mutable std::mutex mutex_;
  std::map<Release, int> wanted_;  // jobs that wait or run; guarded by mutex_
  async::Workers worker_;          // the last: its thread uses the others
};

}  // namespace drover::deltas
