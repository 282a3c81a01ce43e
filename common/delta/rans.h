// A static range coder (rANS, two interleaved states, 16-bit renormalisation) over symbols of 8 bits with many
// contexts, and the plain bits beside it. Source: J. Duda, "Asymmetric numeral systems", arXiv 1311.2540. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace drover::delta {

inline constexpr unsigned kProbBits = 12;
inline constexpr std::uint32_t kProbTotal = 1U << kProbBits;
inline constexpr std::size_t kSymbols = 256;

// How often each symbol stood in each context.
class Counts {
 public:
  explicit Counts(std::size_t contexts) : counts_(contexts * kSymbols) {}
  void add(std::size_t context, std::uint8_t symbol) { ++counts_[context * kSymbols + symbol]; }
  std::span<const std::uint32_t> of(std::size_t context) const {
    return {counts_.data() + context * kSymbols, kSymbols};
  }
  std::size_t contexts() const { return counts_.size() / kSymbols; }

 private:
  std::vector<std::uint32_t> counts_;
};

// Frequencies of each context, summing to kProbTotal where the context is used at all.
class Model {
 public:
  static Model from_counts(const Counts& counts);
  // Length in bits of coding `counts` with the model.
  double cost_bits(const Counts& counts) const;
  void write(Bytes& out) const;
  // malformed for anything but what write() makes; at most `contexts` contexts.
  static Result<Model> read(ByteView bytes, std::size_t contexts);

  std::uint16_t frequency(std::size_t context, std::size_t symbol) const {
    return frequencies_[context * kSymbols + symbol];
  }
  std::size_t contexts() const { return frequencies_.size() / kSymbols; }
  bool used(std::size_t context) const;

 private:
  std::vector<std::uint16_t> frequencies_;
};

class RansEncoder {
 public:
  explicit RansEncoder(const Model& model);
  // The whole sequence at once (it is coded from its end). Appends to `out`.
  void encode(std::span<const std::uint8_t> contexts, std::span<const std::uint8_t> symbols, Bytes& out) const;

 private:
  struct Entry {
    std::uint32_t start, frequency;
  };
  std::vector<Entry> entries_;
};

// Slots: symbol (8 bits) | frequency - 1 (12) | offset within the symbol (12).
class RansTables {
 public:
  explicit RansTables(const Model& model);
  const std::uint32_t* of(std::size_t context) const { return slots_.data() + index_[context] * kProbTotal; }

 private:
  std::vector<std::uint32_t> slots_;
  std::vector<std::uint16_t> index_;  // unused contexts share a table that always gives symbol 0
};

class RansDecoder {
 public:
  // `bytes` must outlive the decoder. malformed when too short.
  static Result<RansDecoder> start(ByteView bytes);
  std::uint8_t next(const std::uint32_t* table) {
    std::uint32_t& x = state_[turn_];
    turn_ ^= 1;
    const std::uint32_t slot = table[x & (kProbTotal - 1)];
    x = ((slot >> 8 & 0xfff) + 1) * (x >> kProbBits) + (slot >> 20);
    if (x < (1U << 16)) {
      if (at_ + 2 > end_) {
        overrun_ = true;
        x |= 1U << 16;
      } else {
        x = x << 16 | at_[0] | static_cast<std::uint32_t>(at_[1]) << 8;
        at_ += 2;
      }
    }
    return static_cast<std::uint8_t>(slot);
  }
  // All input used and both states back where the encoder began: what a flipped bit nearly always breaks.
  bool finished() const { return !overrun_ && at_ == end_ && state_[0] == (1U << 16) && state_[1] == (1U << 16); }

 private:
  std::array<std::uint32_t, 2> state_{};
  unsigned turn_ = 0;
  const std::uint8_t* at_ = nullptr;
  const std::uint8_t* end_ = nullptr;
  bool overrun_ = false;
};

class BitWriter {
 public:
  explicit BitWriter(Bytes& out) : out_(out) {}
  void put(std::uint64_t value, unsigned bits) {  // bits <= 32
    held_ |= value << count_;
    count_ += bits;
    while (count_ >= 8) {
      out_.push_back(static_cast<std::uint8_t>(held_));
      held_ >>= 8;
      count_ -= 8;
    }
  }
  void flush() {
    if (count_ > 0) out_.push_back(static_cast<std::uint8_t>(held_));
    held_ = 0;
    count_ = 0;
  }

 private:
  Bytes& out_;
  std::uint64_t held_ = 0;
  unsigned count_ = 0;
};

class BitReader {
 public:
  explicit BitReader(ByteView bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  std::uint32_t take(unsigned bits) {  // bits <= 32
    if (count_ < bits) refill();
    if (count_ < bits) {
      overrun_ = true;
      count_ = 64;
    }
    const auto value = static_cast<std::uint32_t>(held_ & ((std::uint64_t{1} << bits) - 1));
    held_ >>= bits;
    count_ -= bits;
    return value;
  }
  bool finished() const { return !overrun_ && at_ == end_ && held_ == 0 && count_ < 8; }

 private:
  void refill() {
    while (count_ <= 56 && at_ != end_) {
      held_ |= static_cast<std::uint64_t>(*at_++) << count_;
      count_ += 8;
    }
  }
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  std::uint64_t held_ = 0;
  unsigned count_ = 0;
  bool overrun_ = false;
};

}  // namespace drover::delta
