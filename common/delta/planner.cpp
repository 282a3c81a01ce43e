#include "common/delta/planner.h"

#include <zstd.h>

#include <algorithm>
#include <map>

#include "common/delta/seams.h"

namespace drover::delta {
namespace {

constexpr std::uint64_t kExamineFrom = 16 * 1024;  // shorter stretches are bytes and nothing else
constexpr std::uint64_t kWindow = 256 * 1024;      // examined together
constexpr std::size_t kSample = 16 * 1024;         // bytes of a window that are tried
constexpr double kAsBefore = 1.1;                  // of what the numbers before cost: these are of the same type
constexpr std::uint64_t kRow = 1024;               // numbers of a vector that are taken together
constexpr std::uint64_t kMaxVector = 4096;         // numbers of one that is left whole
constexpr std::uint64_t kNarrow = 8;               // columns
constexpr std::uint64_t kMaxRows = 1 << 16;
constexpr ElementType kTypes[] = {ElementType::f32, ElementType::bf16, ElementType::f16, ElementType::i8};

class BaseTensors {
 public:
  explicit BaseTensors(std::vector<TensorSpan> tensors) : tensors_(std::move(tensors)) {
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      by_name_.emplace(tensors_[i].name, i);
      by_shape_[key(tensors_[i].shape)].push_back(i);
    }
  }
  // By name when the columns agree, else the next one of exactly this shape.
  const TensorSpan* match(const TensorSpan& wanted) {
    const auto named = by_name_.find(wanted.name);
    if (named != by_name_.end()) {
      const TensorSpan& found = tensors_[named->second];
      if (found.shape.type == wanted.shape.type && found.shape.columns == wanted.shape.columns) return &found;
    }
    auto& same = by_shape_[key(wanted.shape)];
    std::size_t& used = used_[key(wanted.shape)];
    return used < same.size() ? &tensors_[same[used++]] : nullptr;
  }

 private:
  using Key = std::tuple<ElementType, std::uint64_t, std::uint64_t>;
  static Key key(const TensorShape& shape) { return {shape.type, shape.rows, shape.columns}; }
  std::vector<TensorSpan> tensors_;
  std::map<std::string, std::size_t> by_name_;
  std::map<Key, std::vector<std::size_t>> by_shape_;
  std::map<Key, std::size_t> used_;
};

std::size_t zstd_size(ByteView bytes) {
  Bytes out(ZSTD_compressBound(bytes.size()));
  return ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3);
}

// What a window of undescribed bytes is taken for.
enum class Kind { bytes, f32, bf16, f16, i8 };
ElementType type_of(Kind kind) { return kTypes[static_cast<int>(kind) - 1]; }

// What the windows so far were taken for, and what the sample of the last one that all types were tried on came to.
struct Guess {
  Kind kind = Kind::bytes;
  double share = 0;  // of the sample's size
};

// The kind under which a window costs least; bytes when plain zstd is as good. Where the window before was of numbers,
// and these cost as little as such, other types are not tried: that takes four times as long.
Guess guess(ByteView base, ByteView target, const Guess& before) {
  const std::size_t size = std::min<std::size_t>(kSample, target.size() / 4 * 4);
  const std::size_t at = (target.size() - size) / 2 / 4 * 4;
  const ByteView sample = target.subspan(at, size);
  const ByteView old = base.size() >= at + size ? base.subspan(at, size) : ByteView{};
  const auto share_as = [&](Kind kind) {
    const TensorShape shape{type_of(kind), 1, size / element_bytes(type_of(kind))};
    return static_cast<double>(encode_tensor(shape, old, sample).bytes.size()) / static_cast<double>(size);
  };
  // Numbers must be a little better, or the guess is chance.
  const double as_bytes = 0.98 * static_cast<double>(zstd_size(sample)) / static_cast<double>(size);
  if (before.kind != Kind::bytes)
    if (const double share = share_as(before.kind); share < as_bytes && share < kAsBefore * before.share) return before;
  Guess best{Kind::bytes, as_bytes};
  for (Kind kind : {Kind::f32, Kind::bf16, Kind::f16, Kind::i8})
    if (const double share = share_as(kind); share < best.share) best = {kind, share};
  return best;
}

Guess kind_of(ByteView base, ByteView window, const Guess& before) {
  const bool same = base.size() == window.size() && std::equal(window.begin(), window.end(), base.begin());
  if (same || window.size() < kSample) return {};
  return guess(base, window, before);
}

// Numbers at `offset`, against those at `base` if there. Long vectors and very narrow matrices become rows of kRow
// numbers, each with a scale of its own; very high matrices become several, whose rows' numbers a decoder can hold.
void add_numbers(std::uint64_t offset, std::optional<std::uint64_t> base, TensorShape shape, const std::string& name,
                 std::vector<Range>& out) {
  const std::uint64_t elements = shape.elements(), element = element_bytes(shape.type);
  const auto add = [&](std::uint64_t first, std::uint64_t rows, std::uint64_t columns) {
    const TensorShape part{shape.type, rows, columns};
    if (part.elements() == 0) return;
    const auto part_base = base ? std::optional(*base + first * element) : std::nullopt;
    out.push_back({offset + first * element, part.bytes(), part_base, part, name});
  };
  if ((shape.rows == 1 && elements > kMaxVector) || (shape.columns < kNarrow && elements > kRow)) {
    shape.columns = kRow;
    shape.rows = elements / kRow;
  }
  const std::uint64_t whole = shape.elements();
  for (std::uint64_t row = 0; row < shape.rows; row += kMaxRows)
    add(row * shape.columns, std::min(kMaxRows, shape.rows - row), shape.columns);
  add(whole, 1, elements - whole);
}

// `size` bytes at `offset`, all of one kind: numbers, and the odd bytes behind the last whole one.
void add_stretch(ByteView base, ByteView target, const Range& whole, std::uint64_t offset, std::uint64_t size,
                 Kind kind, std::vector<Range>& out) {
  const std::uint64_t base_at = whole.base.value_or(0) + (offset - whole.offset);
  if (kind == Kind::bytes) return out.push_back({offset, size, base_at, std::nullopt, ""});
  const ElementType type = type_of(kind);
  const std::uint64_t element = element_bytes(type), numbers = size / element * element;
  const bool there = base_at <= base.size() && numbers <= base.size() - base_at;
  const ByteView before = there ? base.subspan(base_at, numbers) : ByteView{};
  std::uint64_t at = 0;
  const auto add = [&](std::uint64_t rows, std::uint64_t columns) {
    const TensorShape shape{type, rows, columns};
    if (shape.elements() > 0)
      add_numbers(offset + at, there ? std::optional(base_at + at) : std::nullopt, shape, "", out);
    at += shape.bytes();
  };
  for (const Piece& piece : find_pieces(type, before, target.subspan(offset, numbers), kRow)) {
    const std::uint64_t rows = piece.elements > kMaxVector ? piece.elements / piece.columns : 0;
    add(rows, piece.columns);
    add(1, piece.elements - rows * piece.columns);
  }
  const std::uint64_t odd = size - numbers;
  if (odd > 0) out.push_back({offset + size - odd, odd, base_at + size - odd, std::nullopt, ""});
}

// Bytes that nobody described: windows of one kind are joined. Windows are a multiple of every element's size, so
// that only the last can have odd bytes.
void examine(ByteView base, ByteView target, const Range& whole, std::vector<Range>& out) {
  std::uint64_t begin = 0;
  Guess open;
  for (std::uint64_t done = 0; done < whole.size; done += kWindow) {
    const std::uint64_t size = std::min(kWindow, whole.size - done), at = whole.base.value_or(0) + done;
    const ByteView before =
        at < base.size() ? base.subspan(at, std::min<std::uint64_t>(size, base.size() - at)) : ByteView{};
    const Guess now = kind_of(before, target.subspan(whole.offset + done, size), open);
    if (done > 0 && now.kind != open.kind) {
      add_stretch(base, target, whole, whole.offset + begin, done - begin, open.kind, out);
      begin = done;
    }
    open = now;
  }
  add_stretch(base, target, whole, whole.offset + begin, whole.size - begin, open.kind, out);
}

void add_other(ByteView base, ByteView target, Range stretch, std::vector<Range>& out) {
  if (stretch.size == 0) return;
  if (stretch.size < kExamineFrom) return out.push_back(std::move(stretch));
  examine(base, target, stretch, out);
}

void add_tensor(const TensorSpan& tensor, const TensorSpan* match, std::vector<Range>& out) {
  if (match == nullptr) return add_numbers(tensor.offset, std::nullopt, tensor.shape, tensor.name, out);
  TensorShape shared = tensor.shape;
  shared.rows = std::min(tensor.shape.rows, match->shape.rows);
  add_numbers(tensor.offset, match->offset, shared, tensor.name, out);
  TensorShape rest = tensor.shape;
  rest.rows -= shared.rows;
  if (rest.rows > 0) add_numbers(tensor.offset + shared.bytes(), std::nullopt, rest, tensor.name, out);
}

}  // namespace

std::vector<Range> plan_ranges(ByteView base, ByteView target) {
  std::vector<Range> out;
  BaseTensors known(find_tensors(base));
  std::uint64_t at = 0, base_at = 0;
  for (const TensorSpan& tensor : find_tensors(target)) {
    const TensorSpan* match = known.match(tensor);
    const std::uint64_t gap = tensor.offset - at;
    // What stands before a tensor stood before its counterpart.
    const std::uint64_t before = match != nullptr && match->offset >= gap ? match->offset - gap : base_at;
    add_other(base, target, {at, gap, before, std::nullopt, ""}, out);
    add_tensor(tensor, match, out);
    at = tensor.offset + tensor.shape.bytes();
    if (match != nullptr) base_at = match->offset + match->shape.bytes();
  }
  add_other(base, target, {at, target.size() - at, base_at, std::nullopt, ""}, out);
  return out;
}

}  // namespace drover::delta
