// Deltas on the wire: the way from what a device holds to what it is to have, and what people see of them. Version 1.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace drover::wire {

inline constexpr std::size_t kMaxDeltaSteps = 4;  // a device further behind fetches the whole file
inline constexpr std::size_t kMaxHeldFiles = 16;  // that a device may name as bases of one file
inline constexpr std::size_t kMaxCodecs = 8;      // that a device may name
inline constexpr std::int64_t kFirstCodec = 1;    // what a device can decode that names none
inline constexpr std::size_t kMaxDeltaPlan = 16 * 1024;
// The digest of a file without bytes. As a base it means none: a delta from it is the file packed, and every device
// that can decode one "holds" it, if it says so.
inline constexpr std::string_view kNothing = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
// An intermediate file may have so many times the bytes of the largest of the target and the files that are held.
inline constexpr std::uint64_t kMaxBetween = 2;

// GET /api/v1/deltas/{target}?have=<digest>,...&codecs=1,...&room=<bytes>: the smallest way that fits; no steps: there
// is none.
struct DeltaStep {
  std::string base, target;  // "sha256:<hex>"
  std::int64_t codec = kFirstCodec;
  std::uint64_t bytes = 0;         // of the delta
  std::uint64_t target_bytes = 0;  // of what it makes
};
struct DeltaPlan {
  std::vector<DeltaStep> steps;
};

struct DeltaCounts {
  std::int64_t wanted = 0;                         // files times versions that devices hold
  std::int64_t ready = 0;                          // can be served
  std::int64_t useless = 0;                        // hardly smaller than the file: not kept
  std::int64_t failed = 0;                         // could not be made, or found no room
  std::uint64_t delta_bytes = 0, whole_bytes = 0;  // of the ready ones, and of the files that they make

  std::int64_t left() const { return wanted - ready - useless - failed; }
};
// How far the server is with the deltas to one release.
struct DeltaProgress : DeltaCounts {
  std::string state;                              // waiting (for others), making, ready
  std::uint64_t bytes_done = 0, bytes_total = 0;  // of the files that are encoded, of those to be; packed ones too
  DeltaCounts packed;                             // from nothing, for devices without an earlier version
};

// What the finished deployments of a rollout cost and saved; only those that took the place of an earlier release.
struct Savings {
  std::int64_t updates = 0;
  std::int64_t by_delta = 0;  // of them, with a delta at least for one file; a packed file is none
  std::uint64_t bytes_fetched = 0, bytes_saved = 0;  // saved: by deltas

  double delta_hit_rate() const {
    return updates == 0 ? 0 : static_cast<double>(by_delta) / static_cast<double>(updates);
  }
};

nlohmann::json encode(const DeltaPlan&);
nlohmann::json encode(const DeltaProgress&);
nlohmann::json encode(const Savings&);
Result<DeltaPlan> decode_delta_plan(std::string_view body);
Result<DeltaProgress> decode_delta_progress(const nlohmann::json& value);
Result<Savings> decode_savings(const nlohmann::json& value);

}  // namespace drover::wire
