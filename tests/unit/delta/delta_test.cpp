#include "common/delta/delta.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <limits>
#include <set>

#include "tests/support/expect.h"
#include "tests/unit/delta/kinds.h"

namespace drover::delta {
namespace {

using testing::as_type;
using testing::every_kind;
using testing::NamedTensor;
using testing::safetensors;
using testing::Small;
using testing::tuned;
using testing::weights;

Bytes delta_of(ByteView base, ByteView target) {
  MemorySink sink;
  EXPECT_TRUE(make_delta(base, target, sink));
  return sink.bytes;
}

Result<Bytes> applied(ByteView delta, ByteView base, const ApplyLimits& limits = {}) {
  MemorySource source(delta);
  MemorySink sink;
  TRY(apply_delta(source, base, limits, sink));
  if (source.left() != 0) return Error(Code::malformed, "bytes behind the end");
  return std::move(sink.bytes);
}

void expect_round_trip(ByteView base, ByteView target) {
  const auto result = applied(delta_of(base, target), base);
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_TRUE(std::equal(result->begin(), result->end(), target.begin(), target.end()));
}

struct Case {
  ElementType type;
  const char* dtype;
};
void PrintTo(const Case& of, std::ostream* out) { *out << of.dtype; }
class EveryType : public ::testing::TestWithParam<Case> {};

TEST_P(EveryType, a_fine_tuned_matrix_comes_back_exactly_and_costs_little) {
  const auto before = weights(96 * 128, 1), after = tuned(before, 96, 128, 2);
  const Bytes base = safetensors({{"w", GetParam().dtype, {96, 128}, as_type(before, GetParam().type)}});
  const Bytes target = safetensors({{"w", GetParam().dtype, {96, 128}, as_type(after, GetParam().type)}});
  expect_round_trip(base, target);
  EXPECT_LT(delta_of(base, target).size(), target.size() * 7 / 10);
  expect_round_trip({}, target);
  EXPECT_LT(delta_of({}, target).size(), target.size() + 200);
}
INSTANTIATE_TEST_SUITE_P(Types, EveryType,
                         ::testing::Values(Case{ElementType::f32, "F32"}, Case{ElementType::f16, "F16"},
                                           Case{ElementType::bf16, "BF16"}, Case{ElementType::i8, "I8"}),
                         [](const auto& test) { return std::string(test.param.dtype); });

TEST(DeltaTest, what_did_not_change_is_not_sent) {
  const auto w = weights(100 * 100, 3);
  const Bytes file = safetensors({{"w", "F32", {100, 100}, as_type(w, ElementType::f32)}});
  EXPECT_LT(delta_of(file, file).size(), kHeaderBytes + 16);
  expect_round_trip(file, file);
}

TEST(DeltaTest, tensors_may_be_reordered_inserted_renamed_and_grown) {
  const Bytes a = as_type(weights(64 * 64, 4), ElementType::f32), b = as_type(weights(32 * 64, 5), ElementType::f32);
  const Bytes grown = as_type(weights(80 * 64, 4), ElementType::f32);  // begins with the 64 rows of `a`
  const Bytes fresh = as_type(weights(16 * 16, 6), ElementType::f32);
  const Bytes base = safetensors({{"a", "F32", {64, 64}, a}, {"b", "F32", {32, 64}, b}});
  const Bytes target =
      safetensors({{"new", "F32", {16, 16}, fresh}, {"b2", "F32", {32, 64}, b}, {"a", "F32", {80, 64}, grown}});
  expect_round_trip(base, target);
  EXPECT_LT(delta_of(base, target).size(), fresh.size() + 16 * 64 * 4 + 600);
}

TEST(DeltaTest, numbers_that_are_no_numbers_come_back_exactly) {
  auto before = weights(64 * 64, 7), after = tuned(before, 64, 64, 8);
  const float odd[] = {0.0F,
                       -0.0F,
                       std::numeric_limits<float>::infinity(),
                       -std::numeric_limits<float>::infinity(),
                       std::numeric_limits<float>::quiet_NaN(),
                       std::numeric_limits<float>::denorm_min(),
                       std::numeric_limits<float>::max(),
                       -std::numeric_limits<float>::min(),
                       1e-40F,
                       3e38F};
  SeededRng rng(9);
  for (int i = 0; i < 400; ++i) {
    before[rng.below(before.size())] = odd[rng.below(10)];
    after[rng.below(after.size())] = odd[rng.below(10)];
  }
  for (const Case& type : {Case{ElementType::f32, "F32"}, Case{ElementType::bf16, "BF16"}}) {
    const Bytes base = safetensors({{"w", type.dtype, {64, 64}, as_type(before, type.type)}});
    expect_round_trip(base, safetensors({{"w", type.dtype, {64, 64}, as_type(after, type.type)}}));
  }
}

TEST(DeltaTest, every_bit_pattern_of_sixteen_bits_survives_in_both_types) {
  Bytes before, after;
  for (std::uint32_t i = 0; i < 65536; ++i) {
    for (unsigned byte = 0; byte < 2; ++byte) before.push_back(static_cast<std::uint8_t>(i >> 8 * byte));
    const std::uint32_t other = i * 40503 + 77;
    for (unsigned byte = 0; byte < 2; ++byte) after.push_back(static_cast<std::uint8_t>(other >> 8 * byte));
  }
  for (ElementType type : {ElementType::f16, ElementType::bf16})
    for (std::size_t rank : {std::size_t{0}, std::size_t{8}}) {
      const TensorShape shape{type, 256, 256};
      const Bytes coded = encode_difference(shape, before, after, rank);
      MemorySource source(coded);
      NumberReader in(source);
      MemorySink out;
      const Status status = TensorDecoder().decode(shape, in, before, out);
      ASSERT_TRUE(status) << status.error().message();
      EXPECT_EQ(out.bytes, after);
    }
}

TEST(DeltaTest, files_of_any_bytes_and_sizes_come_back_exactly) {
  SeededRng rng(10);
  for (std::size_t size : {0, 1, 63, 4096, 300'000}) {
    Bytes base(size), target(size + rng.below(100));
    rng.fill(base);
    std::copy(base.begin(), base.end(), target.begin());
    for (int i = 0; i < 20 && size > 0; ++i) target[rng.below(target.size())] ^= 1;
    expect_round_trip(base, target);
    expect_round_trip({}, target);
    expect_round_trip(target, base);
  }
}

TEST(DeltaTest, numbers_in_a_file_without_a_description_are_found_by_content) {
  const auto before = weights(200'000, 11);
  auto after = before;
  for (std::size_t i = 0; i < after.size(); ++i) after[i] += 1e-4F * before[after.size() - 1 - i];
  const Bytes base = as_type(before, ElementType::f32), target = as_type(after, ElementType::f32);
  expect_round_trip(base, target);
  EXPECT_LT(delta_of(base, target).size(), target.size() * 7 / 10);
}

Small small() { return testing::tuned_pair("bf16", testing::kDtypes[2], 32, 32); }

TEST(DamageTest, is_tried_on_every_mode_type_and_segment) {
  std::set<std::pair<TensorMode, ElementType>> tensors;
  std::set<SegmentKind> segments;
  bool factors = false;
  for (const Small& s : every_kind()) {
    EXPECT_EQ(*applied(s.delta, s.base), s.target) << s.name;
    MemorySource source(s.delta);
    const auto contents = inspect_delta(source);
    ASSERT_TRUE(contents) << s.name;
    for (const DeltaPart& part : contents->parts) {
      segments.insert(part.kind);
      if (part.kind != SegmentKind::tensor) continue;
      tensors.emplace(part.mode, part.type);
      factors = factors || part.rank > 0;
    }
  }
  EXPECT_EQ(segments.size(), 6U) << "copy, raw, zstd, prefix, tensor, stretch";
  EXPECT_EQ(tensors.size(), 4U + 4U + 3U) << "difference and alone of four types, grid of three";
  EXPECT_TRUE(factors);
}

// Spare bits of a zstd frame may flip without any effect; the digest that is checked says so.
TEST(DamageTest, no_flipped_bit_gives_another_result) {
  for (const Small& s : every_kind()) {
    int harmless = 0;
    const std::size_t step = s.delta.size() > 250 ? 7 : 1;  // in bits: every byte at least once
    for (std::size_t at = 0; at < 8 * s.delta.size(); at += step) {
      const std::size_t byte = at / 8;
      Bytes damaged = s.delta;
      damaged[byte] ^= static_cast<std::uint8_t>(1 << at % 8);
      const auto result = applied(damaged, s.base);
      if (!result) continue;
      EXPECT_EQ(*result, s.target) << s.name << " byte " << byte;
      // The base's own digest in the header is compared only where the caller knows it: see below.
      if (byte < 24 || byte >= 56) ++harmless;
    }
    EXPECT_LT(harmless, 64) << s.name;
  }
}

// As a thief of the disk or a failing one might: the base turns into another in the middle.
class ChangingSource final : public ByteSource {
 public:
  ChangingSource(ByteView bytes, Bytes& base, std::size_t when, std::size_t where)
      : source_(bytes), base_(base), when_(when), where_(where) {}
  Status read(std::span<std::uint8_t> out) override {
    if (reads++ == when_) base_[where_] ^= 0x41;
    return source_.read(out);
  }
  std::size_t reads = 0;

 private:
  MemorySource source_;
  Bytes& base_;
  std::size_t when_, where_;
};

TEST(DamageTest, a_base_that_changes_while_it_is_read_gives_no_other_result) {
  SeededRng rng(18);
  int refused = 0;
  for (const Small& s : every_kind()) {
    if (s.base.empty()) continue;
    for (int i = 0; i < 60; ++i) {
      Bytes base = s.base;
      ChangingSource source(s.delta, base, rng.below(40), rng.below(base.size()));
      MemorySink sink;
      const Status status = apply_delta(source, base, {}, sink);
      EXPECT_TRUE(!status || sink.bytes == s.target) << s.name;
      refused += status ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 50) << "most changes must matter";
}

// The digest finds whatever is wrong, but only at the end: a tensor's chunks tell at once.
TEST(DamageTest, a_damaged_chunk_is_found_before_the_digest_is_looked_at) {
  std::set<std::string> said;
  for (const Small& s : every_kind()) {
    const std::size_t last = s.delta.size() - 2;  // of the last chunk, where the delta ends with a tensor
    Bytes damaged = s.delta;
    damaged[last] ^= 0x10;
    const auto result = applied(damaged, s.base);
    if (!result) said.insert(s.name + ": " + result.error().message());
  }
  for (const char* sentence : {"I8, alone: a tensor's chunk is damaged", "I8, difference: a tensor's chunk is damaged",
                               "F32, grid: a snapped tensor's chunk is damaged"})
    EXPECT_TRUE(said.contains(sentence)) << sentence;
}

TEST(DamageTest, another_base_of_the_same_size_gives_no_result) {
  for (const Small& s : every_kind()) {
    if (s.base.empty()) continue;
    Bytes other(s.base.size());
    SeededRng(19).fill(other);
    for (const Bytes& wrong : {other, Bytes(s.base.size())}) EXPECT_FALSE(applied(s.delta, wrong)) << s.name;
    EXPECT_CODE(applied(s.delta, ByteView(s.base).first(s.base.size() - 1)), Code::digest_mismatch) << s.name;
  }
}

TEST(DamageTest, a_target_larger_than_its_segments_or_smaller_is_refused) {
  const Small s = small();
  for (int change : {-1, 1, 1000}) {
    Bytes damaged = s.delta;  // the target's size, at 16
    const std::uint64_t size = s.target.size() + static_cast<std::uint64_t>(change);
    for (unsigned i = 0; i < 8; ++i) damaged[16 + i] = static_cast<std::uint8_t>(size >> 8 * i);
    EXPECT_CODE(applied(damaged, s.base), Code::malformed);
  }
}

TEST(DamageTest, a_delta_for_another_base_or_target_is_refused_before_anything_is_made) {
  const Small s = small();
  ApplyLimits limits;
  limits.base = crypto::sha256(std::string_view("another"));
  EXPECT_CODE(applied(s.delta, s.base, limits), Code::digest_mismatch);
  limits.base = crypto::sha256(s.base);
  limits.target = crypto::sha256(std::string_view("another"));
  EXPECT_CODE(applied(s.delta, s.base, limits), Code::digest_mismatch);
  limits.target = crypto::sha256(s.target);
  EXPECT_TRUE(applied(s.delta, s.base, limits));
  limits.max_target = s.target.size() - 1;
  EXPECT_CODE(applied(s.delta, s.base, limits), Code::too_large);
}

TEST(DamageTest, a_base_that_changed_unnoticed_gives_no_result) {
  const Small s = small();
  for (std::size_t at = 0; at < s.base.size(); at += 37) {
    Bytes other = s.base;
    other[at] ^= 0x10;
    const auto result = applied(s.delta, other);
    EXPECT_FALSE(result.has_value() && *result != s.target) << at;
  }
  EXPECT_CODE(applied(s.delta, ByteView(s.base).first(s.base.size() - 1)), Code::digest_mismatch);
}

TEST(DamageTest, a_delta_cut_short_anywhere_is_refused) {
  for (const Small& s : every_kind())
    for (std::size_t size = 0; size < s.delta.size(); ++size)
      EXPECT_FALSE(applied(ByteView(s.delta).first(size), s.base)) << s.name << " " << size;
}

TEST(DamageTest, random_bytes_never_do_more_than_fail) {
  SeededRng rng(14);
  const Small s = small();
  for (int i = 0; i < 3000; ++i) {
    Bytes junk(ByteView(s.delta).begin(), ByteView(s.delta).begin() + kHeaderBytes);
    Bytes tail(rng.below(200));
    rng.fill(tail);
    if (!tail.empty()) tail[0] %= 6;
    junk.insert(junk.end(), tail.begin(), tail.end());
    EXPECT_FALSE(applied(junk, s.base));
  }
}

TEST(DeltaTest, the_same_pair_gives_the_same_delta) {
  const Small a = small(), b = small();
  EXPECT_EQ(a.delta, b.delta);
}

TEST(DeltaTest, is_never_larger_than_a_package_by_more_than_a_thousandth) {
  SeededRng rng(16);
  Bytes noise(150'000), unrelated(150'000), repeated;
  rng.fill(noise);
  rng.fill(unrelated);
  while (repeated.size() < 120'000)
    for (char c : std::string_view("a sentence that comes again and again, "))
      repeated.push_back(static_cast<std::uint8_t>(c));
  Bytes numbers = as_type(weights(30'000, 17), ElementType::f32);
  for (const Bytes* target : {&noise, &repeated, &numbers}) {
    Bytes package(ZSTD_compressBound(target->size()));
    package.resize(ZSTD_compress(package.data(), package.size(), target->data(), target->size(), 19));
    EXPECT_LE(double(delta_of(unrelated, *target).size()), 1.001 * double(package.size()) + kHeaderBytes + 64);
    EXPECT_LE(double(delta_of({}, *target).size()), 1.001 * double(package.size()) + kHeaderBytes + 64);
  }
}

TEST(InspectTest, tells_the_parts_without_a_base) {
  const Small s = small();
  MemorySource source(s.delta);
  const auto contents = inspect_delta(source);
  ASSERT_TRUE(contents) << contents.error().message();
  EXPECT_EQ(contents->header.target, crypto::sha256(s.target));
  std::uint64_t plain = 0, coded = kHeaderBytes + 1;
  for (const DeltaPart& part : contents->parts) {
    EXPECT_EQ(part.offset, plain);
    plain += part.plain;
    coded += part.coded;
  }
  EXPECT_EQ(plain, s.target.size());
  EXPECT_EQ(coded, s.delta.size());
}

TEST(InspectTest, tells_where_in_the_base_each_part_has_its_counterpart) {
  const Small s = small();
  MemorySink sink;
  const auto made = make_delta(s.base, s.target, sink);
  ASSERT_TRUE(made);
  MemorySource source(sink.bytes);
  const auto seen = inspect_delta(source);
  ASSERT_TRUE(seen) << seen.error().message();
  ASSERT_EQ(seen->parts.size(), made->size());
  std::size_t with_base = 0;
  for (std::size_t i = 0; i < made->size(); ++i) {
    const DeltaPart &told = (*made)[i], &read = seen->parts[i];
    EXPECT_EQ(read.base, told.base) << i;
    EXPECT_EQ(read.offset, told.offset) << i;
    with_base += read.base ? 1 : 0;
    if (read.kind == SegmentKind::copy) {
      EXPECT_TRUE(std::equal(s.base.begin() + static_cast<std::ptrdiff_t>(*read.base),
                             s.base.begin() + static_cast<std::ptrdiff_t>(*read.base + read.plain),
                             s.target.begin() + static_cast<std::ptrdiff_t>(read.offset)));
    }
  }
  EXPECT_GT(with_base, 0U);
}

TEST(InspectTest, sizes_that_contradict_each_other_are_refused) {
  const Small s = small();
  constexpr std::size_t kBaseSize = 8, kTargetSize = 16;  // where the header holds them
  const auto inspected = [&](std::size_t field, std::uint64_t size) {
    Bytes delta = s.delta;
    for (std::size_t i = 0; i < 8; ++i) delta[field + i] = static_cast<std::uint8_t>(size >> 8 * i);
    MemorySource source(delta);
    const auto seen = inspect_delta(source);
    return seen ? Code::ok : seen.error().code();
  };
  EXPECT_EQ(inspected(kTargetSize, s.target.size()), Code::ok);
  for (const std::uint64_t size : {s.target.size() - 1, s.target.size() + 1, std::size_t{0}})
    EXPECT_EQ(inspected(kTargetSize, size), Code::malformed) << size;
  EXPECT_EQ(inspected(kBaseSize, s.base.size() / 2), Code::malformed);
}

}  // namespace
}  // namespace drover::delta
