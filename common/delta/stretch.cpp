// Decoding where the result lies: without it the decoder would hold a window of 8 MiB.
#define ZSTD_STATIC_LINKING_ONLY

#include "common/delta/stretch.h"

#include <zstd.h>

#include <algorithm>
#include <bit>
#include <memory>

#include "common/delta/format.h"

namespace drover::delta {
namespace {

constexpr std::size_t kBlock = 64 * 1024;        // read, or made, at once
constexpr std::size_t kEncodedAtOnce = 1 << 20;  // between two looks at whether to stop
constexpr int kLevel = 19, kQuickLevel = 3;
constexpr std::size_t kSample = 128 * 1024;
constexpr unsigned kLeastWindowLog = 10;  // zstd's own

using Compressor = std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)>;

Error damaged() { return Error(Code::malformed, "a stretch is damaged"); }

// The encoder's window is never larger than what it packs, so that a decoder's need not be either.
unsigned window_log(std::uint64_t size) {
  const auto bits = static_cast<unsigned>(std::bit_width(std::max<std::uint64_t>(size, 1) - 1));
  return std::clamp(bits, kLeastWindowLog, kWindowLog);
}

class Unpacker {
 public:
  Unpacker(std::uint64_t size, ZSTD_DCtx& context, ByteSink& out) : context_(context), sink_(out), left_(size) {
    ZSTD_DCtx_setParameter(&context_, ZSTD_d_windowLogMax, static_cast<int>(window_log(size)));
    const std::span<std::uint8_t> place = out.place(size);
    in_place_ = size > 0 && place.size() == size &&
                ZSTD_isError(ZSTD_DCtx_setParameter(&context_, ZSTD_d_stableOutBuffer, 1)) == 0;
    if (!in_place_) own_.resize(kBlock);
    room_ = in_place_ ? ZSTD_outBuffer{place.data(), place.size(), 0} : ZSTD_outBuffer{own_.data(), own_.size(), 0};
  }

  Status feed(ByteView part) {
    ZSTD_inBuffer in{part.data(), part.size(), 0};
    for (bool more = true; more;) {
      if (ended_) return damaged();  // something behind the frame
      const std::size_t read = in.pos;
      TRY_ASSIGN(const std::size_t made, step(in));
      if (made == 0 && in.pos == read && in.pos < in.size) return damaged();
      more = in.pos < in.size || (!ended_ && made == own_.size() && made > 0);
    }
    return {};
  }
  Status finish() const { return ended_ && left_ == 0 ? Status() : Status(damaged()); }

 private:
  Result<std::size_t> step(ZSTD_inBuffer& in) {
    if (!in_place_) room_.pos = 0;
    const std::size_t before = room_.pos;
    const std::size_t hint = ZSTD_decompressStream(&context_, &room_, &in);
    const std::size_t made = room_.pos - before;
    if (ZSTD_isError(hint) != 0 || made > left_) return damaged();
    ended_ = hint == 0;
    left_ -= made;
    if (made > 0) TRY(in_place_ ? sink_.filled(made) : sink_.write(ByteView(own_).first(made)));
    return made;
  }

  ZSTD_DCtx& context_;
  ByteSink& sink_;
  std::uint64_t left_;
  Bytes own_;
  ZSTD_outBuffer room_{};
  bool in_place_ = false, ended_ = false;
};

Compressor compressor(int level, std::size_t size) {
  Compressor context(ZSTD_createCCtx(), ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_contentSizeFlag, 0);  // the segment says it
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 0);
  ZSTD_CCtx_setPledgedSrcSize(context.get(), size);
  return context;
}

// What comes out goes to `take(bytes)`, until that is false.
template <class Take>
bool compress(ZSTD_CCtx* context, ByteView bytes, bool last, const Take& take) {
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  Bytes block(ZSTD_CStreamOutSize());
  for (std::size_t left = 1; left != 0;) {
    ZSTD_outBuffer out{block.data(), block.size(), 0};
    left = ZSTD_compressStream2(context, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left) != 0 || !take(ByteView(block).first(out.pos))) return false;
    if (!last && in.pos == in.size) break;
  }
  return true;
}

}  // namespace

Status decode_stretch(NumberReader& in, std::uint64_t size, std::uint64_t packed, ZSTD_DCtx& context, ByteSink& out) {
  Unpacker unpacker(size, context, out);
  while (packed > 0) {
    const Bytes part = in.bytes(std::min<std::uint64_t>(packed, kBlock));
    TRY(in.status());
    TRY(unpacker.feed(part));
    packed -= part.size();
  }
  return unpacker.finish();
}

Result<Bytes> encode_stretch(ByteView bytes, std::uint64_t limit, ByteSink& alive) {
  const Compressor context = compressor(kLevel, bytes.size());
  Bytes packed;
  const auto take = [&](ByteView more) {
    packed.insert(packed.end(), more.begin(), more.end());
    return packed.size() < limit;
  };
  while (true) {
    TRY(alive.write({}));
    const ByteView part = bytes.first(std::min(bytes.size(), kEncodedAtOnce));
    bytes = bytes.subspan(part.size());
    if (!compress(context.get(), part, bytes.empty(), take)) return Bytes();
    if (bytes.empty()) return packed;
  }
}

namespace {

std::uint64_t size_at(int level, ByteView bytes) {
  const Compressor context = compressor(level, bytes.size());
  // Else a fast level would not know of what the slow one finds far back.
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, static_cast<int>(window_log(bytes.size())));
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_enableLongDistanceMatching, 1);
  std::uint64_t size = 0;
  const auto take = [&size](ByteView more) {
    size += more.size();
    return true;
  };
  compress(context.get(), bytes, true, take);
  return size;
}

}  // namespace

std::uint64_t guess_stretch(ByteView bytes) {
  const std::size_t size = std::min(bytes.size(), kSample);
  const ByteView sample = bytes.subspan((bytes.size() - size) / 2, size);
  return size_at(kQuickLevel, bytes) * size_at(kLevel, sample) /
         std::max<std::uint64_t>(size_at(kQuickLevel, sample), 1);
}

}  // namespace drover::delta
