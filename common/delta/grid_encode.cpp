#include <zstd.h>

#include <array>

#include "common/delta/grid_codec.h"
#include "common/delta/grid_model.h"
#include "common/delta/rans.h"

namespace drover::delta {
namespace {

constexpr std::size_t kRanks[] = {8, 16, 32};
constexpr std::uint64_t kMinForRank = 4096;  // elements below which factors never pay
constexpr int kPackLevel = 19;
constexpr std::size_t kMostFromFactors = 2;  // factors never make a grid smaller by more than this
constexpr double kRoundingShare = 0.05;      // what rounding the factors adds to what they leave over

void put_packed(const Bytes& plain, Bytes& out) {
  Bytes packed(ZSTD_compressBound(plain.size()));
  packed.resize(ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), kPackLevel));
  put_varint(out, plain.size());
  put_varint(out, packed.size());
  out.insert(out.end(), packed.begin(), packed.end());
}

std::uint8_t scale_of(double squares, double count) {
  const double size = std::sqrt(squares / std::max(count, 1.0));
  const double log4 = 4 * std::log2(std::max(size, 1e-3));
  return static_cast<std::uint8_t>(std::clamp(static_cast<int>(std::lround(log4)) + kScaleZero, 0, kMaxScale));
}

// Everything about one tensor and one choice of factors.
class GridEncoder {
 public:
  GridEncoder(const TensorShape& shape, const Grid& grid, const std::vector<std::uint8_t>& zeros,
              const Factors& factors)
      : shape_(shape),
        grid_(grid),
        zeros_(zeros),
        factors_(factors),
        columns_(static_cast<std::size_t>(shape.columns)),
        counts_(kGridContexts) {
    find_scales();
  }

  Bytes encode() {
    GridPrediction prediction(shape_, factors_, scales_);
    each(prediction, [&](std::size_t i, const GridExpectation& here) {
      const int left = here.sign * (grid_.places[i] - here.nearest);
      const bool direct = left >= -kGridDirect && left <= kGridDirect;
      const auto symbol = static_cast<std::uint8_t>(direct ? left + kGridOffset : kGridEscape);
      counts_.add(here.context, symbol);
      contexts_.push_back(here.context);
      symbols_.push_back(symbol);
      if (!direct) escapes_.push_back(left);
    });
    return write();
  }

 private:
  template <class Use>
  void each(GridPrediction& prediction, Use use) const {
    for (std::size_t row = 0, i = 0; row < shape_.rows; ++row) {
      prediction.begin_row(row, step_size(grid_.steps[row]));
      for (std::size_t j = 0; j < columns_; ++j, ++i) use(i, prediction.at(j, zeros_[i] != 0));
    }
  }

  // Of what the prediction leaves: first the rows', then the columns' relative to them.
  void find_scales() {
    const auto rows = static_cast<std::size_t>(shape_.rows);
    scales_.rows.assign(rows, kScaleZero);
    scales_.columns.assign(grid_columns(shape_), kScaleZero);
    std::vector<double> of_rows(rows), counts_rows(rows), of_columns(columns_), counts_columns(columns_);
    std::vector<float> squares(shape_.elements());
    GridPrediction prediction(shape_, factors_, scales_);
    each(prediction, [&](std::size_t i, const GridExpectation& here) {
      if (zeros_[i] != 0) return;
      const int left = grid_.places[i] - here.nearest;
      squares[i] = static_cast<float>(left * left);
      of_rows[i / columns_] += squares[i];
      ++counts_rows[i / columns_];
    });
    for (std::size_t row = 0; row < rows; ++row) scales_.rows[row] = scale_of(of_rows[row], counts_rows[row]);
    if (scales_.columns.empty()) return;
    for (std::size_t i = 0; i < squares.size(); ++i) {
      if (zeros_[i] != 0) continue;
      of_columns[i % columns_] += squares[i] * std::exp2((kScaleZero - scales_.rows[i / columns_]) / 2.0);
      ++counts_columns[i % columns_];
    }
    for (std::size_t j = 0; j < columns_; ++j) scales_.columns[j] = scale_of(of_columns[j], counts_columns[j]);
  }

  Bytes write() const {
    Bytes out = {static_cast<std::uint8_t>(TensorMode::grid), static_cast<std::uint8_t>(factors_.rank)};
    Bytes plain;
    int last = 0;
    for (int step : grid_.steps) put_signed(plain, step - std::exchange(last, step));
    plain.insert(plain.end(), scales_.rows.begin(), scales_.rows.end());
    plain.insert(plain.end(), scales_.columns.begin(), scales_.columns.end());
    put_packed(plain, out);
    if (factors_.rank > 0) write_factors(factors_, out);
    const Model model = Model::from_counts(counts_);
    Bytes tables;
    model.write(tables);
    put_packed(tables, out);
    write_chunks(model, out);
    return out;
  }

  void write_chunks(const Model& model, Bytes& out) const {
    const RansEncoder encoder(model);
    auto escape = escapes_.begin();
    for (std::size_t first = 0; first < symbols_.size(); first += kChunkElements) {
      const std::size_t count = std::min(kChunkElements, symbols_.size() - first);
      Bytes coded, plain;
      encoder.encode(std::span(contexts_).subspan(first, count), std::span(symbols_).subspan(first, count), coded);
      BitWriter bits(plain);
      for (std::uint8_t symbol : std::span(symbols_).subspan(first, count))
        if (symbol == kGridEscape) bits.put(static_cast<std::uint64_t>(*escape++ + kGridEscapeOffset), kGridEscapeBits);
      bits.flush();
      put_varint(out, coded.size());
      put_varint(out, plain.size());
      out.insert(out.end(), coded.begin(), coded.end());
      out.insert(out.end(), plain.begin(), plain.end());
    }
  }

  const TensorShape& shape_;
  const Grid& grid_;
  const std::vector<std::uint8_t>& zeros_;
  const Factors& factors_;
  std::size_t columns_;
  GridScales scales_;
  Counts counts_;
  std::vector<std::uint16_t> contexts_;
  std::vector<std::uint8_t> symbols_;
  std::vector<int> escapes_;
};

template <class T>
std::vector<std::uint8_t> zeros_of(const TensorShape& shape, ByteView base) {
  std::vector<std::uint8_t> zeros(shape.elements());
  for (std::size_t i = 0; i < zeros.size(); ++i)
    zeros[i] = T::is_zero(load<T>(base.data() + i * sizeof(typename T::Stored))) ? 1 : 0;
  return zeros;
}

std::vector<std::uint8_t> zeros_in(const TensorShape& shape, ByteView base) {
  if (shape.type == ElementType::f16) return zeros_of<F16>(shape, base);
  return shape.type == ElementType::bf16 ? zeros_of<Bf16>(shape, base) : zeros_of<F32>(shape, base);
}

std::vector<float> changes(const TensorShape& shape, const Grid& grid) {
  std::vector<float> change(shape.elements());
  for (std::size_t i = 0; i < change.size(); ++i)
    change[i] = static_cast<float>(grid.places[i] * step_size(grid.steps[i / shape.columns]));
  return change;
}

bool may_have_rank(const TensorShape& shape) {
  return shape.rows >= 16 && shape.columns >= 16 && shape.elements() >= kMinForRank && shape.columns <= kMaxColumns &&
         2 * kRanks[0] * (shape.rows + shape.columns) <= kMaxFactorBytes;
}

}  // namespace

EncodedTensor encode_grid(const TensorShape& shape, ByteView base, const Grid& grid, std::size_t other) {
  const std::vector<std::uint8_t> zeros = zeros_in(shape, base);
  const Factors none{.rank = 0, .scale_log2 = 0, .rows = 0, .columns = 0, .left = {}, .right = {}, .pairs = {}};
  EncodedTensor best{GridEncoder(shape, grid, zeros, none).encode(), TensorMode::grid, 0};
  if (!may_have_rank(shape) || best.bytes.size() / kMostFromFactors > other) return best;
  const std::vector<float> change = changes(shape, grid);
  const LowRank whole =
      decompose(change, static_cast<std::size_t>(shape.rows), static_cast<std::size_t>(shape.columns), kMaxRank);
  for (std::size_t rank : kRanks) {
    if (rank > whole.rank || 2 * rank * (shape.rows + shape.columns) > kMaxFactorBytes) break;
    const LowRank cut = truncated(whole, rank);
    const Factors factors = quantise(cut, kRoundingShare * left_over(change, cut) / double(change.size()));
    Bytes with = GridEncoder(shape, grid, zeros, factors).encode();
    if (with.size() >= best.bytes.size()) break;  // more would not pay either
    best = {std::move(with), TensorMode::grid, rank};
  }
  return best;
}

}  // namespace drover::delta
