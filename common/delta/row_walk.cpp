#include "common/delta/row_walk.h"

#include <cmath>

#include "common/delta/wide.h"

namespace drover::delta {
namespace {

struct RowInput {
  const std::uint8_t* base;
  const std::int32_t* sums;
  const std::int16_t* column_scales;  // or nullptr
  float sum_scale, gain;
  std::int32_t scale;
  bool zeros_apart;
};

// Everything in locals, and none of the arrays overlap: for the sake of vector instructions.
template <class T, bool columns>
DROVER_INLINE void expect_all(const RowInput& in, Piece& piece) {
  using Stored = typename T::Stored;
  const std::uint8_t* base = in.base;
  const std::int32_t* sums = in.sums;
  const std::int16_t* column_scales = in.column_scales;
  std::int32_t* ordinal = piece.ordinal.data();
  std::int32_t* mirror = piece.mirror.data();
  std::int32_t* low_bits = piece.low_bits.data();
  std::uint16_t* slot = piece.slot.data();
  const float sum_scale = in.sum_scale, gain = in.gain;
  const std::int32_t scale = in.scale;
  const bool zeros_apart = in.zeros_apart;
  const std::size_t count = piece.count;
  std::int32_t any_low = 0;
  DROVER_NO_OVERLAP
  for (std::size_t j = 0; j < count; ++j) {
    const auto bits = load<T>(base + j * sizeof(Stored));
    const float value = T::value(bits);
    const float change = value * gain + static_cast<float>(sums[j]) * sum_scale;
    const Expectation here = expect<T>(bits, value + change, scale + (columns ? column_scales[j] : 0), zeros_apart);
    ordinal[j] = here.ordinal;
    mirror[j] = here.mirror;
    low_bits[j] = here.low_bits;
    slot[j] = here.slot;
    any_low |= here.low_bits;
  }
  piece.any_low = any_low;
}

template <class T>
DROVER_INLINE void expect_row(const RowInput& in, Piece& piece) {
  if (in.column_scales != nullptr)
    expect_all<T, true>(in, piece);
  else
    expect_all<T, false>(in, piece);
}

DROVER_WIDE void expect_f32(const RowInput& in, Piece& piece) { expect_row<F32>(in, piece); }
DROVER_WIDE void expect_f16(const RowInput& in, Piece& piece) { expect_row<F16>(in, piece); }
DROVER_WIDE void expect_bf16(const RowInput& in, Piece& piece) { expect_row<Bf16>(in, piece); }
DROVER_WIDE void expect_i8(const RowInput& in, Piece& piece) { expect_row<I8>(in, piece); }

}  // namespace

RowWalk::RowWalk(const TensorShape& shape, const Parameters& parameters)
    : shape_(shape),
      p_(parameters),
      scale_(std::ldexp(1.0F, parameters.factors.scale_log2)),
      sums_(static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, shape.columns))) {}

void RowWalk::next(std::size_t limit, const std::uint8_t* base, Piece& piece) {
  const auto row = static_cast<std::size_t>(row_), column = static_cast<std::size_t>(column_);
  piece.count = static_cast<std::size_t>(std::min<std::uint64_t>({kPiece, limit, shape_.columns - column_}));
  if (p_.factors.rank > 0) p_.factors.product(row, column, std::span(sums_).first(piece.count));
  const RowInput in{.base = base + (row_ * shape_.columns + column_) * element_bytes(shape_.type),
                    .sums = sums_.data(),
                    .column_scales = p_.column_scales.empty() ? nullptr : p_.column_scales.data() + column,
                    .sum_scale = scale_,
                    .gain = p_.gain(row),
                    .scale = p_.row_scale(row),
                    .zeros_apart = p_.zeros_apart};
  switch (shape_.type) {
    case ElementType::f32:
      expect_f32(in, piece);
      break;
    case ElementType::f16:
      expect_f16(in, piece);
      break;
    case ElementType::bf16:
      expect_bf16(in, piece);
      break;
    case ElementType::i8:
      expect_i8(in, piece);
      break;
  }
  column_ += piece.count;
  if (column_ < shape_.columns) return;
  column_ = 0;
  ++row_;
}

}  // namespace drover::delta
