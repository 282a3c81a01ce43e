// The way from what a device holds to what it is to have, over the deltas that are there: the smallest sum of bytes.
// Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "common/crypto/hash.h"
#include "proto/wire/deltas.h"

namespace drover::deltas {

// A delta that can be served.
struct Edge {
  crypto::Digest base, target;
  std::int64_t codec = wire::kFirstCodec;
  std::uint64_t bytes = 0;

  bool operator==(const Edge&) const = default;
};

struct Question {
  crypto::Digest target;
  std::uint64_t target_size = 0;
  std::span<const crypto::Digest> held;
  std::span<const std::int64_t> codecs;  // that the device can decode
  std::uint64_t room = UINT64_MAX;       // on its disk: for a delta, what it makes, and what was made before it
};

// A file without bytes: as a base, none.
const crypto::Digest& nothing();

// The deltas to a file, and the size of a file (none: it is not known here).
using EdgesTo = std::function<std::vector<Edge>(const crypto::Digest& target)>;
using SizeOf = std::function<std::optional<std::uint64_t>(const crypto::Digest& file)>;

// Files looked at for one question: a device's thread must not wait for a large graph.
inline constexpr std::size_t kMaxLookedAt = 256;

// The edges in the order of their use: the first base is held, the last target is what was asked for. Fewest bytes,
// then fewest steps; at most kMaxDeltaSteps of them, no intermediate file over kMaxBetween times the largest of target
// and held files, no step beyond the room, and fewer bytes than the target itself. None: empty. `nothing()` may be
// held: then a packed file is an edge as any other, and a chain may begin with one.
std::vector<Edge> plan_chain(const Question& question, const EdgesTo& edges_to, const SizeOf& size_of);

}  // namespace drover::deltas
