#include "common/delta/row_walk.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "common/delta/wide.h"

namespace drover::delta {
namespace {

struct RowInput {
  const std::uint32_t* bits;
  const std::int32_t* sums;
  const std::int32_t* scales;
  float sum_scale, gain;
  bool zeros_apart;
};

// Everything in locals, and none of the arrays overlap: for the sake of vector instructions.
template <class T>
DROVER_INLINE void expect_row(const RowInput& in, Piece& piece) {
  const std::uint32_t* base = in.bits;
  const std::int32_t* sums = in.sums;
  const std::int32_t* scales = in.scales;
  std::int32_t* ordinal = piece.ordinal.data();
  std::int32_t* mirror = piece.mirror.data();
  std::int32_t* low_bits = piece.low_bits.data();
  std::int32_t* slot = piece.slot.data();
  const float sum_scale = in.sum_scale, gain = in.gain;
  const bool zeros_apart = in.zeros_apart;
  const std::size_t count = piece.count;
  std::int32_t all_low = 0;
  DROVER_NO_OVERLAP
  for (std::size_t j = 0; j < count; ++j) {
    const float value = T::value(base[j]);
    const float change = value * gain + static_cast<float>(sums[j]) * sum_scale;
    const Expectation here = expect<T>(base[j], value + change, scales[j], zeros_apart);
    ordinal[j] = here.ordinal;
    mirror[j] = here.mirror;
    low_bits[j] = here.low_bits;
    slot[j] = here.slot;
    all_low += here.low_bits;
  }
  piece.all_low = static_cast<std::size_t>(all_low);
}

DROVER_WIDE void expect_f32(const RowInput& in, Piece& piece) { expect_row<F32>(in, piece); }
DROVER_WIDE void expect_f16(const RowInput& in, Piece& piece) { expect_row<F16>(in, piece); }
DROVER_WIDE void expect_bf16(const RowInput& in, Piece& piece) { expect_row<Bf16>(in, piece); }
DROVER_WIDE void expect_i8(const RowInput& in, Piece& piece) { expect_row<I8>(in, piece); }

void expect_piece(const RowInput& in, ElementType type, Piece& piece) {
  switch (type) {
    case ElementType::f32:
      return expect_f32(in, piece);
    case ElementType::f16:
      return expect_f16(in, piece);
    case ElementType::bf16:
      return expect_bf16(in, piece);
    case ElementType::i8:
      return expect_i8(in, piece);
  }
}

// Widening apart from the rest: in one loop, numbers of two widths cost shuffles at every step.
template <class Stored>
DROVER_INLINE void widen(const std::uint8_t* from, std::size_t count, std::uint32_t* to) {
  DROVER_NO_OVERLAP
  for (std::size_t j = 0; j < count; ++j) {
    Stored bits;
    std::memcpy(&bits, from + j * sizeof bits, sizeof bits);
    to[j] = bits;
  }
}
DROVER_WIDE void widen_2(const std::uint8_t* from, std::size_t count, std::uint32_t* to) {
  widen<std::uint16_t>(from, count, to);
}
DROVER_WIDE void widen_1(const std::uint8_t* from, std::size_t count, std::uint32_t* to) {
  widen<std::uint8_t>(from, count, to);
}
void widen_elements(ElementType type, const std::uint8_t* from, std::size_t count, std::uint32_t* to) {
  if (element_bytes(type) == 4) return void(std::memcpy(to, from, 4 * count));
  element_bytes(type) == 2 ? widen_2(from, count, to) : widen_1(from, count, to);
}

DROVER_WIDE void add_scales(std::int32_t scale, const std::int16_t* from, std::size_t count, std::int32_t* to) {
  DROVER_NO_OVERLAP
  for (std::size_t j = 0; j < count; ++j) to[j] = scale + from[j];
}

}  // namespace

RowWalk::RowWalk(const TensorShape& shape, const Parameters& parameters)
    : shape_(shape), p_(parameters), scale_(std::ldexp(1.0F, parameters.factors.scale_log2)) {
  const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, shape.columns));
  bits_.resize(most);
  sums_.resize(most);
  scales_.resize(most);
}

void RowWalk::next(std::size_t limit, const std::uint8_t* base, Piece& piece) {
  const auto row = static_cast<std::size_t>(row_), column = static_cast<std::size_t>(column_);
  piece.count = static_cast<std::size_t>(std::min<std::uint64_t>({kPiece, limit, shape_.columns - column_}));
  widen_elements(shape_.type, base + (row_ * shape_.columns + column_) * element_bytes(shape_.type), piece.count,
                 bits_.data());
  if (p_.factors.rank > 0) p_.factors.product(row, column, std::span(sums_).first(piece.count));
  if (p_.column_scales.empty())
    std::fill_n(scales_.begin(), piece.count, p_.row_scale(row));
  else
    add_scales(p_.row_scale(row), p_.column_scales.data() + column, piece.count, scales_.data());
  expect_piece({.bits = bits_.data(),
                .sums = sums_.data(),
                .scales = scales_.data(),
                .sum_scale = scale_,
                .gain = p_.gain(row),
                .zeros_apart = p_.zeros_apart},
               shape_.type, piece);
  column_ += piece.count;
  if (column_ < shape_.columns) return;
  column_ = 0;
  ++row_;
}

}  // namespace drover::delta
