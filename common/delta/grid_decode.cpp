#include <zstd.h>

#include <cstring>

#include "common/delta/grid_codec.h"
#include "common/delta/grid_model.h"
#include "common/delta/rans.h"

namespace drover::delta {
namespace {

constexpr std::size_t kMaxCoded = 3 * kChunkElements / 2 + 64;  // a symbol takes 12 bits at most; the states
constexpr std::size_t kMaxPlain = 9 * kChunkElements / 8;       // an escape takes 9 bits
constexpr std::size_t kMaxPlainTables = 128 * 1024;
constexpr std::size_t kStepBytes = 3;  // of a varint that says the difference of two steps

Result<Bytes> read_packed(NumberReader& in, std::size_t limit) {
  const std::size_t plain_size = in.bounded(limit, "a snapped tensor's steps or tables");
  const Bytes packed = in.bytes(in.bounded(ZSTD_compressBound(limit), "a snapped tensor's packed steps or tables"));
  TRY(in.status());
  Bytes plain(plain_size);
  const std::size_t got = ZSTD_decompress(plain.data(), plain.size(), packed.data(), packed.size());
  if (ZSTD_isError(got) != 0 || got != plain.size())
    return Error(Code::malformed, "a snapped tensor's steps or tables are damaged");
  return plain;
}

struct Side {
  std::vector<std::int16_t> steps;
  GridScales scales;
};

Result<Side> read_side(const TensorShape& shape, NumberReader& in) {
  const auto rows = static_cast<std::size_t>(shape.rows);
  const std::size_t columns = grid_columns(shape);
  TRY_ASSIGN(const Bytes plain, read_packed(in, (kStepBytes + 1) * rows + columns));
  MemorySource source(plain);
  NumberReader numbers(source);
  Side side;
  side.steps.reserve(rows);
  for (std::int64_t step = 0; side.steps.size() < rows && numbers.ok();) {
    const std::int64_t change = numbers.signed_varint();
    if (change < kMinStep - kMaxStep || change > kMaxStep - kMinStep) numbers.fail("a step is out of range");
    step += change;
    if (step < kMinStep || step > kMaxStep) numbers.fail("a step is out of range");
    side.steps.push_back(static_cast<std::int16_t>(step));
  }
  side.scales.rows = numbers.bytes(rows);
  side.scales.columns = numbers.bytes(columns);
  TRY(numbers.status());
  if (source.left() != 0) return Error(Code::malformed, "a snapped tensor's steps are not as many as its rows");
  return side;
}

struct Chunk {
  std::size_t coded_size = 0, plain_size = 0;
  Bytes coded, plain;  // with kReadAhead bytes more
};

Result<Chunk> read_chunk(NumberReader& in) {
  Chunk chunk;
  chunk.coded_size = in.bounded(kMaxCoded, "a chunk");
  chunk.plain_size = in.bounded(kMaxPlain, "a chunk's plain bits");
  chunk.coded = in.bytes(chunk.coded_size, kReadAhead);
  chunk.plain = in.bytes(chunk.plain_size, kReadAhead);
  TRY(in.status());
  return chunk;
}

template <class T>
class GridDecoder {
 public:
  using Stored = typename T::Stored;
  GridDecoder(const TensorShape& shape, ByteView base, const Side& side, const Factors& factors, RansTables tables)
      : columns_(static_cast<std::size_t>(shape.columns)),
        elements_(shape.elements()),
        base_(base),
        side_(side),
        tables_(std::move(tables)),
        prediction_(shape, factors, side.scales) {}

  Status run(NumberReader& in, ByteSink& sink) {
    while (done_ < elements_) {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(kChunkElements, elements_ - done_));
      TRY_ASSIGN(const Chunk chunk, read_chunk(in));
      TRY(decode(chunk, count, sink));
    }
    return {};
  }

 private:
  Status decode(const Chunk& chunk, std::size_t count, ByteSink& sink) {
    TRY_ASSIGN(RansDecoder decoder, RansDecoder::start(chunk.coded, chunk.coded_size, count));
    BitReader bits(chunk.plain, chunk.plain_size);
    bool on_grid = true;
    for (std::size_t left = count; left > 0 && on_grid;) {
      const std::size_t now = std::min(left, kOutElements);
      on_grid = decode_some(decoder, bits, now);
      TRY(sink.write(ByteView(out_).first(now * sizeof(Stored))));
      left -= now;
    }
    if (!on_grid || !decoder.finished() || !bits.finished())
      return Error(Code::malformed, "a snapped tensor's chunk is damaged");
    return {};
  }

  // Into out_; false when a place lies off the grid.
  bool decode_some(RansDecoder& decoder, BitReader& bits, std::size_t count) {
    int worst = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (column_ == 0) begin_row();
      const Stored before = load<T>(base_.data() + (done_ + i) * sizeof(Stored));
      const GridExpectation here = prediction_.at(column_, T::is_zero(before));
      const std::uint8_t symbol = decoder.next(tables_.of(here.context));
      const int left = symbol == kGridEscape ? static_cast<int>(bits.take(kGridEscapeBits)) - kGridEscapeOffset
                                             : static_cast<int>(symbol) - kGridOffset;
      const int place = here.nearest + here.sign * left;
      worst = std::max(worst, std::abs(place));
      const Stored element = T::is_special(before) ? before : grid_element<T>(before, step_, place);
      std::memcpy(out_.data() + i * sizeof(Stored), &element, sizeof element);
      if (++column_ == columns_) column_ = 0;
    }
    done_ += count;
    return worst <= kMaxGridPlace;
  }

  void begin_row() {
    step_ = step_size(side_.steps[row_]);
    prediction_.begin_row(row_++, step_);
  }

  std::size_t columns_;
  std::uint64_t elements_, done_ = 0;
  ByteView base_;
  const Side& side_;
  RansTables tables_;
  GridPrediction prediction_;
  std::size_t row_ = 0, column_ = 0;
  double step_ = 0;
  Bytes out_ = Bytes(kOutElements * sizeof(Stored));
};

}  // namespace

Status decode_grid(const TensorShape& shape, std::size_t rank, NumberReader& in, ByteView base, ByteSink& sink) {
  if (shape.type == ElementType::i8 || shape.rows > kMaxGridRows)
    return Error(Code::malformed, "a snapped tensor that cannot be one");
  if (base.size() != shape.bytes()) return Error(Code::malformed, "a tensor refers to a base that is not there");
  const bool fits =
      rank <= kMaxRank && shape.columns <= kMaxColumns && 2 * rank * (shape.rows + shape.columns) <= kMaxFactorBytes;
  if (rank > 0 && !fits) return Error(Code::malformed, "a tensor's factors are over their bound");
  TRY_ASSIGN(const Side side, read_side(shape, in));
  Factors factors{.rank = 0, .scale_log2 = 0, .rows = 0, .columns = 0, .left = {}, .right = {}, .pairs = {}};
  if (rank > 0) {
    TRY_ASSIGN(factors,
               read_factors(in, rank, static_cast<std::size_t>(shape.rows), static_cast<std::size_t>(shape.columns)));
    factors.right = std::vector<std::int16_t>();  // product() has it in pairs; = {} would keep the memory
  }
  TRY_ASSIGN(const Bytes tables, read_packed(in, kMaxPlainTables));
  TRY_ASSIGN(const Model model, Model::read(tables, kGridContexts));
  if (shape.type == ElementType::f16)
    return GridDecoder<F16>(shape, base, side, factors, RansTables(model)).run(in, sink);
  if (shape.type == ElementType::bf16)
    return GridDecoder<Bf16>(shape, base, side, factors, RansTables(model)).run(in, sink);
  return GridDecoder<F32>(shape, base, side, factors, RansTables(model)).run(in, sink);
}

}  // namespace drover::delta
