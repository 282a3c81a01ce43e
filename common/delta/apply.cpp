#include <zstd.h>

#include <algorithm>
#include <memory>

#include "common/delta/delta.h"
#include "common/delta/stretch.h"
#include "common/delta/tensor_codec.h"

namespace drover::delta {
namespace {

constexpr std::size_t kCopyBlock = 256 * 1024;

// What passes is hashed and counted; more than the header promised is refused.
class CheckedSink final : public ByteSink {
 public:
  CheckedSink(ByteSink& out, std::uint64_t size, const Progress& progress)
      : out_(out), size_(size), progress_(progress) {}
  Status write(ByteView bytes) override {
    if (bytes.size() > size_ - written) return Error(Code::malformed, "the delta makes more than it promised");
    hash.update(bytes);
    written += bytes.size();
    if (progress_) progress_(written, size_);
    return out_.write(bytes);
  }
  std::span<std::uint8_t> place(std::uint64_t size) override { return place_ = out_.place(size); }
  Status filled(std::size_t bytes) override {
    hash.update(ByteView(place_).first(bytes));
    place_ = place_.subspan(bytes);
    written += bytes;
    if (progress_) progress_(written, size_);
    return out_.filled(bytes);
  }
  std::uint64_t left() const { return size_ - written; }
  crypto::Sha256 hash;
  std::uint64_t written = 0;

 private:
  ByteSink& out_;
  std::span<std::uint8_t> place_;
  std::uint64_t size_;
  const Progress& progress_;
};

class Reader {
 public:
  Reader(NumberReader& in, ByteView base, CheckedSink& out) : in_(in), base_(base), out_(out) {}

  // True until the end segment.
  Result<bool> next() {
    const auto kind = static_cast<SegmentKind>(in_.fixed(1));
    TRY(in_.status());
    switch (kind) {
      case SegmentKind::end:
        return false;
      case SegmentKind::copy:
        TRY(copy());
        return true;
      case SegmentKind::raw:
        TRY(raw());
        return true;
      case SegmentKind::zstd:
        TRY(packed(false));
        return true;
      case SegmentKind::prefix:
        TRY(packed(true));
        return true;
      case SegmentKind::tensor:
        TRY(tensor());
        return true;
      case SegmentKind::stretch:
        TRY(stretch());
        return true;
    }
    return Error(Code::malformed, "an unknown kind of segment");
  }

 private:
  // A range of the base, told by its distance from the end of the last one.
  Result<ByteView> base_range(std::uint64_t distance, std::uint64_t size) {
    const std::uint64_t from = cursor_ + distance;
    TRY(in_.status());
    if (from > base_.size() || size > base_.size() - from)
      return Error(Code::malformed, "the delta points outside its base");
    cursor_ = from + size;
    return base_.subspan(from, size);
  }

  Status copy() {
    const std::uint64_t size = in_.varint();
    const auto distance = static_cast<std::uint64_t>(in_.signed_varint());
    TRY_ASSIGN(ByteView rest, base_range(distance, size));
    while (!rest.empty()) {
      const std::size_t block = std::min(kCopyBlock, rest.size());
      TRY(out_.write(rest.first(block)));
      rest = rest.subspan(block);
    }
    return {};
  }

  Status raw() {
    const Bytes bytes = in_.bytes(in_.bounded(kMaxPlain, "a segment"));
    TRY(in_.status());
    return out_.write(bytes);
  }

  Status packed(bool with_prefix) {
    const std::uint64_t size = in_.bounded(kMaxPlain, "a segment");
    ByteView prefix;
    if (with_prefix) {
      const auto distance = static_cast<std::uint64_t>(in_.signed_varint());
      const std::uint64_t length = in_.bounded(kMaxPrefix, "a segment's dictionary");
      TRY_ASSIGN(prefix, base_range(distance, length));
    }
    const Bytes bytes = in_.bytes(in_.bounded(kMaxPlain, "a packed segment"));
    TRY(in_.status());
    TRY(reset_context());
    Bytes plain(size);
    if (!prefix.empty()) ZSTD_DCtx_refPrefix(context_.get(), prefix.data(), prefix.size());
    const std::size_t got = ZSTD_decompressDCtx(context_.get(), plain.data(), plain.size(), bytes.data(), bytes.size());
    if (ZSTD_isError(got) != 0 || got != plain.size()) return Error(Code::malformed, "a packed segment is damaged");
    return out_.write(plain);
  }

  Status reset_context() {
    if (!context_) context_.reset(ZSTD_createDCtx());
    if (!context_) return Error(Code::too_large, "there is not enough memory for the delta");
    ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_and_parameters);
    return {};
  }

  Status stretch() {
    const std::uint64_t size = in_.varint(), packed = in_.varint();
    TRY(in_.status());
    if (size > out_.left()) return Error(Code::malformed, "the delta makes more than it promised");
    TRY(reset_context());
    return decode_stretch(in_, size, packed, *context_, out_);
  }

  Status tensor() {
    const std::uint64_t type = in_.fixed(1);
    TensorShape shape{static_cast<ElementType>(type & 0x7f), 0, 0};
    shape.rows = in_.bounded(std::uint64_t{1} << 40, "a tensor's rows");
    shape.columns = in_.bounded(std::uint64_t{1} << 40, "a tensor's columns");
    TRY(in_.status());
    const bool odd = (type & 0x7f) > static_cast<std::uint64_t>(ElementType::i8) || shape.rows == 0 ||
                     shape.columns == 0 || shape.rows > (std::uint64_t{1} << 40) / shape.columns;
    if (odd) return Error(Code::malformed, "a tensor without sense");
    ByteView before;
    if ((type & 0x80) != 0) {
      const auto distance = static_cast<std::uint64_t>(in_.signed_varint());
      TRY_ASSIGN(before, base_range(distance, shape.bytes()));
    }
    return tensors_.decode(shape, in_, before, out_);
  }

  struct FreeContext {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  NumberReader& in_;
  ByteView base_;
  CheckedSink& out_;
  TensorDecoder tensors_;
  std::uint64_t cursor_ = 0;
  std::unique_ptr<ZSTD_DCtx, FreeContext> context_;
};

crypto::Digest read_digest(NumberReader& in) {
  crypto::Digest::Raw raw{};
  const Bytes bytes = in.bytes(raw.size());
  std::copy(bytes.begin(), bytes.end(), raw.begin());
  return crypto::Digest(raw);
}

Status check_header(const DeltaHeader& header, ByteView base, const ApplyLimits& limits) {
  if (header.target_size > limits.max_target)
    return Error(Code::too_large, "the delta makes more than the manifest allows");
  if (limits.target && *limits.target != header.target)
    return Error(Code::digest_mismatch, "the delta is for another target");
  const bool same =
      header.base_size == base.size() && (!limits.base || header.base_size == 0 || *limits.base == header.base);
  if (!same) return Error(Code::digest_mismatch, "the delta is for another base");
  return {};
}

}  // namespace

Result<DeltaHeader> read_header(NumberReader& in) {
  const std::uint64_t magic = in.fixed(4), version = in.fixed(4);
  TRY(in.status());
  if (magic != kMagic) return Error(Code::malformed, "not a delta");
  if (version != kVersion)
    return Error(Code::unsupported, "a delta of version " + std::to_string(version) + "; this decoder knows version 1");
  DeltaHeader header;
  header.base_size = in.fixed(8);
  header.target_size = in.fixed(8);
  header.base = read_digest(in);
  header.target = read_digest(in);
  TRY(in.status());
  return header;
}

Status apply_delta(ByteSource& delta, ByteView base, const ApplyLimits& limits, ByteSink& out,
                   const Progress& progress) {
  NumberReader in(delta);
  TRY_ASSIGN(const DeltaHeader header, read_header(in));
  TRY(check_header(header, base, limits));
  CheckedSink sink(out, header.target_size, progress);
  Reader reader(in, base, sink);
  for (;;) {
    TRY_ASSIGN(const bool more, reader.next());
    if (!more) break;
  }
  if (sink.written != header.target_size) return Error(Code::malformed, "the delta makes less than it promised");
  if (sink.hash.finish() != header.target)
    return Error(Code::digest_mismatch, "the delta's result is not its target: wrong base, or damage");
  return {};
}

}  // namespace drover::delta
