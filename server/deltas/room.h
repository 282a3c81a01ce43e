// Keeps the deltas within their budget: which may stay, and what must go for one more (budget.h), from what releases
// and rollouts say now. Thread-safe: one thread at a time makes room and takes it. Reads the database and manifests.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "common/base/result.h"
#include "common/package/manifest.h"
#include "server/deltas/budget.h"
#include "server/deltas/shelf.h"
#include "server/store/blobs.h"
#include "server/store/store.h"

namespace drover::deltas {

using Release = std::pair<std::string, std::string>;  // model and version

Result<package::Manifest> read_manifest(const store::Blobs& blobs, const std::string& digest);
// Those of rollouts that are not over. Reads the database.
Result<std::set<Release>> releases_of_open_rollouts(store::Store& store);
// Null: none is published.
const store::ReleaseRow* newest_of(const std::map<std::string, store::ReleaseEntry, std::less<>>& releases);

class Room {
 public:
  // All must outlive the object. `budget` in bytes.
  Room(store::Store& store, const store::Blobs& blobs, Shelf& shelf, std::uint64_t budget)
      : store_(store), blobs_(blobs), shelf_(shelf), budget_(budget) {}

  // The temporary file of this delta takes its place, for which less useful ones go. disk_full: there is no room
  // without taking what is more useful; then this is written down, so that worth_making() knows it without another try.
  Status keep(const Edge& edge);
  // False for one that keep() would refuse: it was made once, and its size is known. True when nothing is known.
  Result<bool> worth_making(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec);
  // At a start, when the budget may have become smaller.
  Status look();
  // Since the start.
  std::uint64_t removed() const { return removed_; }

 private:
  struct Purpose {  // of a file: what it belongs to
    std::int64_t release = 0;
    bool open_rollout = false, newest = false;
  };
  using Purposes = std::map<crypto::Digest, Purpose>;

  Result<std::vector<Edge>> to_go_for(const Edge* added);
  Status remove(const std::vector<Edge>& edges);
  Result<Purposes> purposes() const;
  Status add_purposes(const store::ReleaseEntry& entry, Purpose purpose, Purposes& all) const;
  Kept kept_of(const ShelfEdge& one, const Purposes& purposes) const;

  store::Store& store_;
  const store::Blobs& blobs_;
  Shelf& shelf_;
  const std::uint64_t budget_;
  std::atomic<std::uint64_t> removed_{0};
  std::mutex mutex_;
};

}  // namespace drover::deltas
