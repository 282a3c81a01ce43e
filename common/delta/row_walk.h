// The expectations for the elements of a tensor, piece by piece of its rows, the same in encoder and decoder. Internal
// to the codec.
#pragma once

#include <array>
#include <vector>

#include "common/delta/parameters.h"
#include "common/delta/tensor_model.h"

namespace drover::delta {

inline constexpr std::size_t kPiece = 1024;  // elements of one row at once: their arrays stay in the fastest cache

// Expectations for up to kPiece elements, field by field, in numbers of one width for the sake of vector instructions.
struct Piece {
  std::size_t count = 0;
  std::array<std::int32_t, kPiece> ordinal, mirror, low_bits, slot;
  std::size_t all_low = 0;  // the sum of low_bits
};

class RowWalk {
 public:
  // Both must outlive it.
  RowWalk(const TensorShape& shape, const Parameters& parameters);
  // For the elements that come next: `limit` at most, and never beyond their row. `base` is the whole tensor's.
  void next(std::size_t limit, const std::uint8_t* base, Piece& piece);
  // Where the next piece begins.
  std::uint64_t row() const { return row_; }
  std::uint64_t column() const { return column_; }
  void go_to_row(std::uint64_t row) { row_ = row, column_ = 0; }

 private:
  TensorShape shape_;
  const Parameters& p_;
  float scale_;
  std::uint64_t row_ = 0, column_ = 0;
  // A piece's elements of the base, products of the factors and scales, each in 32 bits.
  std::vector<std::uint32_t> bits_;
  std::vector<std::int32_t> sums_, scales_;
};

}  // namespace drover::delta
