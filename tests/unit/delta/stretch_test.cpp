// Long stretches of bytes that are no numbers: as small as a whole package, decoded with the result as the window.
#include "common/delta/stretch.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <algorithm>

#include "common/delta/delta.h"
#include "tests/unit/delta/texts.h"

namespace drover::delta {
namespace {

using testing::json_text;
using testing::log_text;
using testing::source_archive;
using testing::stretch_delta;

constexpr std::size_t kMebi = 1 << 20;

// As a mapped file: what is decoded stands where it belongs at once.
class PlaceSink final : public ByteSink {
 public:
  explicit PlaceSink(std::size_t size) : bytes(size) {}
  Status write(ByteView more) override {
    std::copy(more.begin(), more.end(), bytes.begin() + static_cast<std::ptrdiff_t>(made));
    made += more.size();
    return {};
  }
  std::span<std::uint8_t> place(std::uint64_t size) override { return std::span(bytes).subspan(made, size); }
  Status filled(std::size_t count) override {
    made += count;
    placed += count;
    return {};
  }
  Bytes bytes;
  std::size_t made = 0, placed = 0;
};

// Into memory, and in place: both must end alike.
Result<Bytes> applied(ByteView delta, ByteView base, std::size_t size) {
  MemorySource source(delta), again(delta);
  MemorySink sink;
  PlaceSink place(size);
  ApplyLimits limits;
  limits.max_target = size;
  const Status status = apply_delta(source, base, limits, sink), in_place = apply_delta(again, base, limits, place);
  EXPECT_EQ(status.has_value(), in_place.has_value());
  if (!status) return status.error();
  EXPECT_TRUE(sink.bytes == place.bytes);
  return std::move(sink.bytes);
}

std::size_t package_size(const Bytes& target) {
  Bytes package(ZSTD_compressBound(target.size()));
  return ZSTD_compress(package.data(), package.size(), target.data(), target.size(), 19);
}

void expect_no_larger_than_a_package(const char* name, ByteView base, const Bytes& target) {
  MemorySink sink;
  const auto parts = make_delta(base, target, sink);
  ASSERT_TRUE(parts);
  EXPECT_LE(static_cast<double>(sink.bytes.size()), 1.001 * static_cast<double>(package_size(target)) + kHeaderBytes)
      << name;
  std::uint64_t plain = 0;
  for (const DeltaPart& part : *parts) {
    EXPECT_EQ(part.offset, plain);
    plain += part.plain;
  }
  EXPECT_EQ(plain, target.size());
  const auto made = applied(sink.bytes, base, target.size());
  ASSERT_TRUE(made) << name << ": " << made.error().message();
  EXPECT_TRUE(*made == target) << name;
}

TEST(StretchTest, files_of_several_mebibytes_are_never_larger_than_a_package_by_more_than_a_thousandth) {
  const Bytes unrelated = json_text(kMebi, 9);
  expect_no_larger_than_a_package("records", {}, json_text(2 * kMebi, 1));
  expect_no_larger_than_a_package("sources", {}, source_archive(4 * kMebi, 2));
  expect_no_larger_than_a_package("sources on another base", unrelated, source_archive(kMebi + kMebi / 2, 3));
  expect_no_larger_than_a_package("log", {}, log_text(2 * kMebi, 4));
}

TEST(StretchTest, numbers_between_texts_do_not_lead_astray) {
  Bytes mixed = json_text(400'000, 5);
  SeededRng rng(6);
  for (int i = 0; i < 300'000; ++i)
    mixed.push_back(static_cast<std::uint8_t>(i / 1000 + static_cast<int>(rng.below(3))));
  const Bytes more = log_text(400'000, 7);
  mixed.insert(mixed.end(), more.begin(), more.end());
  expect_no_larger_than_a_package("mixed", {}, mixed);
}

TEST(StretchTest, what_comes_again_far_back_is_found) {
  Bytes noise(5 * kMebi);
  SeededRng rng(8);
  rng.fill(noise);
  Bytes twice = noise;
  twice.insert(twice.end(), noise.begin(), noise.end());
  MemorySink sink;
  ASSERT_TRUE(make_delta({}, twice, sink));
  EXPECT_LT(sink.bytes.size(), noise.size() + noise.size() / 1000);
  EXPECT_TRUE(applied(sink.bytes, {}, twice.size()));
}

TEST(StretchTest, is_decoded_where_there_is_a_place) {
  const Bytes target = log_text(500'000, 1), delta = stretch_delta(target);
  MemorySource source(delta);
  PlaceSink place(target.size());
  ASSERT_TRUE(apply_delta(source, {}, {}, place));
  EXPECT_EQ(place.placed, target.size());
  EXPECT_TRUE(place.bytes == target);
}

TEST(StretchTest, damage_anywhere_is_refused) {
  const Bytes target = log_text(3000, 1), delta = stretch_delta(target);
  ASSERT_TRUE(applied(delta, {}, target.size()));
  for (std::size_t at = 0; at < delta.size(); ++at) {
    EXPECT_FALSE(applied(ByteView(delta).first(at), {}, target.size())) << at;
    for (int bit = 0; bit < 8; ++bit) {
      Bytes damaged = delta;
      damaged[at] = static_cast<std::uint8_t>(damaged[at] ^ (1 << bit));
      const auto made = applied(damaged, {}, target.size());
      EXPECT_TRUE(!made || *made == target) << at << " " << bit;  // zstd has bits that mean nothing
    }
  }
}

// The frame of `target`, as a segment that claims something else.
Result<Bytes> claimed(const Bytes& target, std::int64_t more_size, std::int64_t more_packed) {
  MemorySink alive;
  Bytes frame = *encode_stretch(target, UINT64_MAX, alive);
  Bytes head = stretch_delta(target);
  head.resize(kHeaderBytes);
  head.push_back(static_cast<std::uint8_t>(SegmentKind::stretch));
  put_varint(head, static_cast<std::uint64_t>(static_cast<std::int64_t>(target.size()) + more_size));
  put_varint(head, static_cast<std::uint64_t>(static_cast<std::int64_t>(frame.size()) + more_packed));
  head.insert(head.end(), frame.begin(), frame.end());
  head.insert(head.end(), 64, 0);
  return applied(head, {}, target.size());
}

TEST(StretchTest, sizes_that_lie_are_refused) {
  const Bytes target = log_text(100'000, 1);
  ASSERT_TRUE(claimed(target, 0, 0));
  for (const auto& [size, packed] :
       {std::pair<std::int64_t, std::int64_t>{1, 0}, {-1, 0}, {0, 1}, {0, -1}, {1LL << 60, 0}, {0, 1LL << 60}}) {
    const auto made = claimed(target, size, packed);
    ASSERT_FALSE(made) << size << " " << packed;
    EXPECT_EQ(made.error().code(), Code::malformed);
  }
}

TEST(StretchTest, a_frame_with_a_larger_window_than_its_content_is_refused) {
  const Bytes target = log_text(2000, 1);
  Bytes frame(ZSTD_compressBound(target.size()));
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 24);
  ZSTD_inBuffer in{target.data(), target.size(), 0};
  ZSTD_outBuffer out{frame.data(), frame.size(), 0};
  ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue);  // before it can know how little comes
  ZSTD_compressStream2(context, &out, &in, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  frame.resize(out.pos);
  ZSTD_DCtx* decoder = ZSTD_createDCtx();
  MemorySource source(frame);
  NumberReader reader(source);
  MemorySink sink;
  const Status status = decode_stretch(reader, target.size(), frame.size(), *decoder, sink);
  ZSTD_freeDCtx(decoder);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::malformed);
}

TEST(StretchTest, the_encoder_gives_up_behind_a_limit_and_stops_when_it_is_told) {
  const Bytes target = json_text(300'000, 1);
  MemorySink alive;
  const auto whole = encode_stretch(target, UINT64_MAX, alive);
  ASSERT_TRUE(whole);
  EXPECT_TRUE(encode_stretch(target, whole->size(), alive)->empty());
  EXPECT_FALSE(encode_stretch(target, whole->size() + 1, alive)->empty());
  class Stopped final : public ByteSink {
    Status write(ByteView) override { return Error(Code::cancelled, "stopped"); }
  } stopped;
  EXPECT_EQ(encode_stretch(target, UINT64_MAX, stopped).error().code(), Code::cancelled);
}

}  // namespace
}  // namespace drover::delta
