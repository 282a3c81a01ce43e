#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "common/delta/element_walk.h"
#include "common/delta/grid_codec.h"
#include "common/delta/rans.h"
#include "common/delta/tensor_codec.h"

namespace drover::delta {
namespace {

constexpr std::size_t kMaxCoded = 2 * kChunkElements + 64;  // a symbol takes 12 bits at most, and two states are kept
constexpr std::size_t kMaxPlainBits =
    9 * kChunkElements;  // 32 low bits and 33 of an escape are more than any element has
constexpr std::size_t kMaxPlainTables = 128 * 1024;

Result<RansTables> read_tables(NumberReader& in, std::size_t contexts) {
  const std::size_t plain_size = in.bounded(kMaxPlainTables, "a tensor's tables");
  const Bytes packed = in.bytes(in.bounded(kMaxTableBytes, "a tensor's packed tables"));
  TRY(in.status());
  Bytes plain(plain_size);
  const std::size_t got = ZSTD_decompress(plain.data(), plain.size(), packed.data(), packed.size());
  if (ZSTD_isError(got) != 0 || got != plain.size()) return Error(Code::malformed, "a tensor's tables are damaged");
  TRY_ASSIGN(const Model model, Model::read(plain, contexts));
  return RansTables(model);
}

// One chunk of coded numbers, read and ready.
struct Chunk {
  std::size_t coded_size = 0, plain_size = 0;
  Bytes coded, plain;  // with kReadAhead bytes more
};

Result<Chunk> read_chunk(NumberReader& in) {
  Chunk chunk;
  chunk.coded_size = in.bounded(kMaxCoded, "a chunk");
  chunk.plain_size = in.bounded(kMaxPlainBits, "a chunk's plain bits");
  chunk.coded = in.bytes(chunk.coded_size, kReadAhead);
  chunk.plain = in.bytes(chunk.plain_size, kReadAhead);
  TRY(in.status());
  return chunk;
}

// Gives the elements of a tensor out, chunk by chunk; `one` decodes one element.
template <class Stored, class One>
Status decode_chunks(const TensorShape& shape, NumberReader& in, ByteSink& sink, One one) {
  std::vector<std::uint8_t> out;
  for (std::uint64_t done = 0; done < shape.elements();) {
    const std::size_t count =
        static_cast<std::size_t>(std::min<std::uint64_t>(kChunkElements, shape.elements() - done));
    TRY_ASSIGN(const Chunk chunk, read_chunk(in));
    TRY_ASSIGN(RansDecoder decoder, RansDecoder::start(chunk.coded, chunk.coded_size));
    BitReader bits(chunk.plain, chunk.plain_size);
    out.resize(count * sizeof(Stored));
    for (std::size_t i = 0; i < count; ++i) {
      const Stored element = one(decoder, bits, done + i);
      std::memcpy(out.data() + i * sizeof(Stored), &element, sizeof(Stored));
    }
    if (!decoder.finished() || !bits.finished()) return Error(Code::malformed, "a tensor's chunk is damaged");
    TRY(sink.write(out));
    done += count;
  }
  return {};
}

template <class T>
Status decode_difference(const TensorShape& shape, NumberReader& in, ByteView base, std::size_t rank, ByteSink& sink) {
  Factors factors{.rank = 0, .scale_log2 = 0, .rows = 0, .columns = 0, .left = {}, .right = {}, .pairs = {}};
  if (rank > 0) {
    TRY_ASSIGN(factors,
               read_factors(in, rank, static_cast<std::size_t>(shape.rows), static_cast<std::size_t>(shape.columns)));
  }
  TRY_ASSIGN(const RansTables tables, read_tables(in, kDifferenceContexts));
  ScaleTracker tracker(tracked_columns(shape));
  Prediction prediction(factors, shape);
  Place place(shape.columns);
  return decode_chunks<typename T::Stored>(
      shape, in, sink, [&](RansDecoder& decoder, BitReader& bits, std::uint64_t i) {
        if (place.at_row_start()) prediction.begin_row(place.row());
        const auto before = load<T>(base.data() + i * sizeof(typename T::Stored));
        const Expectation here = expect<T>(before, prediction, tracker, place.column());
        const std::uint8_t symbol = decoder.next(tables.of(here.split.context));
        const std::int64_t low = bits.take(here.split.low_bits);
        const unsigned extra = escape_bits(symbol);
        const std::int64_t high = extra == 0 ? decode_high(symbol, 0) : decode_high(symbol, bits.take(extra));
        const auto residual = static_cast<std::int64_t>(static_cast<std::uint64_t>(high) << here.split.low_bits) + low;
        if (here.tracked) tracker.update(place.column(), residual, here.ulp_log);
        place.next();
        return T::from_ordinal(here.ordinal + residual);
      });
}

template <class T>
Status decode_alone_as(const TensorShape& shape, NumberReader& in, ByteSink& sink) {
  const int largest = T::kWidth == 8 ? kLargestOfBytes : static_cast<int>(in.fixed(1));
  TRY_ASSIGN(const RansTables tables, read_tables(in, kAloneContexts));
  ScaleTracker tracker(tracked_columns(shape));
  Place place(shape.columns);
  return decode_chunks<typename T::Stored>(shape, in, sink, [&](RansDecoder& decoder, BitReader& bits, std::uint64_t) {
    const std::uint8_t symbol = decoder.next(tables.of(alone_context(tracker, place.column(), largest)));
    const unsigned extra = alone_extra_bits<T>(symbol);
    const auto element = decode_alone<T>(symbol, extra == 0 ? 0 : bits.take(extra), largest);
    if (T::kWidth == 8 || !T::is_zero(element)) tracker.update_log(place.column(), size_log_of<T>(element));
    place.next();
    return element;
  });
}

template <class T>
Status decode_as(const TensorShape& shape, NumberReader& in, ByteView base, ByteSink& sink) {
  const std::uint64_t mode = in.fixed(1), rank = in.fixed(1);
  TRY(in.status());
  if (mode == static_cast<std::uint64_t>(TensorMode::alone) && rank == 0) return decode_alone_as<T>(shape, in, sink);
  if (mode == static_cast<std::uint64_t>(TensorMode::grid)) return decode_grid(shape, rank, in, base, sink);
  if (mode != static_cast<std::uint64_t>(TensorMode::difference))
    return Error(Code::malformed, "an unknown kind of tensor");
  if (base.size() != shape.bytes()) return Error(Code::malformed, "a tensor refers to a base that is not there");
  const bool fits = rank <= kMaxRank && shape.rows + shape.columns <= kMaxFactorBytes &&
                    2 * rank * (shape.rows + shape.columns) <= kMaxFactorBytes && shape.columns <= kMaxColumns;
  if (rank > 0 && !fits) return Error(Code::malformed, "a tensor's factors are over their bound");
  return decode_difference<T>(shape, in, base, rank, sink);
}

}  // namespace

Status decode_tensor(const TensorShape& shape, NumberReader& in, ByteView base, ByteSink& sink) {
  switch (shape.type) {
    case ElementType::f32:
      return decode_as<F32>(shape, in, base, sink);
    case ElementType::f16:
      return decode_as<F16>(shape, in, base, sink);
    case ElementType::bf16:
      return decode_as<Bf16>(shape, in, base, sink);
    case ElementType::i8:
      return decode_as<I8>(shape, in, base, sink);
  }
  return Error(Code::malformed, "an unknown type of elements");
}

}  // namespace drover::delta
