#include <zstd.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <span>

#include "common/delta/delta.h"
#include "common/delta/planner.h"
#include "common/delta/stretch.h"

namespace drover::delta {
namespace {

constexpr int kLevel = 19;      // for the few bytes that are no numbers
constexpr int kFastLevel = 12;  // when they are many: 19 takes seconds a mebibyte-hundred
constexpr std::uint64_t kManyBytes = 32 << 20;
constexpr std::size_t kPrefixBefore = 256 * 1024;  // of the base around the expected place
// A stretch of undescribed bytes may also become one frame. As much is held in memory at once, packed both ways.
constexpr std::uint64_t kMostStretch = 256 << 20;
constexpr std::uint64_t kLeastStretch = 16 * 1024;  // as kExamineFrom of the planner: a shorter one is one piece
constexpr std::size_t kStretchHead = 16;            // bytes of the segment in front of its frame, about
// The frame takes a second for two megabytes: what is coded in fewer than these percents of a guess at it is not tried.
constexpr std::uint64_t kNumbersDoubt = 95, kBytesDoubt = 75;

// Until a choice between two ways is made. Stops when `out` does.
class HeldSink final : public ByteSink {
 public:
  explicit HeldSink(ByteSink& out) : out_(out) {}
  Status write(ByteView more) override {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return out_.write({});
  }
  Bytes bytes;

 private:
  ByteSink& out_;
};

// Without a shape, longer than `most`: in pieces.
std::vector<Range> cut_ranges(std::vector<Range> ranges, std::uint64_t most) {
  std::vector<Range> cut;
  for (Range& range : ranges) {
    while (!range.shape && range.size > most) {
      Range first = range;
      first.size = most;
      range.offset += most;
      range.size -= most;
      if (range.base) *range.base += most;
      cut.push_back(std::move(first));
    }
    cut.push_back(std::move(range));
  }
  return cut;
}

bool is_undescribed(const Range& range) { return range.name.empty(); }
std::uint64_t size_of(std::span<const Range> ranges) {
  return ranges.empty() ? 0 : ranges.back().offset + ranges.back().size - ranges.front().offset;
}

// How many ranges from here on are one stretch; 0: none, or too short a one to be worth a look.
std::size_t stretch_at(std::span<const Range> ranges) {
  std::size_t count = 0;
  while (count < ranges.size() && is_undescribed(ranges[count]) &&
         (count == 0 || size_of(ranges.first(count + 1)) <= kMostStretch))
    ++count;
  return size_of(ranges.first(count)) < kLeastStretch ? 0 : count;
}

class Writer {
 public:
  Writer(ByteView base, ByteView target, ByteSink& out, const Progress& progress)
      : base_(base), target_(target), out_(out), progress_(progress), context_(ZSTD_createCCtx(), ZSTD_freeCCtx) {}

  Status header() {
    Bytes head;
    put_fixed(head, kMagic, 4);
    put_fixed(head, kVersion, 4);
    put_fixed(head, base_.size(), 8);
    put_fixed(head, target_.size(), 8);
    for (ByteView file : {base_, target_}) {
      const auto digest = crypto::sha256(file);
      head.insert(head.end(), digest.raw().begin(), digest.raw().end());
    }
    return out_.write(head);
  }

  Status range(const Range& range) {
    const ByteView bytes = target_.subspan(range.offset, range.size);
    if (range.base && *range.base + range.size <= base_.size() && same_as_base(bytes, *range.base)) {
      copy(range, *range.base);
      return {};
    }
    TRY(flush_copy());
    if (!range.shape) return others(range, kManyBytes > others_ ? kLevel : kFastLevel);
    return tensor(range);
  }

  // Ranges that nobody described, one behind the other: as the planner sees them, or as one frame of zstd -19, which
  // knows of what is far back and is not led astray by numbers that are none.
  Status stretch(std::span<const Range> ranges) {
    TRY(flush_copy());
    const ByteView bytes = target_.subspan(ranges.front().offset, size_of(ranges));
    const bool plain =
        std::none_of(ranges.begin(), ranges.end(), [](const Range& range) { return range.shape.has_value(); });
    if (plain && bytes.size() <= kMaxPlain) return each(ranges);  // they are that already
    if (plain && base_.empty() && guess_stretch(bytes) >= bytes.size() - bytes.size() / 1000) return noise(ranges);
    HeldSink held(out_);
    Writer pieces(base_, target_, held, progress_);
    pieces.cursor_ = cursor_;
    const bool alone = plain && base_.empty();
    if (!alone) TRY(pieces.each(ranges));
    const std::uint64_t limit = alone ? bytes.size() : held.bytes.size();
    TRY_ASSIGN(const Bytes frame, frame_below(limit, bytes, plain));
    if (!frame.empty()) return emit_stretch(ranges.front().offset, bytes.size(), frame);
    if (alone) return each(ranges);
    cursor_ = pieces.cursor_;
    std::move(pieces.parts.begin(), pieces.parts.end(), std::back_inserter(parts));
    return out_.write(held.bytes);
  }

  Status finish() {
    TRY(flush_copy());
    return out_.write(Bytes{static_cast<std::uint8_t>(SegmentKind::end)});
  }
  std::vector<DeltaPart> parts;

 private:
  bool same_as_base(ByteView bytes, std::uint64_t at) const {
    return std::equal(bytes.begin(), bytes.end(), base_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  Status each(std::span<const Range> ranges) {
    for (const Range& one : ranges) TRY(range(one));
    return flush_copy();
  }

  // What no level makes smaller is not worth the time of a high one.
  Status noise(std::span<const Range> ranges) {
    for (const Range& one : ranges) TRY(others(one, 1));
    return {};
  }

  // Empty: it would not be smaller.
  Result<Bytes> frame_below(std::uint64_t limit, ByteView bytes, bool plain) {
    if (limit <= kStretchHead || guess_stretch(bytes) * (plain ? kBytesDoubt : kNumbersDoubt) / 100 >= limit)
      return Bytes();
    return encode_stretch(bytes, limit - kStretchHead, out_);
  }

  Status emit_stretch(std::uint64_t offset, std::uint64_t size, const Bytes& frame) {
    Bytes head = {static_cast<std::uint8_t>(SegmentKind::stretch)};
    put_varint(head, size);
    put_varint(head, frame.size());
    return emit(head, frame, {.kind = SegmentKind::stretch, .name = "", .offset = offset, .plain = size});
  }

  // Neighbouring copies become one.
  void copy(const Range& range, std::uint64_t from) {
    if (copy_size_ > 0 && copy_from_ + copy_size_ == from) {
      copy_size_ += range.size;
    } else {
      pending_ = flush_copy();
      copy_from_ = from;
      copy_offset_ = range.offset;
      copy_size_ = range.size;
    }
  }

  Status flush_copy() {
    TRY(pending_);
    if (copy_size_ == 0) return {};
    Bytes head = {static_cast<std::uint8_t>(SegmentKind::copy)};
    put_varint(head, copy_size_);
    put_base(head, copy_from_, copy_size_);
    DeltaPart part{.kind = SegmentKind::copy, .name = "", .offset = copy_offset_, .plain = copy_size_};
    part.base = copy_from_;
    copy_size_ = 0;
    return emit(head, {}, std::move(part));
  }

  // Places in the base are told by their distance from where the last one ended.
  void put_base(Bytes& head, std::uint64_t from, std::uint64_t size) {
    put_signed(head, static_cast<std::int64_t>(from - cursor_));
    cursor_ = from + size;
  }

  Status tensor(const Range& range) {
    const ByteView bytes = target_.subspan(range.offset, range.size);
    const ByteView before = range.base ? base_.subspan(*range.base, range.size) : ByteView{};
    EncodedTensor coded = encode_tensor(*range.shape, before, bytes);
    if (compressed(bytes, 1).size() < coded.bytes.size()) return others(range, kLevel);  // tables, ids, repeated rows
    Bytes head = {static_cast<std::uint8_t>(SegmentKind::tensor)};
    const bool with_base = coded.mode != TensorMode::alone;
    head.push_back(static_cast<std::uint8_t>(static_cast<unsigned>(range.shape->type) | (with_base ? 0x80U : 0U)));
    put_varint(head, range.shape->rows);
    put_varint(head, range.shape->columns);
    if (with_base) put_base(head, *range.base, range.size);
    return emit(head, coded.bytes,
                {.kind = SegmentKind::tensor,
                 .name = range.name,
                 .offset = range.offset,
                 .plain = range.size,
                 .coded = 0,
                 .base = with_base ? range.base : std::nullopt,
                 .type = range.shape->type,
                 .rows = range.shape->rows,
                 .columns = range.shape->columns,
                 .mode = coded.mode,
                 .rank = coded.rank});
  }

  Status others(const Range& range, int level) {
    for (std::uint64_t done = 0; done < range.size; done += kMaxPlain) {
      const std::uint64_t size = std::min<std::uint64_t>(kMaxPlain, range.size - done);
      others_ += size;
      TRY(piece(range, done, size, level));
    }
    return {};
  }

  Status piece(const Range& range, std::uint64_t done, std::uint64_t size, int level) {
    const ByteView bytes = target_.subspan(range.offset + done, size);
    const Bytes alone = compressed(bytes, level);
    const std::uint64_t place = std::min<std::uint64_t>(range.base.value_or(0) + done, base_.size());
    const std::uint64_t from = place - std::min<std::uint64_t>(place, kPrefixBefore);
    const std::uint64_t length =
        std::min<std::uint64_t>({kMaxPrefix, base_.size() - from, place - from + size + kPrefixBefore});
    const Bytes against = length > 0 ? compressed(bytes, level, base_.subspan(from, length)) : alone;
    const std::string name = range.name;
    DeltaPart part{.kind = SegmentKind::raw, .name = name, .offset = range.offset + done, .plain = size};
    Bytes head;
    if (length > 0 && against.size() + 12 < std::min(alone.size(), bytes.size())) {
      part.kind = SegmentKind::prefix;
      head.push_back(static_cast<std::uint8_t>(part.kind));
      put_varint(head, size);
      put_base(head, from, length);
      put_varint(head, length);
      put_varint(head, against.size());
      return emit(head, against, std::move(part));
    }
    const bool pack = alone.size() + 3 < bytes.size();
    part.kind = pack ? SegmentKind::zstd : SegmentKind::raw;
    head.push_back(static_cast<std::uint8_t>(part.kind));
    put_varint(head, size);
    if (pack) put_varint(head, alone.size());
    return emit(head, pack ? ByteView(alone) : bytes, std::move(part));
  }

  Bytes compressed(ByteView bytes, int level, ByteView prefix = {}) {
    Bytes out(ZSTD_compressBound(bytes.size()));
    ZSTD_CCtx_reset(context_.get(), ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_contentSizeFlag, 0);  // the segment says it
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 0);
    if (!prefix.empty()) ZSTD_CCtx_refPrefix(context_.get(), prefix.data(), prefix.size());
    const std::size_t size = ZSTD_compress2(context_.get(), out.data(), out.size(), bytes.data(), bytes.size());
    out.resize(ZSTD_isError(size) != 0 ? 0 : size);
    if (out.empty()) out.assign(bytes.begin(), bytes.end());  // larger than raw in any comparison
    return out;
  }

  Status emit(const Bytes& head, ByteView body, DeltaPart part) {
    part.coded = head.size() + body.size();
    TRY(out_.write(head));
    TRY(out_.write(body));
    if (progress_) progress_(part.offset + part.plain, target_.size());
    parts.push_back(std::move(part));
    return {};
  }

  ByteView base_, target_;
  ByteSink& out_;
  const Progress& progress_;
  std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context_;
  std::uint64_t cursor_ = 0, others_ = 0;
  std::uint64_t copy_from_ = 0, copy_offset_ = 0, copy_size_ = 0;
  Status pending_;
};

}  // namespace

Result<std::vector<DeltaPart>> make_delta(ByteView base, ByteView target, ByteSink& out, const Progress& progress) {
  Writer writer(base, target, out, progress);
  TRY(writer.header());
  const std::vector<Range> ranges = cut_ranges(plan_ranges(base, target), kMostStretch);
  for (std::span<const Range> rest(ranges); !rest.empty();) {
    const std::size_t count = stretch_at(rest);
    TRY(count == 0 ? writer.range(rest.front()) : writer.stretch(rest.first(count)));
    rest = rest.subspan(std::max<std::size_t>(count, 1));
  }
  TRY(writer.finish());
  return std::move(writer.parts);
}

}  // namespace drover::delta
