#include "common/delta/planner.h"

#include <gtest/gtest.h>

#include "tests/unit/delta/models.h"

namespace drover::delta {
namespace {

using testing::as_type;
using testing::safetensors;
using testing::weights;

// A protobuf field of bytes.
Bytes field(int number, ByteView bytes) {
  Bytes out = {static_cast<std::uint8_t>(number << 3 | 2)};
  put_varint(out, bytes.size());
  out.insert(out.end(), bytes.begin(), bytes.end());
  return out;
}

Bytes onnx_with(std::string_view name, std::uint8_t rows, std::uint8_t columns, std::uint8_t type, ByteView data) {
  Bytes tensor = {1 << 3, rows, 1 << 3, columns, 2 << 3, type};
  for (const Bytes& part : {field(8, as_bytes(name)), field(9, data)})
    tensor.insert(tensor.end(), part.begin(), part.end());
  const Bytes graph = field(5, tensor);
  Bytes model = {1 << 3, 8};
  const Bytes whole = field(7, graph);
  model.insert(model.end(), whole.begin(), whole.end());
  return model;
}

TEST(ContainerTest, finds_the_initialisers_of_an_onnx_file) {
  const Bytes data = as_type(weights(12 * 20, 1), ElementType::f32);
  const auto found = find_tensors(onnx_with("conv.weight", 12, 20, 1, data));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].name, "conv.weight");
  EXPECT_EQ(found[0].shape.rows, 12U);
  EXPECT_EQ(found[0].shape.columns, 20U);
}

TEST(ContainerTest, a_shape_that_does_not_fit_its_data_is_no_tensor) {
  EXPECT_TRUE(find_tensors(onnx_with("w", 12, 21, 1, as_type(weights(12 * 20, 1), ElementType::f32))).empty());
  EXPECT_TRUE(find_tensors(safetensors({{"w", "F32", {5, 5}, Bytes(99)}})).empty());
  EXPECT_TRUE(find_tensors(safetensors({{"w", "F32", {UINT64_MAX, UINT64_MAX}, Bytes(4)}})).empty());
}

TEST(ContainerTest, damaged_files_have_no_tensors_and_do_no_harm) {
  const Bytes good = safetensors({{"w", "F32", {8, 8}, as_type(weights(64, 2), ElementType::f32)}});
  SeededRng rng(3);
  for (int i = 0; i < 2000; ++i) {
    Bytes damaged = good;
    for (int k = 0; k < 3; ++k) damaged[rng.below(120)] = static_cast<std::uint8_t>(rng.next());
    for (const TensorSpan& tensor : find_tensors(damaged))
      EXPECT_LE(tensor.offset + tensor.shape.bytes(), damaged.size());
    EXPECT_LE(find_tensors(ByteView(good).first(rng.below(good.size()))).size(), 1U);
  }
}

TEST(PlannerTest, the_ranges_cover_the_target_in_order) {
  const Bytes base = safetensors({{"a", "F32", {40, 40}, as_type(weights(1600, 4), ElementType::f32)}});
  Bytes target =
      safetensors({{"a", "F32", {50, 40}, as_type(weights(2000, 5), ElementType::f32)}, {"b", "I8", {7}, Bytes(7)}});
  target.resize(target.size() + 700'001);
  std::uint64_t at = 0;
  for (const Range& range : plan_ranges(base, target)) {
    EXPECT_EQ(range.offset, at);
    EXPECT_GT(range.size, 0U);
    EXPECT_EQ(range.shape ? range.shape->bytes() : range.size, range.size);
    EXPECT_TRUE(!range.shape || !range.base || *range.base + range.size <= base.size());
    at += range.size;
  }
  EXPECT_EQ(at, target.size());
}

TEST(PlannerTest, tensors_are_matched_by_name_and_else_by_shape) {
  const Bytes x = as_type(weights(64, 6), ElementType::f32), y = as_type(weights(64, 7), ElementType::f32);
  const Bytes base = safetensors({{"x", "F32", {8, 8}, x}, {"y", "F32", {8, 8}, y}});
  const Bytes target = safetensors({{"y", "F32", {8, 8}, y}, {"z", "F32", {8, 8}, x}});
  const std::uint64_t data = base.size() - 512;
  std::vector<std::uint64_t> bases;
  for (const Range& range : plan_ranges(base, target))
    if (range.shape) bases.push_back(*range.base - data);
  EXPECT_EQ(bases, (std::vector<std::uint64_t>{256, 0}));
}

TEST(PlannerTest, long_vectors_become_rows_and_very_high_matrices_several) {
  const Bytes vector = safetensors({{"v", "I8", {10'000}, Bytes(10'000, 1)}}),
              high = safetensors({{"h", "I8", {70'000, 8}, Bytes(560'000, 1)}});
  const auto shapes = [](ByteView file) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> out;
    for (const Range& range : plan_ranges({}, file))
      if (range.shape) out.emplace_back(range.shape->rows, range.shape->columns);
    return out;
  };
  EXPECT_EQ(shapes(vector), (std::vector<std::pair<std::uint64_t, std::uint64_t>>{{9, 1024}, {1, 784}}));
  EXPECT_EQ(shapes(high), (std::vector<std::pair<std::uint64_t, std::uint64_t>>{{65'536, 8}, {4'464, 8}}));
}

}  // namespace
}  // namespace drover::delta
