#include "common/delta/numbers.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/delta/format.h"
#include "common/delta/rans.h"
#include "common/delta/tensor_model.h"

namespace drover::delta {
namespace {

constexpr std::size_t kContexts = 6;   // by the number of low bits that go as they are: 0 with four sizes, 1, more
constexpr unsigned kMaxLog = 14;       // kMaxFactor has 13 bits
constexpr unsigned kEscapeBits = 15;   // of a number of 14 bits with its sign
constexpr std::size_t kFewBytes = 64;  // states, and what rounding costs where numbers are few

// One vector: how many low bits are noise, and the context of the rest.
struct VectorScale {
  unsigned low_bits = 0;
  std::uint8_t context = 0;
};

VectorScale scale_from_log(unsigned log) {
  if (log <= 3) return {0, static_cast<std::uint8_t>(log)};
  return {log - 3, static_cast<std::uint8_t>(log == 4 ? 4 : 5)};
}

unsigned size_log(std::span<const std::int16_t> vector) {
  double squares = 0;
  for (std::int16_t v : vector) squares += double(v) * v;
  const auto mean = static_cast<std::uint32_t>(std::sqrt(squares / double(std::max<std::size_t>(1, vector.size()))));
  return static_cast<unsigned>(std::bit_width(mean));
}

struct Coded {
  std::vector<std::uint16_t> contexts;
  std::vector<std::uint8_t> symbols;
  Counts counts{kContexts};
  Bytes logs, plain;
};

Coded code(std::span<const std::span<const std::int16_t>> vectors) {
  Coded coded;
  BitWriter bits(coded.plain);
  for (const auto& vector : vectors) {
    const unsigned log = size_log(vector);
    coded.logs.push_back(static_cast<std::uint8_t>(log));
    const VectorScale scale = scale_from_log(log);
    for (std::int16_t value : vector) {
      const std::int32_t high = value >> scale.low_bits;
      const std::uint8_t symbol = symbol_of(high);
      coded.counts.add(scale.context, symbol);
      coded.contexts.push_back(scale.context);
      coded.symbols.push_back(symbol);
      bits.put(static_cast<std::uint64_t>(value) & ((1U << scale.low_bits) - 1), scale.low_bits);
      if (symbol == kEscape) bits.put(static_cast<std::uint32_t>(high) & ((1U << kEscapeBits) - 1), kEscapeBits);
    }
  }
  bits.flush();
  return coded;
}

std::int32_t escaped(std::uint32_t bits) {  // two's complement of kEscapeBits
  return static_cast<std::int32_t>(bits << (32 - kEscapeBits)) >> (32 - kEscapeBits);
}

}  // namespace

void write_numbers(std::span<const std::span<const std::int16_t>> vectors, Bytes& out) {
  const Coded numbers = code(vectors);
  const Model model = Model::from_counts(numbers.counts);
  Bytes tables, coded;
  model.write(tables);
  RansEncoder(model).encode(numbers.contexts, numbers.symbols, coded);
  out.insert(out.end(), numbers.logs.begin(), numbers.logs.end());
  for (const Bytes* part : {&std::as_const(tables), &std::as_const(coded), &numbers.plain}) {
    put_varint(out, part->size());
    out.insert(out.end(), part->begin(), part->end());
  }
}

Status read_numbers(NumberReader& in, std::span<const std::span<std::int16_t>> vectors) {
  std::size_t count = 0;
  for (const auto& vector : vectors) count += vector.size();
  const Bytes logs = in.bytes(vectors.size());
  const Bytes tables = in.bytes(in.bounded(kMaxTableBytes, "the tables of a tensor's numbers"));
  // Together: of 14 bits, a number that costs more of one costs less of the other.
  const std::size_t most = 2 * count + kFewBytes;
  const std::size_t coded_size = in.bounded(most, "a tensor's numbers");
  const Bytes coded = in.bytes(coded_size, kReadAhead);
  const std::size_t plain_size = in.bounded(most - coded_size, "the low bits of a tensor's numbers");
  const Bytes plain = in.bytes(plain_size, kReadAhead);
  TRY(in.status());
  if (std::any_of(logs.begin(), logs.end(), [](std::uint8_t log) { return log > kMaxLog; }))
    return Error(Code::malformed, "the size of a tensor's numbers is out of range");
  TRY_ASSIGN(const Model model, Model::read(tables, kContexts));
  const RansTables slots(model);
  TRY_ASSIGN(RansDecoder decoder, RansDecoder::start(coded, coded_size, count));
  BitReader bits(plain, plain_size);
  bool wrong = false;
  for (std::size_t v = 0; v < vectors.size(); ++v) {
    const VectorScale scale = scale_from_log(logs[v]);
    for (std::int16_t& value : vectors[v]) {
      const std::uint8_t symbol = decoder.next(slots.of(scale.context));
      const auto low = static_cast<std::int32_t>(bits.take(scale.low_bits));
      const std::int32_t high = symbol == kEscape ? escaped(bits.take(kEscapeBits)) : symbol - kDirect;
      const std::int32_t whole = high * (1 << scale.low_bits) + low;
      wrong = wrong || whole < -kMaxFactor || whole > kMaxFactor;
      value = static_cast<std::int16_t>(whole);
    }
  }
  if (wrong || !decoder.finished() || !bits.finished()) return Error(Code::malformed, "a tensor's numbers are damaged");
  return {};
}

}  // namespace drover::delta
