// Numbers as the codec sees them. Every element type maps its bit patterns onto consecutive whole numbers, the
// ordinals, in the order of the values: the distance between two ordinals counts the representable numbers between them
// (ulps), modulo 2^32. All arithmetic is on integers or on IEEE 754 floats in the default rounding mode and without
// fused multiply-add, so that encoder and decoder agree to the bit on every architecture. Without branches, so that
// loops over elements become vector instructions. Pure.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "common/delta/format.h"

namespace drover::delta {

// The number nearest to a prediction, and what rounding left over.
struct Nearest {
  std::int32_t ordinal = 0;
  std::int32_t fraction = 0;  // of an ulp, in 1/1024, counted in ordinals: [-512, 512]
};

// Logarithm of 2 in 1/16 of an integer of at least 1, linear between powers of two.
constexpr int log2_sixteenths(std::uint64_t n) {
  const int bits = std::bit_width(n) - 1;
  return bits * 16 + static_cast<int>(n << 4 >> bits & 15);
}

// All bits where a > b, else none; both below 2^31. An addition and a shift: compilers make more of a comparison.
inline std::int32_t mask_above(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(b - a) >> 31; }

inline std::uint32_t float_bits(float value) { return std::bit_cast<std::uint32_t>(value); }
inline std::int32_t special_float_mask(float value) { return mask_above(float_bits(value) & 0x7fffffff, 0x7f7fffff); }
inline bool is_special_float(float value) { return special_float_mask(value) != 0; }

// Formats of sign, exponent and mantissa, stored sign-magnitude. Bit patterns are taken in 32 bits whatever the format:
// loops over numbers of one width need no shuffles between vectors.
template <class Bits, unsigned mantissa_bits, int exponent_bias>
struct FloatTraits {
  using Stored = Bits;
  static constexpr unsigned kWidth = sizeof(Bits) * 8;
  static constexpr unsigned kMantissa = mantissa_bits;
  static constexpr std::uint32_t kSign = 1U << (kWidth - 1);
  static constexpr std::uint32_t kMagnitude = kSign - 1;

  static std::int32_t sign_mask(std::uint32_t bits) { return -static_cast<std::int32_t>(bits >> (kWidth - 1)); }
  static std::int32_t ordinal(std::uint32_t bits) {  // -0 stands one below +0
    return static_cast<std::int32_t>(bits & kMagnitude) ^ sign_mask(bits);
  }
  static std::uint32_t from_ordinal(std::int32_t n) {
    const auto mask = static_cast<std::uint32_t>(n >> 31);
    return ((static_cast<std::uint32_t>(n) ^ mask) & kMagnitude) | (mask & kSign);
  }
  // From the magnitude of an ordinal and a fraction, and the sign that both have.
  static Nearest signed_nearest(std::uint32_t magnitude, std::int32_t fraction, std::uint32_t float_sign) {
    const std::int32_t mask = -static_cast<std::int32_t>(float_sign >> 31);
    return {static_cast<std::int32_t>(magnitude) ^ mask, (fraction ^ mask) - mask};
  }
  static bool is_zero(std::uint32_t bits) { return zero_mask(bits) != 0; }
  // Infinities and NaN: no arithmetic with them, whose payload differs between architectures.
  static bool is_special(std::uint32_t bits) { return special_mask(bits) != 0; }
  // The same as masks of all bits.
  static std::int32_t zero_mask(std::uint32_t bits) { return mask_above(1, bits & kMagnitude); }
  static std::int32_t special_mask(std::uint32_t bits) {
    return mask_above(bits & kMagnitude, (kMagnitude >> mantissa_bits << mantissa_bits) - 1);
  }
  static int exponent(std::uint32_t bits) { return static_cast<int>((bits & kMagnitude) >> mantissa_bits); }
  // Logarithm of 2 of the distance to the next number.
  static std::int32_t ulp_log(std::int32_t ordinal) {
    const std::int32_t e = (ordinal ^ (ordinal >> 31)) >> mantissa_bits;
    return std::max(e, 1) - (exponent_bias + static_cast<std::int32_t>(mantissa_bits));
  }
};

struct F32 : FloatTraits<std::uint32_t, 23, 127> {
  static float value(std::uint32_t bits) { return std::bit_cast<float>(bits); }
  static Nearest nearest(float value) { return {ordinal(float_bits(value)), 0}; }
};

struct Bf16 : FloatTraits<std::uint16_t, 7, 127> {
  static float value(std::uint32_t bits) { return std::bit_cast<float>(bits << 16); }
  static Nearest nearest(float value) {
    const std::uint32_t bits = float_bits(value), magnitude = bits & 0x7fffffff;
    const std::uint32_t rounded = (magnitude + 0x8000) >> 16;
    return signed_nearest(rounded, static_cast<std::int32_t>(magnitude - (rounded << 16)) >> 6, bits);
  }
};

struct F16 : FloatTraits<std::uint16_t, 10, 15> {
  static float value(std::uint32_t bits) {
    const std::uint32_t sign = (bits & kSign) << 16, magnitude = bits & kMagnitude;
    // The bias grows from 15 to 127, the mantissa from 10 to 23 bits; below the smallest exponent 2^-24 is the unit.
    const std::uint32_t normal = (magnitude << 13) + (112U << 23);
    const std::uint32_t small = float_bits(static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24F);
    const auto is_small = static_cast<std::uint32_t>(mask_above(0x400, magnitude));
    return std::bit_cast<float>((small & is_small) | (normal & ~is_small) | sign);
  }
  static Nearest nearest(float value) {
    const std::uint32_t bits = float_bits(value), magnitude = bits & 0x7fffffff;
    // The ordinal times 2^13; below 2^-14 numbers are spaced 2^-24.
    const std::uint32_t normal = std::min<std::uint32_t>(std::max(magnitude, 112U << 23) - (112U << 23), 31U << 23);
    const auto small = static_cast<std::uint32_t>(
        static_cast<std::int32_t>(std::min(std::bit_cast<float>(magnitude), 0x1p-14F) * 0x1p37F));
    const auto is_small = static_cast<std::uint32_t>(mask_above(113U << 23, magnitude));
    const std::uint32_t scaled = (small & is_small) | (normal & ~is_small);
    const std::uint32_t rounded = (scaled + 0x1000) >> 13;
    return signed_nearest(rounded, static_cast<std::int32_t>(scaled - (rounded << 13)) >> 3, bits);
  }
};

struct I8 {
  using Stored = std::uint8_t;
  static constexpr unsigned kWidth = 8;
  static constexpr unsigned kMantissa = 7;
  static std::int32_t ordinal(std::uint32_t bits) { return static_cast<std::int32_t>(bits << 24) >> 24; }
  static std::uint32_t from_ordinal(std::int32_t n) { return static_cast<std::uint32_t>(n) & 0xff; }
  static bool is_zero(std::uint32_t bits) { return bits == 0; }
  static bool is_special(std::uint32_t) { return false; }
  static std::int32_t zero_mask(std::uint32_t bits) { return mask_above(1, bits); }
  static std::int32_t special_mask(std::uint32_t) { return 0; }
  static std::int32_t ulp_log(std::int32_t) { return 0; }
  static float value(std::uint32_t bits) { return static_cast<float>(ordinal(bits)); }
  static Nearest nearest(float value) {
    const float bounded = std::min(std::max(value, -128.0F), 127.0F);
    const std::int32_t low = static_cast<std::int32_t>(bounded + (0.5F + 1024)) - 1024;  // down: the sum is above 0
    return {low, static_cast<std::int32_t>((bounded - static_cast<float>(low)) * 1024)};
  }
};

template <class T>
typename T::Stored load(const std::uint8_t* at) {
  typename T::Stored bits;
  std::memcpy(&bits, at, sizeof bits);
  return bits;
}

}  // namespace drover::delta
