#include "common/delta/parameters.h"

#include <cmath>

#include "common/delta/distribution.h"

namespace drover::delta {
namespace {

constexpr unsigned kShapeBits = 3, kRowScales = 4, kColumnScales = 8, kGains = 16, kZerosApart = 32, kAllFlags = 63;

// All vectors of numbers in their order on the wire.
template <class Vector, class P>
std::vector<std::span<Vector>> vectors_of(P& p) {
  std::vector<std::span<Vector>> out;
  for (auto* side : {&p.row_scales, &p.column_scales, &p.gains})
    if (!side->empty()) out.emplace_back(*side);
  for (std::size_t q = 0; q < p.factors.rank; ++q) {
    out.push_back(std::span<Vector>(p.factors.left).subspan(q * p.factors.rows, p.factors.rows));
    out.push_back(std::span<Vector>(p.factors.right).subspan(q * p.factors.columns, p.factors.columns));
  }
  return out;
}

int bounded_signed(NumberReader& in, int limit, std::string_view what) {
  const std::int64_t value = in.signed_varint();
  if (value < -limit || value > limit) in.fail(what);
  return in.ok() ? static_cast<int>(value) : 0;
}

}  // namespace

float Parameters::gain(std::size_t row) const {
  return gains.empty() ? 0.0F : std::ldexp(static_cast<float>(gains[row]), gain_log2);
}

std::size_t parameter_bytes(const TensorShape& shape, std::size_t rank, bool rows, bool columns, bool gains) {
  const bool any = rank > 0 || rows || columns || gains;
  if (!any) return 0;
  if (shape.rows > kMaxFactorBytes || shape.columns > kMaxFactorBytes) return SIZE_MAX;
  const std::size_t row_vectors = rank + (rows ? 1 : 0) + (gains ? 1 : 0), column_vectors = rank + (columns ? 1 : 0);
  return 2 * (row_vectors * static_cast<std::size_t>(shape.rows) +
              column_vectors * static_cast<std::size_t>(shape.columns));
}

void write_parameters(const Parameters& p, Bytes& out) {
  out.push_back(static_cast<std::uint8_t>(p.factors.rank));
  out.push_back(static_cast<std::uint8_t>(p.shape | (p.row_scales.empty() ? 0 : kRowScales) |
                                          (p.column_scales.empty() ? 0 : kColumnScales) |
                                          (p.gains.empty() ? 0 : kGains) | (p.zeros_apart ? kZerosApart : 0)));
  put_signed(out, p.scale);
  if (!p.gains.empty()) put_signed(out, p.gain_log2);
  if (p.factors.rank > 0) put_signed(out, p.factors.scale_log2);
  const auto vectors = vectors_of<const std::int16_t>(p);
  if (!vectors.empty()) write_numbers(vectors, out);
}

Result<Parameters> read_parameters(NumberReader& in, const TensorShape& shape) {
  Parameters p;
  const std::uint64_t rank = in.fixed(1), flags = in.fixed(1);
  p.scale = bounded_signed(in, kMaxTensorScale, "the scale of a tensor is out of range");
  if ((flags & kGains) != 0) p.gain_log2 = bounded_signed(in, kMaxFactorScale, "the scale of gains is out of range");
  if (rank > 0) p.factors.scale_log2 = bounded_signed(in, kMaxFactorScale, "the scale of factors is out of range");
  TRY(in.status());
  const bool rows = (flags & kRowScales) != 0, columns = (flags & kColumnScales) != 0, gains = (flags & kGains) != 0;
  if (flags > kAllFlags || rank > kMaxRank ||
      parameter_bytes(shape, static_cast<std::size_t>(rank), rows, columns, gains) > kMaxFactorBytes)
    return Error(Code::malformed, "the numbers of a tensor are over their bound");
  p.shape = flags & kShapeBits;
  p.zeros_apart = (flags & kZerosApart) != 0;
  if (rows) p.row_scales.resize(static_cast<std::size_t>(shape.rows));
  if (columns) p.column_scales.resize(static_cast<std::size_t>(shape.columns));
  if (gains) p.gains.resize(static_cast<std::size_t>(shape.rows));
  p.factors.rank = static_cast<std::size_t>(rank);
  if (rank > 0) {
    p.factors.rows = static_cast<std::size_t>(shape.rows);
    p.factors.columns = static_cast<std::size_t>(shape.columns);
    p.factors.left.resize(p.factors.rank * p.factors.rows);
    p.factors.right.resize(p.factors.rank * p.factors.columns);
  }
  const auto vectors = vectors_of<std::int16_t>(p);
  if (!vectors.empty()) TRY(read_numbers(in, vectors));
  p.factors.make_pairs();
  p.factors.right = std::vector<std::int16_t>();  // product() has it in pairs; = {} would keep the memory
  return p;
}

}  // namespace drover::delta
