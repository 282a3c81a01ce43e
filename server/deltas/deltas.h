// The deltas that this server keeps, and files packed from nothing for devices that hold no earlier version: made in
// the background by a few threads of low priority, kept within a budget (shelf.h, room.h), served as immutable files.
//
// What is to be made is not written down: it follows from releases, fleet and rollouts, and is found again at each
// start. So a server may be killed at any time: what was half made is cleared, what was not begun is owed again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "common/async/workers.h"
#include "common/base/result.h"
#include "common/crypto/hash.h"
#include "common/delta/format.h"
#include "common/fs/files.h"
#include "proto/wire/deltas.h"
#include "server/deltas/bases.h"
#include "server/deltas/room.h"
#include "server/deltas/shelf.h"
#include "server/store/blobs.h"
#include "server/store/store.h"

namespace drover::deltas {

inline constexpr std::int64_t kCodec = delta::kVersion;  // what is made here
inline constexpr std::size_t kMaxWaiting = 256;      // releases that wait; more are left to the next rollout or start
inline constexpr std::size_t kMaxRemembered = 1024;  // releases whose progress is kept for people to see

struct DeltasOptions {
  std::string folder;
  std::uint64_t budget = UINT64_MAX;  // bytes that all deltas may take
  unsigned threads = 1;
};

struct Stats {
  std::uint64_t ready = 0, bytes = 0;  // on the disk
  std::uint64_t waiting = 0;           // releases in the queue
  std::uint64_t pending = 0;  // deltas of the releases under way that are not made yet, and one for each that waits
  std::uint64_t pending_bytes = 0;                               // of the files under way, that are not encoded yet
  std::uint64_t made = 0, useless = 0, failed = 0, removed = 0;  // since the start
};

class Deltas {
 public:
  // All must outlive the object; `store` must run until stop(). io when the folder cannot be made.
  static Result<std::unique_ptr<Deltas>> open(store::Store& store, const store::Blobs& blobs, fs::Files& files,
                                              const DeltasOptions& options);
  ~Deltas();  // stop()

  // Thread-safe, never blocks on the disk. Until the deltas to this release are there or given up, it is pending.
  void want(const std::string& model, const std::string& version);
  bool pending(const std::string& model, const std::string& version) const;
  // Nothing when this server has not looked at the release since it started.
  std::optional<wire::DeltaProgress> progress(const std::string& model, const std::string& version) const;
  // What an interrupted server owes: the releases of rollouts that are not over, and the newest of each model. Reads
  // the database.
  void resume();

  struct Found {
    std::string path;
    std::uint64_t size = 0;
  };
  std::optional<Found> find(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec) const;
  // The smallest way from any of `held` that a device with so much room can go; looks at blobs. No steps: none.
  wire::DeltaPlan plan_for(const crypto::Digest& target, std::span<const crypto::Digest> held,
                           std::span<const std::int64_t> codecs, std::uint64_t room = UINT64_MAX) const;
  void note_served(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec);
  Stats stats() const;
  // Ends at the next piece of a delta under way. Idempotent.
  void stop();

 private:
  struct Work;
  enum class Made { ready, useless, failed, gave_way };

  Deltas(store::Store& store, const store::Blobs& blobs, fs::Files& files, const DeltasOptions& options);
  void run(const Work& work);
  // The deltas, or the packed files. False: it gave way to deltas.
  Result<bool> make_all(const Release& release, bool packed);
  bool submit_packed(const Release& release, bool awaited);
  bool has_deltas(const Release& release) const;
  Result<std::vector<Pair>> plan(const Release& release) const;
  Made make_once(const Release& release, const Pair& pair);
  Result<Made> make(const Release& release, const Pair& pair);
  template <class Change>
  void tell(const Release& release, const Change& change);
  void finished(const Release& release);

  store::Store& store_;
  const store::Blobs& blobs_;
  fs::Files& files_;
  Shelf shelf_;
  Room room_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> deltas_waiting_{0};  // releases in the queue whose deltas are not begun
  std::atomic<std::uint64_t> made_{0}, useless_{0}, failed_{0};
  mutable std::mutex mutex_;
  std::map<Release, int> wanted_;  // jobs that wait or run; guarded by mutex_, as what follows
  std::map<Release, wire::DeltaProgress> progress_;
  std::set<std::pair<crypto::Digest, crypto::Digest>> making_;  // target and base, by some thread
  std::condition_variable one_made_;
  async::Workers worker_;  // the last: its threads use the others
};

}  // namespace drover::deltas
