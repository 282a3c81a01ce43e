// One tensor, coded against the base's elements at the same places or alone. Layout: docs/formats/delta.md. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "common/base/bytes.h"
#include "common/delta/format.h"
#include "common/delta/stream.h"

namespace drover::delta {

// `rows` x `columns` elements, row by row. A vector is one row.
struct TensorShape {
  ElementType type = ElementType::f32;
  std::uint64_t rows = 0, columns = 0;
  std::uint64_t elements() const { return rows * columns; }
  std::uint64_t bytes() const { return elements() * element_bytes(type); }
};

struct EncodedTensor {
  Bytes bytes;  // everything behind the shape: mode, rank, tables, factors, chunks
  TensorMode mode = TensorMode::alone;
  std::size_t rank = 0;
};

// The cheapest way. `base` empty: alone. Both must have shape.bytes() bytes.
EncodedTensor encode_tensor(const TensorShape& shape, ByteView base, ByteView target);
// One mode; the rank is the encoder's choice, or as given.
Bytes encode_difference(const TensorShape& shape, ByteView base, ByteView target,
                        std::optional<std::size_t> rank = std::nullopt);
Bytes encode_alone(const TensorShape& shape, ByteView target);

class SlotTables;

// What a decoder keeps from tensor to tensor.
class TensorDecoder {
 public:
  TensorDecoder();
  ~TensorDecoder();
  // Reads what encode_tensor wrote and gives the elements to `sink`, piece by piece. `base` empty or of shape.bytes().
  // malformed for anything that no encoder writes.
  Status decode(const TensorShape& shape, NumberReader& in, ByteView base, ByteSink& sink);

 private:
  std::unique_ptr<SlotTables> tables_;
};

// Columns whose scale is tracked: 0 (the row's alone serves) for a vector and for very wide rows.
inline std::size_t tracked_columns(const TensorShape& shape) {
  return shape.rows > 1 && shape.columns > 1 && shape.columns <= kMaxColumns ? static_cast<std::size_t>(shape.columns)
                                                                             : 0;
}

}  // namespace drover::delta
