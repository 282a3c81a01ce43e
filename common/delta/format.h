// The constants of the delta format, version 1 (docs/formats/delta.md). Little-endian, sizes of 64 bits.
#pragma once

#include <cstddef>
#include <cstdint>

namespace drover::delta {

inline constexpr std::uint32_t kMagic = 0x44565244;  // "DRVD"
inline constexpr std::uint8_t kVersion = 1;
inline constexpr std::uint8_t kOldestVersion = 1;  // that the decoder reads; a device names all from here to kVersion
inline constexpr std::size_t kHeaderBytes = 4 + 4 + 8 + 8 + 32 + 32;

// What the decoder allocates is bounded by these, whatever a delta says.
inline constexpr std::size_t kMaxPlain = 1 << 20;        // bytes that one segment without elements makes
inline constexpr unsigned kWindowLog = 23;               // of a stretch: that of zstd -19, where it decodes in place
inline constexpr std::size_t kMaxPrefix = 4 << 20;       // of the base that one such segment may refer to (mapped)
inline constexpr std::size_t kChunkElements = 1 << 17;   // elements coded together
inline constexpr std::size_t kMaxChunkPlain = 9 << 16;   // bytes of their plain bits: 36 an element
inline constexpr std::size_t kOutElements = 1 << 14;     // decoded before they are given on
inline constexpr std::size_t kMaxFactorBytes = 1 << 20;  // of a tensor's factors, scales and gains, in memory
inline constexpr std::size_t kMaxRank = 32;
inline constexpr std::size_t kMaxColumns = 1 << 16;       // columns whose scale is tracked
inline constexpr std::size_t kMaxTableBytes = 64 * 1024;  // of one tensor's frequency tables, compressed

enum class SegmentKind : std::uint8_t {
  end = 0,
  copy = 1,     // bytes of the base, at an offset
  raw = 2,      // bytes as they are
  zstd = 3,     // a zstd frame
  prefix = 4,   // a zstd frame whose dictionary is a range of the base
  tensor = 5,   // numbers
  stretch = 6,  // a zstd frame of any length
};

enum class ElementType : std::uint8_t { f32 = 0, f16 = 1, bf16 = 2, i8 = 3 };
constexpr std::size_t element_bytes(ElementType type) {
  return type == ElementType::f32 ? 4 : type == ElementType::i8 ? 1 : 2;
}

enum class TensorMode : std::uint8_t {
  difference = 0,  // against the base's elements
  alone = 1,       // without a base
  grid = 2,        // on a grid around the base's elements
};

}  // namespace drover::delta
