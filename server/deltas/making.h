// One delta between two files on the disk: encoded as long as it is worth it, and tried out as a device would.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/base/result.h"
#include "common/fs/files.h"
#include "server/deltas/bases.h"
#include "server/deltas/chain.h"
#include "server/store/blobs.h"

namespace drover::deltas {

inline constexpr std::uint64_t kMaxFile = std::uint64_t{2}
                                          << 30;  // some minutes of encoding, and both files are mapped
// Percent of the target that must not be exceeded. A packed file needs nothing that might be missing, and costs a
// device a second of decoding and room for both forms at once: two per cent of a model of 60 MB are a megabyte for each
// device. A delta from a file that may be gone, and one of several, must save more.
inline constexpr std::uint64_t kWorth = 95, kWorthPacked = 98;

struct Making {
  const store::Blobs& blobs;
  fs::Files& files;
  std::function<bool()> stop;  // asked often
};

// To the file `out`, durably; bytes of the target that are done go to `progress`. too_large: it is not worth it.
// cancelled when it is to stop, at the next piece.
Result<Edge> encode_pair(const Making& making, const Pair& pair, const std::string& out,
                         const std::function<void(std::uint64_t)>& progress);

// A delta that does not give the target would cost every device a download for nothing.
Status try_out(const Making& making, const Pair& pair, const std::string& path);

}  // namespace drover::deltas
