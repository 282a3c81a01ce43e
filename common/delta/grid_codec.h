// Snapped tensors in a delta: the steps of the rows, and each element's place on the grid, coded against a low-rank
// prediction in contexts of what is known before it comes: the scale of its row and of its column, and how far the
// prediction stands from the nearest place. Layout: docs/formats/delta.md. Pure.
#pragma once

#include "common/base/bytes.h"
#include "common/delta/grid.h"
#include "common/delta/stream.h"
#include "common/delta/tensor_codec.h"

namespace drover::delta {

// The body of a tensor of mode `grid`, at the rank that costs least. `other`: what the tensor costs in another mode; no
// rank is looked for where that is far less.
EncodedTensor encode_grid(const TensorShape& shape, ByteView base, const Grid& grid, std::size_t other = SIZE_MAX);

// Behind mode and rank. malformed for anything that no encoder writes.
Status decode_grid(const TensorShape& shape, std::size_t rank, NumberReader& in, ByteView base, ByteSink& sink);

}  // namespace drover::delta
