// A static range coder (rANS, interleaved states, 16-bit renormalisation) over symbols of 8 bits with many
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

class RansDecoder {
 public:
  // The first `size` bytes of `bytes` are coded; kReadAhead more must be there. Both must outlive the decoder.
  // malformed when too short.
  static Result<RansDecoder> start(ByteView bytes, std::size_t size, std::size_t symbols);
  std::uint8_t next(const RansTable& table) {
    const std::uint8_t* before = at_;
    const std::uint8_t symbol = step(state_[turn_], table);
    turn_ = (turn_ + 1) & last_;
    const bool beyond = at_ > end_;
    overrun_ |= beyond;
    at_ = beyond ? before : at_;
    return symbol;
  }
  // `count` symbols; of(i) is the table of the i-th.
  template <class Of>
  void run(std::size_t count, std::uint8_t* symbols, Of of) {
    std::size_t i = 0;
    for (; i < count && turn_ != 0; ++i) symbols[i] = next(of(i));
    if (last_ == kStates - 1) i = run_in_fours(i, count, symbols, of);
    for (; i < count; ++i) symbols[i] = next(of(i));
  }
  // All input used and the states back where the encoder began: what a flipped bit nearly always breaks.
  bool finished() const {
    bool back = !overrun_ && at_ == end_;
    for (std::size_t i = 0; i <= last_; ++i) back = back && state_[i] == (1U << 16);
    return back;
  }

 private:
  // Without a branch that depends on the data: it would be mispredicted every few symbols.
  std::uint8_t step(std::uint32_t& x, const RansTable& table) {
    const std::uint32_t slot = x & (kProbTotal - 1);
    const std::uint8_t symbol = table.symbol[slot];
    const std::uint32_t entry = table.start_frequency[symbol];
    const std::uint32_t y = (entry & 0xffff) * (x >> kProbBits) + slot - (entry >> 16);
    const std::uint32_t word = at_[0] | static_cast<std::uint32_t>(at_[1]) << 8;
    const bool low = y < (1U << 16);
    x = low ? y << 16 | word : y;
    at_ += low ? 2 : 0;
    return symbol;
  }
  template <class Of>
  std::size_t run_in_fours(std::size_t i, std::size_t count, std::uint8_t* symbols, Of of) {
    RansDecoder d = *this;  // in registers
    for (; i + kStates <= count && d.end_ - d.at_ >= std::ptrdiff_t{2 * kStates}; i += kStates) {
      symbols[i] = d.step(d.state_[0], of(i));
      symbols[i + 1] = d.step(d.state_[1], of(i + 1));
      symbols[i + 2] = d.step(d.state_[2], of(i + 2));
      symbols[i + 3] = d.step(d.state_[3], of(i + 3));
    }
    *this = d;
    return i;
  }
  std::array<std::uint32_t, kStates> state_{};
  std::size_t turn_ = 0, last_ = 0;
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
  // The first `size` bytes of `bytes`; kReadAhead more must be there.
  BitReader(ByteView bytes, std::size_t size) : at_(bytes.data()), end_(bytes.data() + size) {}
  std::uint32_t take(unsigned bits) {  // bits <= 32
    if (count_ < bits) refill(bits);
    const auto value = static_cast<std::uint32_t>(held_ & ((std::uint64_t{1} << bits) - 1));
    held_ >>= bits;
    count_ -= bits;
    return value;
  }
  bool finished() const { return !overrun_ && at_ == end_ && held_ == 0 && count_ < 8; }

 private:
  // What stands above count_ in held_ is always what will be read there again.
  void refill(unsigned bits) {
    if (end_ - at_ >= 8) {
      std::uint64_t next = 0;
      for (int i = 7; i >= 0; --i) next = next << 8 | at_[i];
      held_ |= next << count_;
      at_ += (63 - count_) >> 3;
      count_ |= 56;
      return;
    }
    while (count_ <= 56 && at_ != end_) {
      held_ |= static_cast<std::uint64_t>(*at_++) << count_;
      count_ += 8;
    }
    if (count_ >= bits) return;
    overrun_ = true;
    count_ = 56;  // zeros: the caller finds out at the end
  }
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  std::uint64_t held_ = 0;
  unsigned count_ = 0;
  bool overrun_ = false;
};

}  // namespace drover::delta
