#include <zstd.h>
#include <algorithm>
#include <cmath>

#include "common/delta/element_walk.h"
#include "common/delta/grid_codec.h"
#include "common/delta/rans.h"
#include "common/delta/tensor_codec.h"

namespace drover::delta {
namespace {

constexpr int kTableLevel = 19;
constexpr std::size_t kSampleElements = 4096;  // for the choice of a rank
constexpr std::size_t kMinForRank = 4096;      // elements below which factors never pay
constexpr std::size_t kRanks[] = {4, 8, 12, 16, 24, 32};

// Contexts, symbols and plain bits as they come; written chunk by chunk at the end.
class Collector {
 public:
  Collector(std::size_t contexts, std::uint64_t elements) : counts_(contexts), writer_(plain_) {
    contexts_.reserve(elements);
    symbols_.reserve(elements);
  }
  void add(std::uint8_t context, std::uint8_t symbol) {
    counts_.add(context, symbol);
    contexts_.push_back(context);
    symbols_.push_back(symbol);
  }
  void plain(std::uint32_t value, unsigned bits) { writer_.put(value, bits); }
  void end_element() {
    if (symbols_.size() % kChunkElements == 0) end_chunk();
  }
  void write(Bytes& out) {
    if (symbols_.size() % kChunkElements != 0) end_chunk();
    const Model model = Model::from_counts(counts_);
    write_tables(model, out);
    const RansEncoder encoder(model);
    for (std::size_t chunk = 0; chunk < chunk_ends_.size(); ++chunk) write_chunk(encoder, chunk, out);
  }

 private:
  static void write_tables(const Model& model, Bytes& out) {
    Bytes plain;
    model.write(plain);
    Bytes packed(ZSTD_compressBound(plain.size()));
    packed.resize(ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), kTableLevel));
    put_varint(out, plain.size());
    put_varint(out, packed.size());
    out.insert(out.end(), packed.begin(), packed.end());
  }
  void write_chunk(const RansEncoder& encoder, std::size_t chunk, Bytes& out) const {
    const std::size_t first = chunk * kChunkElements, count = std::min(kChunkElements, symbols_.size() - first);
    const std::size_t begin = chunk == 0 ? 0 : chunk_ends_[chunk - 1];
    Bytes coded;
    encoder.encode(std::span(contexts_).subspan(first, count), std::span(symbols_).subspan(first, count), coded);
    put_varint(out, coded.size());
    put_varint(out, chunk_ends_[chunk] - begin);
    out.insert(out.end(), coded.begin(), coded.end());
    out.insert(out.end(), plain_.begin() + static_cast<std::ptrdiff_t>(begin),
               plain_.begin() + static_cast<std::ptrdiff_t>(chunk_ends_[chunk]));
  }
  void end_chunk() {
    writer_.flush();
    chunk_ends_.push_back(plain_.size());
  }
  Counts counts_;
  std::vector<std::uint8_t> contexts_, symbols_;
  Bytes plain_;
  BitWriter writer_;
  std::vector<std::size_t> chunk_ends_;  // in plain_
};

template <class T>
std::vector<float> change_of(const TensorShape& shape, ByteView base, ByteView target) {
  std::vector<float> change(shape.elements());
  for (std::size_t i = 0; i < change.size(); ++i) {
    const auto before = load<T>(base.data() + i * sizeof(typename T::Stored));
    if (T::is_zero(before)) continue;  // predicted as zero whatever the factors say
    const double difference = T::value(load<T>(target.data() + i * sizeof(typename T::Stored))) - T::value(before);
    if (std::isfinite(difference) && std::fabs(difference) < 1e15) change[i] = static_cast<float>(difference);
  }
  return change;
}

template <class T>
Bytes difference_with(const TensorShape& shape, ByteView base, ByteView target, const Factors& factors) {
  using Stored = typename T::Stored;
  Collector collector(kDifferenceContexts, shape.elements());
  ScaleTracker tracker(tracked_columns(shape));
  Prediction prediction(factors, shape);
  Place place(shape.columns);
  for (std::uint64_t i = 0; i < shape.elements(); ++i, place.next()) {
    if (place.at_row_start()) prediction.begin_row(place.row());
    const Expectation here = expect<T>(load<T>(base.data() + i * sizeof(Stored)), prediction, tracker, place.column());
    const std::int64_t residual = T::ordinal(load<T>(target.data() + i * sizeof(Stored))) - here.ordinal;
    const Coded high = code_high(residual >> here.split.low_bits);
    collector.add(here.split.context, high.symbol);
    collector.plain(static_cast<std::uint32_t>(static_cast<std::uint64_t>(residual) &
                                               ((std::uint64_t{1} << here.split.low_bits) - 1)),
                    here.split.low_bits);
    collector.plain(high.extra, high.extra_bits);
    collector.end_element();
    if (here.tracked) tracker.update(place.column(), residual, here.ulp_log);
  }
  Bytes out = {static_cast<std::uint8_t>(TensorMode::difference), static_cast<std::uint8_t>(factors.rank)};
  if (factors.rank > 0) write_factors(factors, out);
  collector.write(out);
  return out;
}

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
    const Coded coded = code_alone<T>(bits, largest);
    collector.add(alone_context(tracker, place.column(), largest), coded.symbol);
    collector.plain(coded.extra, coded.extra_bits);
    collector.end_element();
    if (T::kWidth == 8 || !T::is_zero(bits)) tracker.update_log(place.column(), size_log_of<T>(bits));
  }
  Bytes out = {static_cast<std::uint8_t>(TensorMode::alone), 0};
  if (T::kWidth != 8) out.push_back(static_cast<std::uint8_t>(largest));
  collector.write(out);
  return out;
}

template <class Use>
auto with_type(ElementType type, Use use) {
  switch (type) {
    case ElementType::f32:
      return use(F32{});
    case ElementType::f16:
      return use(F16{});
    case ElementType::bf16:
      return use(Bf16{});
    case ElementType::i8:
      break;
  }
  return use(I8{});
}

// Bits that coding a Gaussian of this variance (in squared ulps) takes, roughly and never below 0.
double gaussian_bits(double variance) { return 0.5 * std::log2(1 + 2 * M_PI * M_E * variance); }

// Which rank should pay most, from the energy that each leaves over and the ulps of a sample of elements.
template <class T>
std::size_t choose_rank(const TensorShape& shape, ByteView base, const Decomposition& whole) {
  const double cells = double(shape.elements());
  const std::size_t stride = std::max<std::size_t>(1, shape.elements() / kSampleElements);
  std::vector<double> ulps;
  for (std::uint64_t i = 0; i < shape.elements(); i += stride) {
    const auto bits = load<T>(base.data() + i * sizeof(typename T::Stored));
    if (!T::is_zero(bits)) ulps.push_back(std::exp2(T::ulp_log(bits) / 16.0));
  }
  if (ulps.empty() || whole.energy <= 0) return 0;
  const auto cost = [&](std::size_t rank) {
    double left_over = whole.energy;
    for (std::size_t q = 0; q < rank; ++q) left_over -= whole.values[q] * whole.values[q];
    const double variance = std::max(left_over, 1e-6 * whole.energy) / cells;
    double bits = 0;
    for (double ulp : ulps) bits += gaussian_bits(variance / (ulp * ulp));
    constexpr double kBitsPerFactor = 7;
    return bits / double(ulps.size()) * cells + kBitsPerFactor * double(rank) * double(shape.rows + shape.columns);
  };
  std::size_t best = 0;
  for (std::size_t rank : kRanks)
    if (rank <= whole.rank && 2 * rank * (shape.rows + shape.columns) <= kMaxFactorBytes && cost(rank) < cost(best))
      best = rank;
  return best;
}

bool may_have_rank(const TensorShape& shape) {
  return shape.rows >= 16 && shape.columns >= 16 && shape.elements() >= kMinForRank && shape.columns <= kMaxColumns &&
         2 * kRanks[0] * (shape.rows + shape.columns) <= kMaxFactorBytes;
}

Factors no_factors(const TensorShape& shape) {
  return {.rank = 0,
          .scale_log2 = 0,
          .rows = static_cast<std::size_t>(shape.rows),
          .columns = static_cast<std::size_t>(shape.columns),
          .left = {},
          .right = {},
          .pairs = {}};
}

template <class T>
EncodedTensor best_difference(const TensorShape& shape, ByteView base, ByteView target) {
  EncodedTensor best{difference_with<T>(shape, base, target, no_factors(shape)), TensorMode::difference, 0};
  // A change of under a bit an element is mostly zeros: nothing for factors to find that would pay for them.
  if (!may_have_rank(shape) || double(best.bytes.size()) * 8 < 0.5 * double(shape.elements())) return best;
  const std::vector<float> change = change_of<T>(shape, base, target);
  const Decomposition whole =
      decompose(change, static_cast<std::size_t>(shape.rows), static_cast<std::size_t>(shape.columns), kMaxRank);
  const std::size_t rank = choose_rank<T>(shape, base, whole);
  if (rank == 0) return best;
  Bytes with = difference_with<T>(shape, base, target, quantise(whole, rank));
  if (with.size() < best.bytes.size()) best = {std::move(with), TensorMode::difference, rank};
  return best;
}

}  // namespace

EncodedTensor encode_tensor(const TensorShape& shape, ByteView base, ByteView target) {
  const std::optional<Grid> grid = base.empty() ? std::nullopt : find_grid(shape, base, target);
  EncodedTensor snapped;
  if (grid) snapped = encode_grid(shape, base, *grid);
  // By chance 4-byte elements do not all stand on a grid; narrower ones may, and then it may cost more.
  if (grid && shape.type == ElementType::f32) return snapped;
  EncodedTensor best{encode_alone(shape, target), TensorMode::alone, 0};
  if (base.empty()) return best;
  EncodedTensor difference =
      with_type(shape.type, [&](auto type) { return best_difference<decltype(type)>(shape, base, target); });
  if (difference.bytes.size() < best.bytes.size()) best = std::move(difference);
  return grid && snapped.bytes.size() < best.bytes.size() ? std::move(snapped) : std::move(best);
}

Bytes encode_difference(const TensorShape& shape, ByteView base, ByteView target, std::size_t rank) {
  return with_type(shape.type, [&](auto type) {
    using T = decltype(type);
    if (rank == 0) return difference_with<T>(shape, base, target, no_factors(shape));
    const Decomposition whole = decompose(change_of<T>(shape, base, target), static_cast<std::size_t>(shape.rows),
                                          static_cast<std::size_t>(shape.columns), rank);
    return difference_with<T>(shape, base, target, quantise(whole, whole.rank));
  });
}

Bytes encode_alone(const TensorShape& shape, ByteView target) {
  return with_type(shape.type, [&](auto type) { return alone<decltype(type)>(shape, target); });
}

}  // namespace drover::delta
