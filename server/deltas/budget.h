// Which deltas must go when they take more room than they may. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace drover::deltas {

struct Kept {
  std::uint64_t bytes = 0;
  bool open_rollout = false;   // leads to a release of a rollout that is not over: never removed, unless it is
  bool packed = false;         // a file from nothing: it saves little, and no link policy needs it
  bool newest = false;         // leads to the newest release of a model
  bool current_codec = false;  // what this server makes now
  std::int64_t release = 0;    // the number of the newest release that it leads to; 0: none any more
  std::uint64_t served = 0;    // times, since this server started
  std::uint64_t saves = 0;     // bytes of the target less its own
};

// What to remove, the least useful first, so that the rest takes at most `budget` bytes; nothing more than needed.
// First what leads to no newest release, then packed files, then what only older devices decode, then the oldest
// release, then what was served least, then what saves least. None: even without all that may go it would not fit, so
// that nothing is to be removed.
std::optional<std::vector<std::size_t>> to_remove(std::span<const Kept> kept, std::uint64_t budget);

}  // namespace drover::deltas
