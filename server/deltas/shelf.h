// The deltas on the disk, and what is known of them in memory: names, sizes, how often each was served. Thread-safe.
//
//   <folder>/<target hex>/<base hex>.v<codec>        a delta, tried out once
//   <folder>/<target hex>/<base hex>.v<codec>.none   it is not worth it; not tried again
//   <folder>/<target hex>/<base hex>.v<codec>.full   it found no room; its size, in digits
//   <folder>/<target hex>/<base hex>.v<codec>.tmp    being made; removed at the next start
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/fs/files.h"
#include "server/deltas/chain.h"

namespace drover::deltas {

struct ShelfEdge {
  Edge edge;
  std::uint64_t served = 0;  // since the start
};

class Shelf {
 public:
  // `files` must outlive the object.
  Shelf(fs::Files& files, std::string folder) : files_(files), folder_(std::move(folder)) {}

  // Makes the folder, clears what a crash left, learns what is there. Names that it does not know are left alone.
  Status open();

  std::string path(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec) const;
  std::string temporary(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec) const;
  // In front of a temporary file: its folder, durably.
  Status prepare(const crypto::Digest& target);
  // The temporary file, which is synced, becomes the delta.
  Status keep(const Edge& edge);
  // It is not worth it, for good.
  Status note_useless(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec);
  bool is_useless(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec) const;
  // It has so many bytes, for which there was no room. keep() forgets it.
  Status note_no_room(const Edge& edge);
  std::optional<std::uint64_t> found_no_room(const crypto::Digest& target, const crypto::Digest& base,
                                             std::int64_t codec) const;
  // The name goes; who reads it reads on.
  Status remove(const Edge& edge);

  std::optional<Edge> find(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec) const;
  std::vector<Edge> to(const crypto::Digest& target) const;
  std::vector<ShelfEdge> all() const;
  void note_served(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec);
  std::size_t count() const;
  std::uint64_t bytes() const;

 private:
  Status learn(const crypto::Digest& target);
  std::string folder_of(const crypto::Digest& target) const { return folder_ + "/" + target.hex(); }
  // Both with mutex_ held.
  void add(const Edge& edge);
  ShelfEdge* look(const crypto::Digest& target, const crypto::Digest& base, std::int64_t codec);

  fs::Files& files_;
  const std::string folder_;
  mutable std::mutex mutex_;
  std::map<crypto::Digest, std::vector<ShelfEdge>> edges_;  // by target; guarded by mutex_, as the sums
  std::size_t count_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace drover::deltas
