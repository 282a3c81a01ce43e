#include "common/delta/container.h"

#include <gtest/gtest.h>

#include "common/delta/container_formats.h"
#include "common/delta/delta.h"
#include "common/delta/protobuf.h"
#include "tests/unit/delta/containers.h"

namespace drover::delta {
namespace {

using namespace testing;

struct Format {
  const char* name;
  Bytes (*write)(const Tensors&);
  bool described;  // says itself where its tensors are
};
void PrintTo(const Format& format, std::ostream* out) { *out << format.name; }

NamedTensor tensor(const std::string& name, const char* dtype, ElementType type, std::vector<std::uint64_t> shape,
                   std::uint64_t seed) {
  std::size_t count = 1;
  for (std::uint64_t side : shape) count *= side;
  return {name, dtype, std::move(shape), as_type(weights(count, seed), type)};
}

Tensors model() {
  return {tensor("first", "F32", ElementType::f32, {40, 64}, 1),
          tensor("conv", "F16", ElementType::f16, {32, 3, 3, 8}, 2),
          tensor("wide", "BF16", ElementType::bf16, {24, 100}, 3), tensor("bytes", "I8", ElementType::i8, {50, 64}, 4),
          tensor("bias", "F32", ElementType::f32, {33}, 5)};
}

NamedTensor tuned_f32(const std::string& name, std::uint64_t rows, std::uint64_t seed) {
  const auto before = weights(rows * 64, seed);
  return {name, "F32", {rows, 64}, as_type(tuned(before, rows, 64, 77), ElementType::f32)};
}

class EveryFormat : public ::testing::TestWithParam<Format> {
 protected:
  Bytes write(const Tensors& tensors) const { return GetParam().write(tensors); }
  // Bytes of a delta that is seen to give `target` back.
  static std::size_t delta_size(const Bytes& base, const Bytes& target) {
    MemorySink made, result;
    EXPECT_TRUE(make_delta(base, target, made));
    MemorySource source(made.bytes);
    const Status status = apply_delta(source, base, {}, result);
    EXPECT_TRUE(status) << status.error().message();
    EXPECT_EQ(result.bytes, target);
    return made.bytes.size();
  }
};

TEST_P(EveryFormat, tensors_are_found_with_their_names_types_shapes_and_places) {
  if (!GetParam().described) GTEST_SKIP() << "raw numbers have no description";
  const Tensors wanted = model();
  const Bytes file = write(wanted);
  const auto found = find_tensors(file);
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(found[i].name, wanted[i].name);
    EXPECT_EQ(found[i].shape.rows, wanted[i].shape.size() > 1 ? wanted[i].shape[0] : 1);
    ASSERT_EQ(found[i].shape.bytes(), wanted[i].data.size());
    EXPECT_TRUE(std::equal(wanted[i].data.begin(), wanted[i].data.end(),
                           file.begin() + static_cast<std::ptrdiff_t>(found[i].offset)));
  }
  EXPECT_EQ(found[1].shape.columns, 72U);
  EXPECT_EQ(found[2].shape.type, ElementType::bf16);
}

TEST_P(EveryFormat, what_is_frozen_costs_nothing_beside_what_changed) {
  Tensors before = model(), after = before;
  after[0] = tuned_f32("first", 40, 1);
  const std::size_t changed = after[0].data.size();
  const std::size_t size = delta_size(write(before), write(after));
  EXPECT_LT(size, changed * 8 / 10 + 200);
  EXPECT_GT(size, changed / 4);
}

TEST_P(EveryFormat, tensors_may_be_inserted_reordered_renamed_and_resized) {
  Tensors before = model();
  const NamedTensor fresh = tensor("fresh", "F32", ElementType::f32, {16, 24}, 9);
  Tensors after = {before[3], fresh,     tensor("first", "F32", ElementType::f32, {48, 64}, 1),
                   before[2], before[1], before[4]};
  after[3].name = "renamed";
  const std::size_t size = delta_size(write(before), write(after));
  if (!GetParam().described) return;  // exact all the same
  EXPECT_LT(size, fresh.data.size() + 8 * 64 * 4 + 700);
}

TEST_P(EveryFormat, a_file_cut_short_or_damaged_does_no_harm) {
  const Bytes good =
      write({tensor("a", "F32", ElementType::f32, {8, 8}, 1), tensor("b", "I8", ElementType::i8, {4, 9}, 2)});
  for (std::size_t size = 0; size < good.size(); ++size)
    for (const TensorSpan& found : find_tensors(ByteView(good).first(size)))
      ASSERT_LE(found.offset + found.shape.bytes(), size);
  SeededRng rng(3);
  for (int i = 0; i < 20'000; ++i) {
    Bytes damaged = good;
    for (int k = 0; k < 3; ++k) damaged[rng.below(damaged.size())] = static_cast<std::uint8_t>(rng.next());
    for (const TensorSpan& found : find_tensors(damaged)) ASSERT_LE(found.offset + found.shape.bytes(), damaged.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, EveryFormat,
                         ::testing::Values(Format{"onnx", onnx, true}, Format{"safetensors", safetensors, true},
                                           Format{"tflite", tflite, true}, Format{"gguf", gguf, true},
                                           Format{"raw", raw, false}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(GgufTest, blocks_of_eight_bits_are_rows_of_bytes) {
  Bytes blocks(6 * 2 * 34);
  SeededRng(5).fill(blocks);
  const auto found = find_tensors(gguf({{"q", "Q8_0", {6, 64}, blocks}}));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].shape.type, ElementType::i8);
  EXPECT_EQ(found[0].shape.rows, 6U);
  EXPECT_EQ(found[0].shape.columns, 68U);
}

TEST(ProtobufTest, a_field_that_is_longer_than_its_message_is_none) {
  for (const Bytes& message :
       {Bytes{1 << 3 | 2, 3, 7, 7}, Bytes{1 << 3 | 5, 7, 7, 7}, Bytes{1 << 3 | 1, 7, 7, 7, 7, 7, 7, 7}})
    EXPECT_FALSE(Fields(message).next());
  const Bytes whole = {1 << 3 | 2, 2, 7, 8};
  Fields field(whole);
  ASSERT_TRUE(field.next());
  EXPECT_EQ(field.bytes.size(), 2U);
}

TEST(ShapeTest, has_no_side_of_zero_and_no_size_that_overflows) {
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 40;
  EXPECT_TRUE(shape_of(ElementType::i8, {kLargest}));
  EXPECT_FALSE(shape_of(ElementType::i8, {kLargest + 1}));
  EXPECT_FALSE(shape_of(ElementType::i8, {4, 0, 4}));
  EXPECT_FALSE(shape_of(ElementType::i8, {1, kLargest, kLargest}));
  EXPECT_FALSE(shape_of(ElementType::i8, {kLargest, kLargest}));
}

Bytes safetensors_of(const std::string& header, std::size_t data) {
  Bytes out;
  put_fixed(out, header.size(), 8);
  append(out, as_bytes(header));
  out.resize(out.size() + data);
  return out;
}

TEST(SafetensorsTest, a_tensor_that_ends_before_it_begins_is_none) {
  EXPECT_TRUE(
      find_tensors(safetensors_of(R"({"w":{"dtype":"I8","shape":[6],"data_offsets":[18446744073709551615,5]}})", 8))
          .empty());
}

TEST(SafetensorsTest, of_tensors_that_overlap_one_is_taken) {
  const std::string one = R"("dtype":"I8","shape":[6],"data_offsets":[0,6])",
                    other = R"("dtype":"I8","shape":[6],"data_offsets":[3,9])";
  EXPECT_EQ(find_tensors(safetensors_of("{\"v\":{" + one + "},\"w\":{" + other + "}}", 16)).size(), 1U);
}

// A file with these metadata and one tensor of a single fp32 number, of as many sides of 1.
Bytes one_number_gguf(std::uint64_t pairs, ByteView metadata, std::uint64_t sides = 1, std::uint64_t tensors = 1) {
  Bytes out;
  append(out, as_bytes("GGUF"));
  put_fixed(out, 3, 4);
  put_fixed(out, tensors, 8);
  put_fixed(out, pairs, 8);
  append(out, metadata);
  for (std::uint64_t i = 0; i < tensors; ++i) {
    put_text(out, "");
    put_fixed(out, sides, 4);
    for (std::uint64_t side = 0; side < sides; ++side) put_fixed(out, 1, 8);
    put_fixed(out, 0, 4);
    put_fixed(out, 0, 8);
  }
  out.resize((out.size() + 31) / 32 * 32 + 4);
  return out;
}

TEST(GgufTest, descriptions_over_their_bounds_are_none) {
  EXPECT_EQ(gguf_tensors(one_number_gguf(0, {})).size(), 1U);
  EXPECT_EQ(gguf_tensors(one_number_gguf(0, {}, 16)).size(), 1U);
  EXPECT_TRUE(gguf_tensors(one_number_gguf(0, {}, 17)).empty());
  EXPECT_TRUE(gguf_tensors(one_number_gguf(0, {}, 1, kMaxTensors + 1)).empty());
  Bytes alignment, array;
  put_text(alignment, "general.alignment");
  put_fixed(alignment, 4, 4);
  put_fixed(alignment, 0, 4);
  EXPECT_TRUE(gguf_tensors(one_number_gguf(1, alignment)).empty());
  put_text(array, "of doubles whose bytes turn round to none");
  put_fixed(array, 9, 4);
  put_fixed(array, 12, 4);
  put_fixed(array, std::uint64_t{1} << 61, 8);
  EXPECT_TRUE(gguf_tensors(one_number_gguf(1, array)).empty());
}

}  // namespace
}  // namespace drover::delta
