#include "common/delta/low_rank.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/delta/format.h"
#include "common/delta/rans.h"
#include "common/delta/tensor_model.h"

namespace drover::delta {
namespace {

constexpr std::size_t kFactorContexts = 6;  // by the number of low bits that go as they are: 0 with four sizes, 1, more

// One vector of a factor: how many low bits are noise, and the context of the rest.
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

// Calls visit(vector) for left[0], right[0], left[1], ...
template <class F, class Visit>
void each_vector(F& factors, Visit visit) {
  for (std::size_t q = 0; q < factors.rank; ++q) {
    visit(std::span(factors.left).subspan(q * factors.rows, factors.rows));
    visit(std::span(factors.right).subspan(q * factors.columns, factors.columns));
  }
}

}  // namespace

void Factors::make_pairs() {
  pairs.assign((rank + 1) / 2 * columns * 2, 0);
  for (std::size_t q = 0; q < rank; ++q)
    for (std::size_t j = 0; j < columns; ++j) pairs[(q / 2 * columns + j) * 2 + q % 2] = right[q * columns + j];
}

// Two products and their sum at once is one instruction on most processors (pmaddwd); the loop is written for it.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
__attribute__((target_clones("avx2", "default")))  // the same whole numbers, faster where the processor can
#endif
void Factors::product(std::size_t row, std::size_t first, std::span<std::int32_t> sums) const {
  std::fill(sums.begin(), sums.end(), 0);
  const std::size_t n = sums.size();
  std::int32_t* out = sums.data();
  for (std::size_t q = 0; q < rank; q += 2) {
    const std::int32_t a = left[q * rows + row], b = q + 1 < rank ? left[(q + 1) * rows + row] : 0;
    const std::int16_t* pair = pairs.data() + (q / 2 * columns + first) * 2;
    for (std::size_t j = 0; j < n; ++j) out[j] += a * pair[2 * j] + b * pair[2 * j + 1];
  }
}

Factors quantise(const Decomposition& whole, std::size_t rank) {
  Factors factors{.rank = rank,
                  .scale_log2 = 0,
                  .rows = whole.rows,
                  .columns = whole.columns,
                  .left = {},
                  .right = {},
                  .pairs = {}};
  double left_over = whole.energy, taken = 0, largest = 0;
  std::vector<double> left_scale(rank), right_scale(rank);
  const double balance = std::pow(double(whole.rows) / double(whole.columns), 0.25);
  for (std::size_t q = 0; q < rank; ++q) {
    left_over -= whole.values[q] * whole.values[q];
    taken += whole.values[q];
    left_scale[q] = std::sqrt(whole.values[q]) * balance;
    right_scale[q] = std::sqrt(whole.values[q]) / balance;
    for (std::size_t i = 0; i < whole.rows; ++i)
      largest = std::max(largest, std::fabs(whole.left[q * whole.rows + i] * left_scale[q]));
    for (std::size_t j = 0; j < whole.columns; ++j)
      largest = std::max(largest, std::fabs(whole.right[q * whole.columns + j] * right_scale[q]));
  }
  const double cells = double(whole.rows) * double(whole.columns);
  const double noise = 0.05 * std::max(left_over, 1e-6 * whole.energy) / cells;
  const double mean_squares =
      taken * (balance * balance / double(whole.rows) + 1 / (balance * balance * double(whole.columns)));
  int log = static_cast<int>(std::floor(std::log2(std::sqrt(12 * noise / std::max(mean_squares, 1e-300)))));
  log = std::clamp(log, -200, 200);
  while (largest / std::ldexp(1.0, log) > kMaxFactor && log < 200) ++log;
  factors.scale_log2 = 2 * log;
  const auto round = [log](double v) {
    return static_cast<std::int16_t>(std::clamp<long>(std::lround(std::ldexp(v, -log)), -kMaxFactor, kMaxFactor));
  };
  for (std::size_t q = 0; q < rank; ++q) {
    for (std::size_t i = 0; i < whole.rows; ++i)
      factors.left.push_back(round(whole.left[q * whole.rows + i] * left_scale[q]));
    for (std::size_t j = 0; j < whole.columns; ++j)
      factors.right.push_back(round(whole.right[q * whole.columns + j] * right_scale[q]));
  }
  factors.make_pairs();
  return factors;
}

void write_factors(const Factors& factors, Bytes& out) {
  Counts counts(kFactorContexts);
  std::vector<std::uint8_t> contexts, symbols;
  Bytes logs, plain, coded, tables;
  BitWriter bits(plain);
  each_vector(factors, [&](std::span<const std::int16_t> vector) {
    const unsigned log = size_log(vector);
    logs.push_back(static_cast<std::uint8_t>(log));
    const VectorScale scale = scale_from_log(log);
    for (std::int16_t value : vector) {
      const Coded high = code_high(value >> scale.low_bits);
      counts.add(scale.context, high.symbol);
      contexts.push_back(scale.context);
      symbols.push_back(high.symbol);
      bits.put(static_cast<std::uint64_t>(value) & ((1U << scale.low_bits) - 1), scale.low_bits);
      bits.put(high.extra, high.extra_bits);
    }
  });
  bits.flush();
  const Model model = Model::from_counts(counts);
  model.write(tables);
  RansEncoder(model).encode(contexts, symbols, coded);
  put_signed(out, factors.scale_log2);
  for (const Bytes* part : {&logs, &tables, &coded, &plain}) {
    if (part != &logs) put_varint(out, part->size());
    out.insert(out.end(), part->begin(), part->end());
  }
}

Result<Factors> read_factors(NumberReader& in, std::size_t rank, std::size_t rows, std::size_t columns) {
  Factors factors{
      .rank = rank, .scale_log2 = 0, .rows = rows, .columns = columns, .left = {}, .right = {}, .pairs = {}};
  const std::int64_t scale = in.signed_varint();
  if (scale < -400 || scale > 400) in.fail("the scale of the factors is out of range");
  factors.scale_log2 = static_cast<int>(scale);
  const Bytes logs = in.bytes(2 * rank);
  const Bytes tables = in.bytes(in.bounded(kMaxTableBytes, "the factors' tables"));
  const std::size_t coded_size = in.bounded(2 * kMaxFactorBytes, "the factors");
  const Bytes coded = in.bytes(coded_size, kReadAhead);
  const std::size_t plain_size = in.bounded(2 * kMaxFactorBytes, "the factors' low bits");
  const Bytes plain = in.bytes(plain_size, kReadAhead);
  TRY(in.status());
  if (std::any_of(logs.begin(), logs.end(), [](std::uint8_t log) { return log > 14; }))
    return Error(Code::malformed, "the size of a factor is out of range");
  TRY_ASSIGN(const Model model, Model::read(tables, kFactorContexts));
  const RansTables slots(model);
  TRY_ASSIGN(RansDecoder decoder, RansDecoder::start(coded, coded_size));
  BitReader bits(plain, plain_size);
  factors.left.resize(rank * rows);
  factors.right.resize(rank * columns);
  std::size_t turn = 0;
  bool wrong = false;
  each_vector(factors, [&](std::span<std::int16_t> vector) {
    const VectorScale scale_here = scale_from_log(logs[turn++]);
    for (std::int16_t& value : vector) {
      const std::uint8_t symbol = decoder.next(slots.of(scale_here.context));
      const std::uint32_t low = bits.take(scale_here.low_bits);
      const unsigned extra = escape_bits(symbol);
      const std::int64_t whole =
          decode_high(symbol, extra > 16 ? 0 : bits.take(extra)) * (1 << scale_here.low_bits) + low;
      wrong = wrong || whole < -kMaxFactor || whole > kMaxFactor;
      value = static_cast<std::int16_t>(whole);
    }
  });
  if (wrong || !decoder.finished() || !bits.finished()) return Error(Code::malformed, "the factors are damaged");
  factors.make_pairs();
  return factors;
}

}  // namespace drover::delta
