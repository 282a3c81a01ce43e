#include "common/delta/delta.h"
#include "common/delta/parameters.h"

#include <algorithm>

namespace drover::delta {
namespace {

// Counts what passes.
class CountingSource final : public ByteSource {
 public:
  explicit CountingSource(ByteSource& source) : source_(source) {}
  Status read(std::span<std::uint8_t> out) override {
    passed += out.size();
    return source_.read(out);
  }
  std::uint64_t passed = 0;

 private:
  ByteSource& source_;
};

// Where the ranges of the base lie, each told by its distance from where the last one ended (apply.cpp).
class BasePlaces {
 public:
  std::uint64_t next(NumberReader& in) { return cursor_ += static_cast<std::uint64_t>(in.signed_varint()); }
  void passed(std::uint64_t size) { cursor_ += size; }

 private:
  std::uint64_t cursor_ = 0;
};

// Reads past `size` bytes in small pieces: a size that lies costs no memory.
void skip(NumberReader& in, std::uint64_t size) {
  constexpr std::uint64_t kPiece = 64 * 1024;
  while (size > 0 && in.ok()) {
    const std::uint64_t now = std::min(size, kPiece);
    (void)in.bytes(now);
    size -= now;
  }
}

// Parameters and tables are small and bounded, so they are read as a decoder reads them.
void skip_tensor_body(NumberReader& in, DeltaPart& part) {
  part.mode = static_cast<TensorMode>(in.fixed(1));
  if (part.mode == TensorMode::difference) {
    const auto parameters = read_parameters(in, {part.type, part.rows, part.columns});
    if (!parameters) return in.fail(parameters.error().message());
    part.rank = parameters->factors.rank;
  } else if (part.mode == TensorMode::grid) {
    part.rank = in.fixed(1);
    if (part.rank > kMaxRank) return in.fail("a tensor's rank is out of range");
    (void)in.varint();
    skip(in, in.varint());
    if (part.rank > 0) (void)in.signed_varint();
    skip(in, 2 * part.rank);
    for (int i = 0; i < 3 && part.rank > 0; ++i) skip(in, in.varint());
  } else if (part.type != ElementType::i8) {
    (void)in.fixed(1);
  }
  if (const std::uint64_t plain = in.varint(); plain > 0) {
    const std::uint64_t packed = in.varint();
    skip(in, packed == 0 ? plain : packed);
  }
  const std::uint64_t elements = part.rows * part.columns;
  for (std::uint64_t done = 0; done < elements && in.ok(); done += kChunkElements) {
    const std::uint64_t coded = in.varint(), plain = in.varint();
    skip(in, coded);
    skip(in, plain);
  }
}

void skip_tensor(NumberReader& in, BasePlaces& places, DeltaPart& part) {
  const std::uint64_t type = in.fixed(1);
  if ((type & 0x7f) > static_cast<std::uint64_t>(ElementType::i8)) in.fail("an unknown type of elements");
  part.type = static_cast<ElementType>(type & 0x7f);
  part.rows = in.bounded(std::uint64_t{1} << 40, "a tensor's rows");
  part.columns = in.bounded(std::uint64_t{1} << 40, "a tensor's columns");
  if (part.columns == 0 || part.rows == 0 ||
      part.rows > (std::uint64_t{1} << 40) / std::max<std::uint64_t>(1, part.columns))
    in.fail("a tensor without sense");
  if ((type & 0x80) != 0) part.base = places.next(in);
  if (!in.ok()) return;
  part.plain = part.rows * part.columns * element_bytes(part.type);
  if (part.base) places.passed(part.plain);
  skip_tensor_body(in, part);
}

void skip_segment(NumberReader& in, BasePlaces& places, DeltaPart& part) {
  if (part.kind == SegmentKind::tensor) return skip_tensor(in, places, part);
  part.plain = in.varint();
  if (part.kind == SegmentKind::copy) {
    part.base = places.next(in);
    places.passed(part.plain);
  } else if (part.kind == SegmentKind::prefix) {
    (void)places.next(in);  // a dictionary around the place, not the counterpart
    places.passed(in.varint());
  }
  if (part.kind == SegmentKind::raw) skip(in, part.plain);
  if (part.kind == SegmentKind::zstd || part.kind == SegmentKind::prefix || part.kind == SegmentKind::stretch)
    skip(in, in.varint());
}

std::uint64_t ends_at(const DeltaPart& part) { return part.offset + part.plain; }

bool fits(const DeltaPart& part, const DeltaHeader& header) {
  if (part.plain > header.target_size - part.offset) return false;
  return !part.base || (*part.base <= header.base_size && part.plain <= header.base_size - *part.base);
}

}  // namespace

Result<DeltaContents> inspect_delta(ByteSource& delta) {
  CountingSource source(delta);
  NumberReader in(source);
  BasePlaces places;
  DeltaContents contents;
  TRY_ASSIGN(contents.header, read_header(in));
  for (std::uint64_t offset = 0;;) {
    const std::uint64_t begin = source.passed;
    DeltaPart part;
    part.kind = static_cast<SegmentKind>(in.fixed(1));
    if (part.kind > SegmentKind::stretch) in.fail("an unknown kind of segment");
    if (!in.ok() || part.kind == SegmentKind::end) break;
    part.offset = offset;
    skip_segment(in, places, part);
    part.coded = source.passed - begin;
    if (in.ok() && !fits(part, contents.header)) in.fail("the delta's sizes contradict each other");
    if (!in.ok()) break;
    offset += part.plain;
    contents.parts.push_back(std::move(part));
  }
  TRY(in.status());
  const bool complete = contents.parts.empty() ? contents.header.target_size == 0
                                               : ends_at(contents.parts.back()) == contents.header.target_size;
  if (!complete) return Error(Code::malformed, "the delta makes less than it promised");
  return contents;
}

}  // namespace drover::delta
