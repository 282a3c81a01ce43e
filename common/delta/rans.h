// A static range coder (rANS, interleaved states, 16-bit renormalisation) over symbols of 8 bits with many
// contexts, and the plain bits beside it. Source: J. Duda, "Asymmetric numeral systems", arXiv 1311.2540. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
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
  explicit Model(std::size_t contexts) : frequencies_(contexts * kSymbols) {}
  static Model from_counts(const Counts& counts);
  // Length in bits of coding `counts` with the model.
  double cost_bits(const Counts& counts) const;
  void write(Bytes& out) const;
  // malformed for anything but what write() makes; at most `contexts` contexts.
  static Result<Model> read(ByteView bytes, std::size_t contexts);
  // The used contexts alone, for models of many contexts of which few are used.
  void write_used(Bytes& out) const;
  static Result<Model> read_used(ByteView bytes, std::size_t contexts);

  // Takes what `context` has away, or gives it frequencies that sum to kProbTotal.
  void clear(std::size_t context);
  void set(std::size_t context, std::span<const std::uint16_t> frequencies);
  std::span<const std::uint16_t> of(std::size_t context) const {
    return {frequencies_.data() + context * kSymbols, kSymbols};
  }
  std::uint16_t frequency(std::size_t context, std::size_t symbol) const {
    return frequencies_[context * kSymbols + symbol];
  }
  std::size_t contexts() const { return frequencies_.size() / kSymbols; }
  bool used(std::size_t context) const;

 private:
  std::vector<std::uint16_t> frequencies_;
};

// Several states take turns, so that a decoder has several symbols under way; where symbols are few, the bytes that
// states cost count more.
inline constexpr std::size_t kStates = 4;
inline constexpr std::size_t kFewSymbols = 1024;
constexpr std::size_t states_for(std::size_t symbols) { return symbols < kFewSymbols ? 1 : kStates; }

class RansEncoder {
 public:
  explicit RansEncoder(const Model& model);
  // The whole sequence at once (it is coded from its end), with states_for() its length. Appends to `out`.
  void encode(std::span<const std::uint16_t> contexts, std::span<const std::uint8_t> symbols, Bytes& out) const;

 private:
  struct Entry {
    std::uint32_t start, frequency;
  };
  std::vector<Entry> entries_;
};

// One context's tables, small so that those in use stay in the fastest cache.
struct RansTable {
  std::array<std::uint8_t, kProbTotal> symbol;          // of each slot
  std::array<std::uint32_t, kSymbols> start_frequency;  // first slot << 16 | frequency

  // `frequencies` sum to kProbTotal, or are all 0: then symbol 0 is certain.
  void fill(std::span<const std::uint16_t> frequencies);
};

class RansTables {
 public:
  explicit RansTables(const Model& model);
  const RansTable& of(std::size_t context) const { return tables_[index_[context]]; }

 private:
  std::vector<RansTable> tables_;
  std::vector<std::uint16_t> index_;  // unused contexts share a table that always gives symbol 0
};

// Bytes that must stand readable behind what RansDecoder and BitReader are given: they read ahead, and ignore it.
inline constexpr std::size_t kReadAhead = 8;

// 16 bits, little-endian.
inline std::uint32_t word_at(const std::uint8_t* at) {
  if constexpr (std::endian::native == std::endian::little) {
    std::uint16_t word;
    std::memcpy(&word, at, sizeof word);
    return word;
  } else {
    return at[0] | static_cast<std::uint32_t>(at[1]) << 8;
  }
}

class RansDecoder {
 public:
  // The first `size` bytes of `bytes` are coded; kReadAhead more must be there. Both must outlive the decoder.
  // malformed when too short.
  static Result<RansDecoder> start(ByteView bytes, std::size_t size, std::size_t symbols);
  std::uint8_t next(const RansTable& table) {
    const std::uint8_t* before = at_;
    const std::uint8_t symbol = step<false>(state_[turn_], table);
    turn_ = (turn_ + 1) & last_;
    const bool beyond = at_ > end_;
    overrun_ |= beyond;
    at_ = beyond ? before : at_;
    return symbol;
  }
  // A symbol for each of `tables`.
  void run(std::span<const RansTable* const> tables, std::int32_t* symbols) {
    std::size_t i = 0;
    for (; i < tables.size() && turn_ != 0; ++i) symbols[i] = next(*tables[i]);
    const auto of = [&](std::size_t at) { return tables.data() + at; };
    const auto done = [&](std::size_t at, const Turn& turn) { std::copy(turn.begin(), turn.end(), symbols + at); };
    i = short_ ? run_in_turns<true>(i, tables.size(), of, done) : run_in_turns<false>(i, tables.size(), of, done);
    for (; i < tables.size(); ++i) symbols[i] = next(*tables[i]);
  }
  using Turn = std::array<std::uint8_t, kStates>;
  // From the i-th of `count` symbols on, kStates at a time: `of` gives the tables of those from a place on, `done` gets
  // the symbols. Ends, with the place that comes next, where fewer are left or the input comes to its end.
  template <bool rare = false, class Of, class Done>
  std::size_t run_in_turns(std::size_t i, std::size_t count, Of of, Done done) {
    if (last_ != kStates - 1 || turn_ != 0) return i;
    RansDecoder d = *this;  // in registers
    for (; i + kStates <= count && d.end_ - d.at_ >= std::ptrdiff_t{2 * kStates}; i += kStates) {
      const RansTable* const* table = of(i);
      Turn symbols;
      for (std::size_t k = 0; k < kStates; ++k) symbols[k] = d.template step<rare>(d.state_[k], *table[k]);
      done(i, symbols);
    }
    *this = d;
    return i;
  }
  // All input used and the states back where the encoder began: what a flipped bit nearly always breaks.
  bool finished() const {
    bool back = !overrun_ && at_ == end_;
    for (std::size_t i = 0; i <= last_; ++i) back = back && state_[i] == (1U << 16);
    return back;
  }

 private:
  // Without a branch that depends on the data: it would be mispredicted every few symbols. Masks, since compilers make
  // a branch of a choice. Where symbols take few bits (`rare`), the branch is nearly always predicted.
  template <bool rare>
  std::uint8_t step(std::uint32_t& x, const RansTable& table) {
    const std::uint32_t slot = x & (kProbTotal - 1);
    const std::uint8_t symbol = table.symbol[slot];
    const std::uint32_t entry = table.start_frequency[symbol];
    const std::uint32_t y = (entry & 0xffff) * (x >> kProbBits) + slot - (entry >> 16);
    if constexpr (rare) {
      x = y;
      if (y < (1U << 16)) [[unlikely]] {
        x = y << 16 | word_at(at_);
        at_ += 2;
      }
      return symbol;
    }
    const std::uint32_t longer = y << 16 | word_at(at_);
    const std::uint32_t low = 0 - static_cast<std::uint32_t>(y < (1U << 16));
    x = y ^ ((y ^ longer) & low);
    at_ += low & 2;
    return symbol;
  }
  std::array<std::uint32_t, kStates> state_{};
  static constexpr std::size_t kRareBits = 2;
  std::size_t turn_ = 0, last_ = 0;
  const std::uint8_t* at_ = nullptr;
  const std::uint8_t* end_ = nullptr;
  bool overrun_ = false;
  bool short_ = false;  // symbols of under kRareBits on average
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
  // The first `size` bytes of `bytes`; kReadAhead more must be there.
  BitReader(ByteView bytes, std::size_t size) : bytes_(bytes.data()), end_(8 * size) {}
  std::size_t left() const { return end_ - at_; }
  std::uint32_t take(unsigned bits) {  // bits <= 32; zeros beyond the end: finished() tells
    if (bits > left()) {
      overrun_ = true;
      return 0;
    }
    return skip(bits) & static_cast<std::uint32_t>((std::uint64_t{1} << bits) - 1);
  }
  // Bits of which as many are left, with whatever follows them above.
  std::uint32_t skip(unsigned bits) {
    const std::uint8_t* from = bytes_ + at_ / 8;
    std::uint64_t held = 0;
    for (int i = 7; i >= 0; --i) held = held << 8 | from[i];
    const auto value = static_cast<std::uint32_t>(held >> at_ % 8);
    at_ += bits;
    return value;
  }
  // All used but less than a byte of zeros.
  bool finished() const { return !overrun_ && left() < 8 && (left() == 0 || bytes_[at_ / 8] >> at_ % 8 == 0); }

 private:
  const std::uint8_t* bytes_;
  std::size_t end_, at_ = 0;
  bool overrun_ = false;
};

}  // namespace drover::delta
