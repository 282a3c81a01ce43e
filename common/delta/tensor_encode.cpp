#include <zstd.h>

#include <algorithm>

#include "common/delta/alone.h"
#include "common/delta/distribution.h"
#include "common/delta/fit.h"
#include "common/delta/grid_codec.h"
#include "common/delta/rans.h"
#include "common/delta/row_walk.h"
#include "common/delta/tensor_codec.h"
#include "common/delta/with_type.h"

namespace drover::delta {
namespace {

constexpr int kTableLevel = 19;

// Symbols and plain bits as they come; written chunk by chunk at the end.
class Collector {
 public:
  Collector(std::size_t contexts, std::uint64_t elements) : counts_(contexts), writer_(plain_) {
    contexts_.reserve(elements);
    symbols_.reserve(elements);
  }
  void add(std::uint16_t context, std::uint8_t symbol) {
    counts_.add(context, symbol);
    contexts_.push_back(context);
    symbols_.push_back(symbol);
  }
  void plain(std::uint32_t value, unsigned bits) { writer_.put(value, bits); }
  // How many more elements the chunk takes.
  std::size_t room() const { return kChunkElements - symbols_.size() % kChunkElements; }
  void end_element() {
    if (symbols_.size() % kChunkElements == 0) end_chunk();
  }
  const Counts& counts() const { return counts_; }
  // `own`: what the delta says; `all`: with which it codes.
  void write(const Model& own, const Model& all, Bytes& out) {
    if (symbols_.size() % kChunkElements != 0) end_chunk();
    write_tables(own, out);
    const RansEncoder encoder(all);
    for (std::size_t chunk = 0; chunk < chunk_ends_.size(); ++chunk) write_chunk(encoder, chunk, out);
  }
  // False when a chunk has more plain bits than a decoder takes.
  bool fits() const {
    for (std::size_t chunk = 0; chunk < chunk_ends_.size(); ++chunk)
      if (chunk_ends_[chunk] - begin_of(chunk) > kMaxChunkPlain) return false;
    return true;
  }

 private:
  static void write_tables(const Model& model, Bytes& out) {
    Bytes plain;
    model.write_used(plain);
    put_varint(out, plain.size());
    if (plain.empty()) return;
    Bytes packed(ZSTD_compressBound(plain.size()));
    packed.resize(ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), kTableLevel));
    if (packed.size() >= plain.size()) packed.clear();
    put_varint(out, packed.size());
    const Bytes& shorter = packed.empty() ? plain : packed;
    out.insert(out.end(), shorter.begin(), shorter.end());
  }
  std::size_t begin_of(std::size_t chunk) const { return chunk == 0 ? 0 : chunk_ends_[chunk - 1]; }
  void write_chunk(const RansEncoder& encoder, std::size_t chunk, Bytes& out) const {
    const std::size_t first = chunk * kChunkElements, count = std::min(kChunkElements, symbols_.size() - first);
    Bytes coded;
    encoder.encode(std::span(contexts_).subspan(first, count), std::span(symbols_).subspan(first, count), coded);
    put_varint(out, coded.size());
    put_varint(out, chunk_ends_[chunk] - begin_of(chunk));
    out.insert(out.end(), coded.begin(), coded.end());
    out.insert(out.end(), plain_.begin() + static_cast<std::ptrdiff_t>(begin_of(chunk)),
               plain_.begin() + static_cast<std::ptrdiff_t>(chunk_ends_[chunk]));
  }
  void end_chunk() {
    writer_.flush();
    chunk_ends_.push_back(plain_.size());
  }
  Counts counts_;
  std::vector<std::uint16_t> contexts_;
  std::vector<std::uint8_t> symbols_;
  Bytes plain_;
  BitWriter writer_;
  std::vector<std::size_t> chunk_ends_;  // in plain_
};

// --- against a base --------------------------------------------------------------------------------------------------
void put_escape(std::int32_t high, Collector& collector) {
  const std::uint32_t zigzag = static_cast<std::uint32_t>(high) << 1 ^ static_cast<std::uint32_t>(high >> 31);
  const auto more = static_cast<unsigned>(std::bit_width(zigzag)) - 1;
  collector.plain(more, 5);
  collector.plain(zigzag & ((1U << more) - 1), more);
}

template <class T>
void collect(const TensorShape& shape, ByteView base, ByteView target, const Parameters& parameters,
             Collector& collector) {
  using Stored = typename T::Stored;
  RowWalk walk(shape, parameters);
  Piece piece;
  for (std::uint64_t i = 0; i < shape.elements();) {
    walk.next(collector.room(), base.data(), piece);
    for (std::size_t j = 0; j < piece.count; ++j, ++i) {
      const Expectation here{piece.ordinal[j], piece.mirror[j], piece.low_bits[j], piece.slot[j]};
      const std::int32_t residual = residual_of<T>(load<T>(target.data() + i * sizeof(Stored)), here);
      const auto low_bits = static_cast<unsigned>(here.low_bits);
      const std::int32_t high = residual >> low_bits;
      const std::uint8_t symbol = symbol_of(high);
      collector.add(kSlotContexts[static_cast<std::size_t>(here.slot)], symbol);
      collector.plain(static_cast<std::uint32_t>(residual) & ((1U << low_bits) - 1), low_bits);
      if (symbol == kEscape) put_escape(high, collector);
    }
    collector.end_element();
  }
}

// Bits of coding what stood in `context` with these frequencies; infinite when they leave a symbol out.
double cost_bits(std::span<const std::uint32_t> counts, std::span<const std::uint16_t> frequencies) {
  double bits = 0;
  for (std::size_t s = 0; s < kSymbols; ++s) {
    if (counts[s] == 0) continue;
    if (frequencies[s] == 0) return INFINITY;
    bits += counts[s] * (kProbBits - std::log2(double(frequencies[s])));
  }
  return bits;
}

// Contexts whose own frequencies would not pay for themselves go by their defaults.
struct Models {
  Model own, all;
};
Models choose_models(const Counts& counts, std::size_t shape) {
  Models models{Model::from_counts(counts), Model(counts.contexts())};
  models.all = models.own;
  for (std::size_t c = 0; c < counts.contexts(); ++c) {
    if (!models.own.used(c)) continue;
    const Frequencies by_default = default_frequencies(shape, c);
    std::size_t used = 0;
    for (std::size_t s = 0; s < kSymbols; ++s) used += counts.of(c)[s] != 0 ? 1U : 0U;
    const double own = cost_bits(counts.of(c), models.own.of(c)) + 8 * (3 + 1.2 * double(used));
    if (own < cost_bits(counts.of(c), by_default)) continue;
    models.own.clear(c);
    models.all.set(c, by_default);
  }
  return models;
}

template <class T>
EncodedTensor difference(const TensorShape& shape, ByteView base, ByteView target, std::optional<std::size_t> rank) {
  const std::optional<Parameters> fitted = fit_parameters(shape, base, target, rank);
  if (!fitted) return {};
  const Parameters& parameters = *fitted;
  Collector collector(kDifferenceContexts, shape.elements());
  collect<T>(shape, base, target, parameters, collector);
  if (!collector.fits()) return {};
  EncodedTensor out{
      {static_cast<std::uint8_t>(TensorMode::difference)}, TensorMode::difference, parameters.factors.rank};
  write_parameters(parameters, out.bytes);
  const Models models = choose_models(collector.counts(), parameters.shape);
  collector.write(models.own, models.all, out.bytes);
  return out;
}

// --- alone -----------------------------------------------------------------------------------------------------------
template <class T>
Bytes alone(const TensorShape& shape, ByteView target) {
  using Stored = typename T::Stored;
  int largest = kLargestOfBytes;
  if constexpr (T::kWidth != 8) {
    largest = 0;
    for (std::uint64_t i = 0; i < shape.elements(); ++i)
      largest = std::max(largest, T::exponent(load<T>(target.data() + i * sizeof(Stored))));
  }
  Collector collector(kAloneContexts, shape.elements());
  ScaleTracker tracker(tracked_columns(shape));
  Place place(shape.columns);
  for (std::uint64_t i = 0; i < shape.elements(); ++i, place.next()) {
    const Stored bits = load<T>(target.data() + i * sizeof(Stored));
    const AloneCoded coded = code_alone<T>(bits, largest);
    collector.add(alone_context(tracker.expected(place.column()), largest), coded.symbol);
    collector.plain(coded.extra, coded.extra_bits);
    collector.end_element();
    if (T::kWidth == 8 || !T::is_zero(bits)) tracker.update(place.column(), size_log_of<T>(bits));
  }
  Bytes out = {static_cast<std::uint8_t>(TensorMode::alone)};
  if (T::kWidth != 8) out.push_back(static_cast<std::uint8_t>(largest));
  const Model model = Model::from_counts(collector.counts());
  collector.write(model, model, out);
  return out;
}

}  // namespace

EncodedTensor encode_tensor(const TensorShape& shape, ByteView base, ByteView target) {
  const auto smaller = [](EncodedTensor a, EncodedTensor b) {
    return b.bytes.empty() || (!a.bytes.empty() && a.bytes.size() <= b.bytes.size()) ? std::move(a) : std::move(b);
  };
  EncodedTensor best;
  if (!base.empty()) {
    const std::optional<Grid> grid = find_grid(shape, base, target);
    // By chance 4-byte elements do not all stand on a grid; narrower ones may, and then it may cost more.
    if (grid && shape.type == ElementType::f32) return encode_grid(shape, base, *grid);
    best = with_type(shape.type, [&](auto type) { return difference<decltype(type)>(shape, base, target, {}); });
    if (grid) best = smaller(encode_grid(shape, base, *grid, best.bytes.size()), std::move(best));
  }
  // A difference of under half the size is far below what a tensor alone comes to.
  if (!best.bytes.empty() && best.bytes.size() < shape.bytes() / 2) return best;
  return smaller(std::move(best), {encode_alone(shape, target), TensorMode::alone, 0});
}

Bytes encode_difference(const TensorShape& shape, ByteView base, ByteView target, std::optional<std::size_t> rank) {
  return with_type(shape.type, [&](auto type) { return difference<decltype(type)>(shape, base, target, rank).bytes; });
}

Bytes encode_alone(const TensorShape& shape, ByteView target) {
  return with_type(shape.type, [&](auto type) { return alone<decltype(type)>(shape, target); });
}

}  // namespace drover::delta
