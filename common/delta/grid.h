// Snapped tensors: weights that stand on a grid around the base's, new = base + step * k with one step a row and a
// small whole number k an element. Releases are moved onto such a grid before they are signed (snap.h); here the codec
// finds the grid again and sends k alone, which costs a few bits where the exact change costs twenty.
//
// A step is (16 + m) / 16 * 2^e: few enough steps that the grid is found from the numbers alone, and products with k
// are exact. All arithmetic is IEEE 754 doubles without fused multiply-add: the same bits on every architecture. Pure.
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/delta/element.h"
#include "common/delta/tensor_codec.h"

namespace drover::delta {

inline constexpr int kStepsOfOctave = 16;
inline constexpr int kMinStep = -160 * kStepsOfOctave, kMaxStep = 128 * kStepsOfOctave - 1;
inline constexpr int kMaxGridPlace = 127;  // |k|
// Rows of one snapped tensor: their steps take two bytes each in the decoder's memory.
inline constexpr std::size_t kMaxGridRows = std::size_t{1} << 17;

// A step by its number, e * 16 + m.
inline double step_size(int number) {
  const int m = number & (kStepsOfOctave - 1);
  return std::ldexp(kStepsOfOctave + m, (number - m) / kStepsOfOctave - 4);
}

// The greatest step of at most `size`; nullopt when it is out of range.
std::optional<int> step_at_most(double size);

// Weights as doubles, exactly, and back to the nearest number of the type, halves to even. Not for infinities and NaN.
inline double weight_of(F32, std::uint32_t bits) { return static_cast<double>(std::bit_cast<float>(bits)); }
inline double weight_of(Bf16, std::uint16_t bits) { return weight_of(F32{}, static_cast<std::uint32_t>(bits) << 16); }
inline double weight_of(F16, std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double size = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return bits >> 15 != 0 ? -size : size;
}
inline std::uint32_t bits_of(F32, double weight) { return std::bit_cast<std::uint32_t>(static_cast<float>(weight)); }
inline std::uint16_t bits_of(Bf16, double weight) {
  const std::uint32_t bits = bits_of(F32{}, weight);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline std::uint16_t bits_of(F16, double weight) {
  const std::uint32_t bits = bits_of(F32{}, weight), size = bits & 0x7fffffff, sign = bits >> 16 & 0x8000;
  std::uint32_t rounded = 0x7c00;  // infinity
  if (size < (113U << 23))
    rounded = static_cast<std::uint32_t>(std::nearbyint(std::fabs(weight) * 0x1p24));  // spaced 2^-24 down there
  else if (size < (143U << 23))
    rounded = (size - (112U << 23) + 0xfff + (size >> 13 & 1)) >> 13;
  return static_cast<std::uint16_t>(sign | rounded);
}

// base + step * k, rounded to the type.
template <class T>
typename T::Stored grid_element(typename T::Stored base, double step, int k) {
  return k == 0 ? base : bits_of(T{}, weight_of(T{}, base) + step * k);
}

struct Grid {
  std::vector<std::int16_t> steps;  // numbers, one a row
  std::vector<std::int8_t> places;  // k, one an element
};
// The grid around `base` on which every element of `target` stands; nullopt when there is none. Quick to say no.
std::optional<Grid> find_grid(const TensorShape& shape, ByteView base, ByteView target);

}  // namespace drover::delta
