#include "common/delta/rans.h"

#include <algorithm>
#include <cmath>

namespace drover::delta {
namespace {

constexpr std::uint32_t kLow = 1U << 16;  // states live in [kLow, kLow << 16)

void write_varint(Bytes& out, std::uint32_t value) {
  while (value >= 128) {
    out.push_back(static_cast<std::uint8_t>(value | 128));
    value >>= 7;
  }
  out.push_back(static_cast<std::uint8_t>(value));
}

bool read_varint(ByteView& in, std::uint32_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 28 && !in.empty(); shift += 7) {
    const std::uint8_t byte = in.front();
    in = in.subspan(1);
    value |= static_cast<std::uint32_t>(byte & 127) << shift;
    if (byte < 128) return true;
  }
  return false;
}

// Scales counts to kProbTotal, every used symbol at least 1; the largest takes what rounding leaves.
void normalise(std::span<const std::uint32_t> counts, std::uint16_t* out) {
  std::uint64_t total = 0;
  for (std::uint32_t count : counts) total += count;
  if (total == 0) return;
  std::int64_t left = kProbTotal;
  for (std::size_t s = 0; s < counts.size(); ++s) {
    if (counts[s] == 0) continue;
    const auto scaled = static_cast<std::uint64_t>(std::llround(double(counts[s]) * kProbTotal / double(total)));
    out[s] = static_cast<std::uint16_t>(std::max<std::uint64_t>(1, scaled));
    left -= out[s];
  }
  while (left != 0) {
    const auto largest = std::max_element(out, out + kSymbols);
    const std::int64_t take = left > 0 ? left : -std::min<std::int64_t>(-left, std::max(1, *largest / 2));
    *largest = static_cast<std::uint16_t>(*largest + take);
    left -= take;
  }
}

}  // namespace

Model Model::from_counts(const Counts& counts) {
  Model model(counts.contexts());
  for (std::size_t c = 0; c < counts.contexts(); ++c) normalise(counts.of(c), model.frequencies_.data() + c * kSymbols);
  return model;
}

void Model::clear(std::size_t context) {
  std::fill_n(frequencies_.begin() + static_cast<std::ptrdiff_t>(context * kSymbols), kSymbols, std::uint16_t{0});
}

void Model::set(std::size_t context, std::span<const std::uint16_t> frequencies) {
  std::copy(frequencies.begin(), frequencies.end(),
            frequencies_.begin() + static_cast<std::ptrdiff_t>(context * kSymbols));
}

bool Model::used(std::size_t context) const {
  const auto* begin = frequencies_.data() + context * kSymbols;
  return std::any_of(begin, begin + kSymbols, [](std::uint16_t f) { return f != 0; });
}

double Model::cost_bits(const Counts& counts) const {
  double bits = 0;
  for (std::size_t c = 0; c < counts.contexts(); ++c)
    for (std::size_t s = 0; s < kSymbols; ++s)
      if (const std::uint32_t n = counts.of(c)[s]; n != 0) bits += n * (kProbBits - std::log2(double(frequency(c, s))));
  return bits;
}

namespace {

// Number of runs of used symbols; each run as gap, length and the frequencies.
void write_context(std::span<const std::uint16_t> f, Bytes& out) {
  std::vector<std::pair<std::size_t, std::size_t>> runs;
  for (std::size_t s = 0; s < kSymbols;) {
    if (f[s] == 0) {
      ++s;
      continue;
    }
    const std::size_t begin = s;
    while (s < kSymbols && f[s] != 0) ++s;
    runs.emplace_back(begin, s);
  }
  write_varint(out, static_cast<std::uint32_t>(runs.size()));
  std::size_t at = 0;
  for (const auto& [begin, end] : runs) {
    write_varint(out, static_cast<std::uint32_t>(begin - at));
    write_varint(out, static_cast<std::uint32_t>(end - begin));
    for (std::size_t s = begin; s < end; ++s) write_varint(out, f[s]);
    at = end;
  }
}

// False at damage. Without any run the context is unused.
bool read_context(ByteView& bytes, std::uint16_t* f) {
  std::uint32_t runs = 0, total = 0;
  if (!read_varint(bytes, runs)) return false;
  std::size_t at = 0;
  for (std::uint32_t run = 0; run < runs; ++run) {
    std::uint32_t gap = 0, length = 0;
    if (!read_varint(bytes, gap) || !read_varint(bytes, length)) return false;
    // Numbers of 28 bits at most: their sum cannot overflow. No empty run, so that there are no more runs than symbols.
    if (length == 0 || at + gap + length > kSymbols) return false;
    at += gap;
    for (std::uint32_t i = 0; i < length; ++i, ++at) {
      std::uint32_t value = 0;
      if (!read_varint(bytes, value) || value == 0 || value > kProbTotal) return false;
      f[at] = static_cast<std::uint16_t>(value);
      total += value;
    }
  }
  return runs == 0 || total == kProbTotal;
}

Error damaged() { return Error(Code::malformed, "frequency tables are damaged"); }

}  // namespace

void Model::write(Bytes& out) const {
  for (std::size_t c = 0; c < contexts(); ++c) write_context(of(c), out);
}

Result<Model> Model::read(ByteView bytes, std::size_t contexts) {
  Model model(contexts);
  for (std::size_t c = 0; c < contexts; ++c)
    if (!read_context(bytes, model.frequencies_.data() + c * kSymbols)) return damaged();
  if (!bytes.empty()) return damaged();
  return model;
}

// Each used context: the gap since the last one, and what write_context says.
void Model::write_used(Bytes& out) const {
  std::size_t next = 0;
  for (std::size_t c = 0; c < contexts(); ++c) {
    if (!used(c)) continue;
    write_varint(out, static_cast<std::uint32_t>(c - next));
    write_context(of(c), out);
    next = c + 1;
  }
}

Result<Model> Model::read_used(ByteView bytes, std::size_t contexts) {
  Model model(contexts);
  for (std::size_t next = 0; !bytes.empty(); ++next) {
    std::uint32_t gap = 0;
    if (!read_varint(bytes, gap) || next + gap >= contexts) return damaged();
    next += gap;
    if (!read_context(bytes, model.frequencies_.data() + next * kSymbols) || !model.used(next)) return damaged();
  }
  return model;
}

RansEncoder::RansEncoder(const Model& model) : entries_(model.contexts() * kSymbols) {
  for (std::size_t c = 0; c < model.contexts(); ++c) {
    std::uint32_t start = 0;
    for (std::size_t s = 0; s < kSymbols; ++s) {
      entries_[c * kSymbols + s] = {start, model.frequency(c, s)};
      start += model.frequency(c, s);
    }
  }
}

void RansEncoder::encode(std::span<const std::uint16_t> contexts, std::span<const std::uint8_t> symbols,
                         Bytes& out) const {
  const std::size_t states = states_for(symbols.size());
  std::array<std::uint32_t, kStates> state;
  state.fill(kLow);
  std::vector<std::uint16_t> words;
  words.reserve(symbols.size());
  for (std::size_t i = symbols.size(); i-- > 0;) {
    const Entry& entry = entries_[contexts[i] * kSymbols + symbols[i]];
    std::uint32_t& x = state[i & (states - 1)];
    if (x >= (std::uint64_t{kLow} >> kProbBits << 16) * entry.frequency) {
      words.push_back(static_cast<std::uint16_t>(x));
      x >>= 16;
    }
    x = (x / entry.frequency << kProbBits) + x % entry.frequency + entry.start;
  }
  for (std::size_t i = 0; i < states; ++i)
    for (unsigned shift = 0; shift < 32; shift += 8) out.push_back(static_cast<std::uint8_t>(state[i] >> shift));
  for (std::size_t i = words.size(); i-- > 0;) {
    out.push_back(static_cast<std::uint8_t>(words[i]));
    out.push_back(static_cast<std::uint8_t>(words[i] >> 8));
  }
}

void RansTable::fill(std::span<const std::uint16_t> frequencies) {
  std::uint32_t slot = 0;
  for (std::size_t s = 0; s < kSymbols; ++s) {
    const std::uint32_t frequency = frequencies[s];
    start_frequency[s] = slot << 16 | frequency;
    std::fill_n(symbol.begin() + slot, frequency, static_cast<std::uint8_t>(s));
    slot += frequency;
  }
  if (slot != 0) return;
  symbol.fill(0);
  start_frequency[0] = kProbTotal;  // keeps the state as it is
}

RansTables::RansTables(const Model& model) : index_(model.contexts()) {
  std::size_t in_use = 0;
  for (std::size_t c = 0; c < model.contexts(); ++c) in_use += model.used(c) ? 1 : 0;
  tables_.reserve(1 + in_use);  // a vector that grows has twice the memory for a moment
  tables_.emplace_back().fill(std::array<std::uint16_t, kSymbols>{});
  for (std::size_t c = 0; c < model.contexts(); ++c) {
    if (!model.used(c)) continue;
    index_[c] = static_cast<std::uint16_t>(tables_.size());
    tables_.emplace_back().fill(model.of(c));
  }
}

Result<RansDecoder> RansDecoder::start(ByteView bytes, std::size_t size, std::size_t symbols) {
  RansDecoder decoder;
  decoder.last_ = states_for(symbols) - 1;
  const std::size_t states = 4 * (decoder.last_ + 1);
  if (size < states) return Error(Code::malformed, "coded numbers are cut short");
  for (std::size_t i = 0; i < states; ++i) decoder.state_[i / 4] |= static_cast<std::uint32_t>(bytes[i]) << (i % 4 * 8);
  decoder.at_ = bytes.data() + states;
  decoder.end_ = bytes.data() + size;
  decoder.short_ = 8 * size < kRareBits * symbols;
  return decoder;
}

}  // namespace drover::delta
