// Tensors in numbers that nobody described: where one ends and the next begins, and how long their rows are. A guess by
// content, of the encoder alone: a wrong one costs bytes and nothing else. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/bytes.h"
#include "common/delta/format.h"

namespace drover::delta {

// Numbers that belong together, in rows of `columns`; what is left over behind the last whole row belongs to it too.
struct Piece {
  std::uint64_t elements = 0, columns = 0;
};

// All of `target`, in order. A seam is where the size of the numbers jumps (weights beside biases or scales); rows are
// as long as the distance at which the change from the base (empty: none) resembles itself, `usual` where it does not.
std::vector<Piece> find_pieces(ElementType type, ByteView base, ByteView target, std::uint64_t usual);

}  // namespace drover::delta
