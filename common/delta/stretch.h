// A long stretch of bytes that are no numbers, as one zstd frame: its window is that of zstd -19, so that nothing is
// lost to a whole package in zstd. Layout: docs/formats/delta.md.
#pragma once

#include <cstdint>

#include "common/delta/stream.h"

struct ZSTD_DCtx_s;

namespace drover::delta {

// Reads a frame of `packed` bytes that makes exactly `size`, at most what `out` may still take. Where `out` has a
// place, its own result is the window, and the memory is that of a block (256 KiB); elsewhere it holds the window,
// which is no larger than the content and at most 8 MiB. `context` is fresh. malformed.
Status decode_stretch(NumberReader& in, std::uint64_t size, std::uint64_t packed, ZSTD_DCtx_s& context, ByteSink& out);

// zstd -19 with its usual window. Gives up (empty) behind `limit` bytes. `alive` is written nothing, now and then: its
// error ends the work.
Result<Bytes> encode_stretch(ByteView bytes, std::uint64_t limit, ByteSink& alive);

// About how large that would be, in a hundredth of the time: by a fast level, and what the other gains on a sample.
std::uint64_t guess_stretch(ByteView bytes);

}  // namespace drover::delta
