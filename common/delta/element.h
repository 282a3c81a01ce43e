// Numbers as the codec sees them. Every element type maps its bit patterns onto consecutive whole numbers, the
// ordinals, in the order of the values: the distance between two ordinals counts the representable numbers between them
// (ulps). All arithmetic is on integers or on IEEE 754 doubles in the default rounding mode and without fused
// multiply-add, so that encoder and decoder agree to the bit on every architecture. Pure.
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
  std::int64_t ordinal = 0;
  int fraction = 0;  // of an ulp, in 1/256: [-128, 128]
};

// Logarithm of 2 in 1/16 of an integer of at least 1, linear between powers of two.
inline int log2_sixteenths(std::uint64_t n) {
  const int bits = std::bit_width(n) - 1;
  return bits * 16 + static_cast<int>(n << 4 >> bits & 15);
}

// Formats of sign, exponent and mantissa, stored sign-magnitude.
template <class Bits, unsigned mantissa_bits, int exponent_bias>
struct FloatTraits {
  using Stored = Bits;
  static constexpr unsigned kWidth = sizeof(Bits) * 8;
  static constexpr unsigned kMantissa = mantissa_bits;
  static constexpr Bits kSign = static_cast<Bits>(Bits{1} << (kWidth - 1));

  // All ones for a negative number. Signs are random, so nothing below branches on them.
  static std::int64_t sign_mask(Bits bits) { return -static_cast<std::int64_t>(bits >> (kWidth - 1)); }
  static std::int64_t ordinal(Bits bits) {  // -0 stands one below +0
    return static_cast<std::int64_t>(bits & static_cast<Bits>(~kSign)) ^ sign_mask(bits);
  }
  static Bits from_ordinal(std::int64_t n) {
    const std::int64_t mask = n >> 63;
    return static_cast<Bits>(static_cast<Bits>(n ^ mask) | (static_cast<Bits>(mask) & kSign));
  }
  // From the magnitude of an ordinal and a fraction, and the sign that both have.
  static Nearest signed_nearest(std::int64_t magnitude, int fraction, std::int64_t mask) {
    return {magnitude ^ mask, static_cast<int>((fraction ^ mask) - mask)};
  }
  static bool is_zero(Bits bits) { return (bits & static_cast<Bits>(~kSign)) == 0; }
  // Infinities and NaN: no arithmetic with them, whose payload differs between architectures.
  static bool is_special(Bits bits) {
    constexpr auto kExponent = static_cast<Bits>(static_cast<Bits>(~kSign) >> mantissa_bits << mantissa_bits);
    return (bits & kExponent) == kExponent;
  }
  static int exponent(Bits bits) { return static_cast<int>((bits & static_cast<Bits>(~kSign)) >> mantissa_bits); }
  // Logarithm of the distance to the next number, in 1/16.
  static int ulp_log(Bits bits) {
    const int e = exponent(bits);
    return ((e == 0 ? 1 : e) - exponent_bias - static_cast<int>(mantissa_bits)) * 16;
  }
};

struct F32 : FloatTraits<std::uint32_t, 23, 127> {
  static double value(Stored bits) { return static_cast<double>(std::bit_cast<float>(bits)); }
  static Nearest nearest(double value) { return {ordinal(std::bit_cast<std::uint32_t>(static_cast<float>(value))), 0}; }
};

struct Bf16 : FloatTraits<std::uint16_t, 7, 127> {
  static double value(Stored bits) {
    return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16));
  }
  static Nearest nearest(double value) {
    const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
    const std::uint32_t magnitude = bits & 0x7fffffff;
    const std::uint32_t rounded = (magnitude + 0x8000) >> 16;
    const int fraction = (static_cast<int>(magnitude) - static_cast<int>(rounded << 16)) / 256;
    return signed_nearest(rounded, fraction, -static_cast<std::int64_t>(bits >> 31));
  }
};

struct F16 : FloatTraits<std::uint16_t, 10, 15> {
  static double value(Stored bits) {
    const std::uint64_t sign = static_cast<std::uint64_t>(bits >> 15) << 63;
    const auto magnitude = static_cast<std::uint64_t>(bits & 0x7fff);
    if (magnitude >= 0x400)  // the bias grows from 15 to 1023, the mantissa from 10 to 52 bits
      return std::bit_cast<double>(sign | (magnitude + (std::uint64_t{1023 - 15} << 10)) << 42);
    return std::bit_cast<double>(std::bit_cast<std::uint64_t>(static_cast<double>(magnitude) * 0x1p-24) | sign);
  }
  static Nearest nearest(double value) {
    const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
    const std::uint32_t magnitude = bits & 0x7fffffff;
    std::uint32_t scaled = 0;  // the ordinal times 2^13
    if (magnitude >= (113U << 23))
      scaled = std::min<std::uint32_t>(magnitude - (112U << 23), 31U << 23);
    else
      scaled = static_cast<std::uint32_t>(std::fabs(value) * 0x1p37);  // below 2^-14: spaced 2^-24
    const std::uint32_t rounded = (scaled + 0x1000) >> 13;
    const int fraction = (static_cast<int>(scaled) - static_cast<int>(rounded << 13)) / 32;
    return signed_nearest(rounded, fraction, -static_cast<std::int64_t>(bits >> 31));
  }
};

struct I8 {
  using Stored = std::uint8_t;
  static constexpr unsigned kWidth = 8;
  static std::int64_t ordinal(Stored bits) { return static_cast<std::int8_t>(bits); }
  static Stored from_ordinal(std::int64_t n) { return static_cast<Stored>(n); }
  static bool is_zero(Stored bits) { return bits == 0; }
  static bool is_special(Stored) { return false; }
  static int ulp_log(Stored) { return 0; }
  static double value(Stored bits) { return static_cast<std::int8_t>(bits); }
  static Nearest nearest(double value) {
    const double bounded = std::min(std::max(value, -128.0), 127.0);
    const int low = static_cast<int>(bounded + (0.5 + 1024)) - 1024;  // rounds down: the sum is above 0
    return {low, static_cast<int>((bounded - low) * 256)};
  }
};

template <class T>
typename T::Stored load(const std::uint8_t* at) {
  typename T::Stored bits;
  std::memcpy(&bits, at, sizeof bits);
  return bits;
}

}  // namespace drover::delta
