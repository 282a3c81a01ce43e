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

template <class T>
DROVER_INLINE void finish_plain(const Piece& piece, const std::uint8_t* symbols, std::uint8_t* out) {
  const std::size_t count = piece.count;
  DROVER_NO_OVERLAP
  for (std::size_t j = 0; j < count; ++j) {
    const auto element = from_residual<T>(symbols[j] - kDirect, piece.ordinal[j], piece.mirror[j]);
    std::memcpy(out + j * sizeof element, &element, sizeof element);
  }
}
DROVER_WIDE void finish_f16(const Piece& p, const std::uint8_t* s, std::uint8_t* out) { finish_plain<F16>(p, s, out); }
DROVER_WIDE void finish_bf16(const Piece& p, const std::uint8_t* s, std::uint8_t* out) {
  finish_plain<Bf16>(p, s, out);
}
DROVER_WIDE void finish_i8(const Piece& p, const std::uint8_t* s, std::uint8_t* out) { finish_plain<I8>(p, s, out); }

template <class T>
void finish(const Piece& piece, const std::uint8_t* symbols, BitReader& bits, std::uint8_t* out) {
  const bool escapes = std::memchr(symbols, kEscape, piece.count) != nullptr;
  if constexpr (T::kWidth < 32) {
    if (piece.any_low == 0 && !escapes) {
      if constexpr (std::is_same_v<T, F16>) return finish_f16(piece, symbols, out);
      if constexpr (std::is_same_v<T, Bf16>) return finish_bf16(piece, symbols, out);
      if constexpr (std::is_same_v<T, I8>) return finish_i8(piece, symbols, out);
    }
  }
  for (std::size_t j = 0; j < piece.count; ++j) {
    const auto low_bits = static_cast<unsigned>(piece.low_bits[j]);
    const std::uint32_t low = bits.take(low_bits);
    const std::int32_t high = symbols[j] != kEscape ? symbols[j] - kDirect : read_escape(bits);
    const auto residual = static_cast<std::int32_t>((static_cast<std::uint32_t>(high) << low_bits) + low);
    const auto element = from_residual<T>(residual, piece.ordinal[j], piece.mirror[j]);
    std::memcpy(out + j * sizeof element, &element, sizeof element);
  }
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
  auto piece = std::make_unique<Piece>();
  std::array<std::uint8_t, kPiece> symbols;
  std::vector<std::uint8_t> out(kOutElements * sizeof(typename T::Stored));
  std::size_t ready = 0;
  for (std::uint64_t done = 0; done < shape.elements();) {
    std::size_t left = static_cast<std::size_t>(std::min<std::uint64_t>(kChunkElements, shape.elements() - done));
    done += left;
    TRY_ASSIGN(Chunk chunk, read_chunk(in, left));
    for (; left > 0; left -= piece->count) {
      walk.next(left, base.data(), *piece);
      chunk.symbols.run(piece->count, symbols.data(),
                        [&](std::size_t j) -> const RansTable& { return tables.of(piece->slot[j]); });
      finish<T>(*piece, symbols.data(), chunk.bits, out.data() + ready);
      ready += piece->count * sizeof(typename T::Stored);
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
    for (std::size_t i = 0; i < count; ++i, place.next()) {
      const std::uint8_t symbol = chunk.symbols.next(tables.of(alone_context(tracker, place.column(), largest)));
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
