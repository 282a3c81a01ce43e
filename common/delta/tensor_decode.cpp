#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "common/delta/alone.h"
#include "common/delta/grid_codec.h"
#include "common/delta/rans.h"
#include "common/delta/row_walk.h"
#include "common/delta/tables.h"
#include "common/delta/tensor_codec.h"
#include "common/delta/wide.h"

namespace drover::delta {
namespace {

constexpr std::size_t kMaxCoded = 3 * kChunkElements / 2 + 64;  // a symbol takes 12 bits at most; the states
constexpr std::size_t kMaxPlainTables = 128 * 1024;

Result<Model> read_model(NumberReader& in, std::size_t contexts) {
  const std::size_t plain_size = in.bounded(kMaxPlainTables, "a tensor's tables");
  if (plain_size == 0) return Model(contexts);
  const std::size_t packed_size = in.bounded(kMaxTableBytes, "a tensor's packed tables");
  if (packed_size == 0) {  // stored as they are
    const Bytes plain = in.bytes(plain_size);
    TRY(in.status());
    return Model::read_used(plain, contexts);
  }
  const Bytes packed = in.bytes(packed_size);
  TRY(in.status());
  Bytes plain(plain_size);
  const std::size_t got = ZSTD_decompress(plain.data(), plain.size(), packed.data(), packed.size());
  if (ZSTD_isError(got) != 0 || got != plain.size()) return Error(Code::malformed, "a tensor's tables are damaged");
  return Model::read_used(plain, contexts);
}

// One chunk of coded numbers, read and ready.
struct Chunk {
  Bytes coded, plain;  // with kReadAhead bytes more
  RansDecoder symbols;
  BitReader bits;
};

Result<Chunk> read_chunk(NumberReader& in, std::size_t count) {
  const std::size_t coded_size = in.bounded(kMaxCoded, "a chunk"),
                    plain_size = in.bounded(kMaxChunkPlain, "a chunk's plain bits");
  Bytes coded = in.bytes(coded_size, kReadAhead), plain = in.bytes(plain_size, kReadAhead);
  TRY(in.status());
  TRY_ASSIGN(const RansDecoder symbols, RansDecoder::start(coded, coded_size, count));
  const BitReader bits(plain, plain_size);
  return Chunk{std::move(coded), std::move(plain), symbols, bits};  // the bytes do not move with their vectors
}

// --- against a base --------------------------------------------------------------------------------------------------
std::int32_t read_escape(BitReader& bits) {
  const unsigned more = bits.take(5);
  const std::uint32_t zigzag = (more == 0 ? 0 : bits.take(more)) | 1U << more;
  return static_cast<std::int32_t>(zigzag >> 1) ^ -static_cast<std::int32_t>(zigzag & 1);
}

// A piece of a row on its way from expectations to elements.
struct Work {
  Piece piece;
  std::array<const RansTable*, kPiece> tables;
  std::array<std::int32_t, kPiece> symbols;
  std::array<std::uint32_t, kPiece> low, elements;
};

// Escapes give what they give: the caller looks for them first.
template <class T, bool low>
DROVER_INLINE void finish_all(Work& work) {
  const std::int32_t* symbols = work.symbols.data();
  const std::int32_t* ordinal = work.piece.ordinal.data();
  const std::int32_t* mirror = work.piece.mirror.data();
  const std::int32_t* low_bits = work.piece.low_bits.data();
  const std::uint32_t* low_values = work.low.data();
  std::uint32_t* elements = work.elements.data();
  const std::size_t count = work.piece.count;
  DROVER_NO_OVERLAP
  for (std::size_t j = 0; j < count; ++j) {
    auto residual = static_cast<std::uint32_t>(symbols[j] - kDirect);
    if (low) residual = (residual << low_bits[j]) + (low_values[j] & ((1U << low_bits[j]) - 1));
    elements[j] = from_residual<T>(static_cast<std::int32_t>(residual), ordinal[j], mirror[j]);
  }
}
DROVER_WIDE void finish_f32(Work& work) { finish_all<F32, false>(work); }
DROVER_WIDE void finish_f16(Work& work) { finish_all<F16, false>(work); }
DROVER_WIDE void finish_bf16(Work& work) { finish_all<Bf16, false>(work); }
DROVER_WIDE void finish_i8(Work& work) { finish_all<I8, false>(work); }
DROVER_WIDE void finish_low_f32(Work& work) { finish_all<F32, true>(work); }
DROVER_WIDE void finish_low_f16(Work& work) { finish_all<F16, true>(work); }
DROVER_WIDE void finish_low_bf16(Work& work) { finish_all<Bf16, true>(work); }
DROVER_WIDE void finish_low_i8(Work& work) { finish_all<I8, true>(work); }

template <class T>
void finish_without_escapes(Work& work, BitReader& bits) {
  constexpr std::size_t kType = std::is_same_v<T, F32>    ? 0
                                : std::is_same_v<T, F16>  ? 1
                                : std::is_same_v<T, Bf16> ? 2
                                                          : 3;
  constexpr void (*kFinish[])(Work&) = {finish_f32, finish_f16, finish_bf16, finish_i8};
  constexpr void (*kFinishLow[])(Work&) = {finish_low_f32, finish_low_f16, finish_low_bf16, finish_low_i8};
  if (work.piece.all_low == 0) return kFinish[kType](work);
  BitReader from = bits;  // in registers
  for (std::size_t j = 0; j < work.piece.count; ++j)
    work.low[j] = from.skip(static_cast<unsigned>(work.piece.low_bits[j]));
  bits = from;
  kFinishLow[kType](work);
}

template <class T>
void finish_one_by_one(Work& work, BitReader& bits) {
  for (std::size_t j = 0; j < work.piece.count; ++j) {
    const auto low_bits = static_cast<unsigned>(work.piece.low_bits[j]);
    const std::uint32_t low = bits.take(low_bits);
    const std::int32_t high = work.symbols[j] != kEscape ? work.symbols[j] - kDirect : read_escape(bits);
    const auto residual = static_cast<std::int32_t>((static_cast<std::uint32_t>(high) << low_bits) + low);
    work.elements[j] = from_residual<T>(residual, work.piece.ordinal[j], work.piece.mirror[j]);
  }
}

DROVER_WIDE bool any_escape(const std::int32_t* symbols, std::size_t count) {
  std::int32_t found = 0;
  for (std::size_t j = 0; j < count; ++j) found |= symbols[j] == kEscape ? 1 : 0;
  return found != 0;
}
DROVER_WIDE void narrow_2(const std::uint32_t* from, std::size_t count, std::uint8_t* out) {
  DROVER_NO_OVERLAP
  for (std::size_t j = 0; j < count; ++j) {
    const auto element = static_cast<std::uint16_t>(from[j]);
    std::memcpy(out + 2 * j, &element, sizeof element);
  }
}
DROVER_WIDE void narrow_1(const std::uint32_t* from, std::size_t count, std::uint8_t* out) {
  DROVER_NO_OVERLAP
  for (std::size_t j = 0; j < count; ++j) out[j] = static_cast<std::uint8_t>(from[j]);
}

template <class T>
void finish(Work& work, BitReader& bits, std::uint8_t* out) {
  if (work.piece.all_low <= bits.left() && !any_escape(work.symbols.data(), work.piece.count))
    finish_without_escapes<T>(work, bits);
  else
    finish_one_by_one<T>(work, bits);
  if constexpr (T::kWidth == 32)
    std::memcpy(out, work.elements.data(), 4 * work.piece.count);
  else
    (T::kWidth == 16 ? narrow_2 : narrow_1)(work.elements.data(), work.piece.count, out);
}

template <class T>
Status decode_difference(const TensorShape& shape, NumberReader& in, ByteView base, SlotTables& tables,
                         ByteSink& sink) {
  TRY_ASSIGN(const Parameters parameters, read_parameters(in, shape));
  {
    TRY_ASSIGN(const Model own, read_model(in, kDifferenceContexts));
    tables.begin(parameters.shape, own);
  }
  RowWalk walk(shape, parameters);
  auto work = std::make_unique<Work>();
  const Piece& piece = work->piece;
  std::vector<std::uint8_t> out(kOutElements * sizeof(typename T::Stored));
  std::size_t ready = 0;
  for (std::uint64_t done = 0; done < shape.elements();) {
    std::size_t left = static_cast<std::size_t>(std::min<std::uint64_t>(kChunkElements, shape.elements() - done));
    done += left;
    TRY_ASSIGN(Chunk chunk, read_chunk(in, left));
    for (; left > 0; left -= piece.count) {
      walk.next(left, base.data(), work->piece);
      tables.find(std::span(piece.slot).first(piece.count), work->tables.data());
      chunk.symbols.run(std::span(work->tables).first(piece.count), work->symbols.data());
      finish<T>(*work, chunk.bits, out.data() + ready);
      ready += piece.count * sizeof(typename T::Stored);
      if (ready + kPiece * sizeof(typename T::Stored) <= out.size()) continue;
      TRY(sink.write(ByteView(out).first(ready)));
      ready = 0;
    }
    if (!chunk.symbols.finished() || !chunk.bits.finished())
      return Error(Code::malformed, "a tensor's chunk is damaged");
  }
  return sink.write(ByteView(out).first(ready));
}

// --- alone -----------------------------------------------------------------------------------------------------------
// Bytes, several at once: the contexts of those that come next depend on none of them. Returns how many of `count`.
std::size_t decode_bytes_ahead(RansDecoder& decoder, const RansTables& tables, ScaleTracker& tracker, Place& place,
                               std::size_t count, std::uint8_t* out) {
  static_assert(kStates == ScaleTracker::kLag);
  if (!place.differs_for(ScaleTracker::kLag)) return 0;
  std::array<const RansTable*, kAloneContexts> by_context;
  for (std::size_t c = 0; c < kAloneContexts; ++c) by_context[c] = &tables.of(c);
  std::array<std::size_t, kStates> columns;
  std::array<int, kStates> expected;
  std::array<const RansTable*, kStates> turn;
  const auto of = [&](std::size_t) {
    for (std::size_t& column : columns) {
      column = place.column();
      place.next();
    }
    tracker.expected_ahead(columns, expected);
    for (std::size_t k = 0; k < kStates; ++k) turn[k] = by_context[alone_context(expected[k], kLargestOfBytes)];
    return turn.data();
  };
  const auto done = [&](std::size_t i, const RansDecoder::Turn& symbols) {
    for (std::size_t k = 0; k < kStates; ++k) {
      out[i + k] = symbols[k];
      tracker.update(columns[k], size_log_of<I8>(symbols[k]));
    }
  };
  return decoder.run_in_turns(0, count, of, done);
}

template <class T>
Status decode_alone_as(const TensorShape& shape, NumberReader& in, ByteSink& sink) {
  using Stored = typename T::Stored;
  const int largest = T::kWidth == 8 ? kLargestOfBytes : static_cast<int>(in.fixed(1));
  TRY_ASSIGN(const Model model, read_model(in, kAloneContexts));
  const RansTables tables(model);
  ScaleTracker tracker(tracked_columns(shape));
  Place place(shape.columns);
  std::vector<std::uint8_t> out;
  for (std::uint64_t done = 0; done < shape.elements();) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(kChunkElements, shape.elements() - done));
    done += count;
    TRY_ASSIGN(Chunk chunk, read_chunk(in, count));
    out.resize(count * sizeof(Stored));
    std::size_t i = 0;
    if constexpr (T::kWidth == 8) i = decode_bytes_ahead(chunk.symbols, tables, tracker, place, count, out.data());
    for (; i < count; ++i, place.next()) {
      const auto context = alone_context(tracker.expected(place.column()), largest);
      const std::uint8_t symbol = chunk.symbols.next(tables.of(context));
      const unsigned extra = alone_extra_bits<T>(symbol);
      const auto element = decode_alone<T>(symbol, extra == 0 ? 0 : chunk.bits.take(extra), largest);
      if (T::kWidth == 8 || !T::is_zero(element)) tracker.update(place.column(), size_log_of<T>(element));
      std::memcpy(out.data() + i * sizeof(Stored), &element, sizeof(Stored));
    }
    if (!chunk.symbols.finished() || !chunk.bits.finished())
      return Error(Code::malformed, "a tensor's chunk is damaged");
    TRY(sink.write(out));
  }
  return {};
}

template <class T>
Status decode_as(const TensorShape& shape, NumberReader& in, ByteView base, SlotTables& tables, ByteSink& sink) {
  const std::uint64_t mode = in.fixed(1);
  TRY(in.status());
  if (mode == static_cast<std::uint64_t>(TensorMode::alone)) return decode_alone_as<T>(shape, in, sink);
  if (mode == static_cast<std::uint64_t>(TensorMode::grid)) {
    const std::uint64_t rank = in.fixed(1);
    TRY(in.status());
    return decode_grid(shape, rank, in, base, sink);
  }
  if (mode != static_cast<std::uint64_t>(TensorMode::difference))
    return Error(Code::malformed, "an unknown kind of tensor");
  if (base.size() != shape.bytes()) return Error(Code::malformed, "a tensor refers to a base that is not there");
  return decode_difference<T>(shape, in, base, tables, sink);
}

}  // namespace

TensorDecoder::TensorDecoder() : tables_(std::make_unique<SlotTables>()) {}
TensorDecoder::~TensorDecoder() = default;

Status TensorDecoder::decode(const TensorShape& shape, NumberReader& in, ByteView base, ByteSink& sink) {
  switch (shape.type) {
    case ElementType::f32:
      return decode_as<F32>(shape, in, base, *tables_, sink);
    case ElementType::f16:
      return decode_as<F16>(shape, in, base, *tables_, sink);
    case ElementType::bf16:
      return decode_as<Bf16>(shape, in, base, *tables_, sink);
    case ElementType::i8:
      return decode_as<I8>(shape, in, base, *tables_, sink);
  }
  return Error(Code::malformed, "an unknown type of elements");
}

}  // namespace drover::delta
