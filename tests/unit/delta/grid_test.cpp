#include "common/delta/grid.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "common/delta/container.h"
#include "common/delta/delta.h"
#include "common/delta/grid_codec.h"
#include "common/delta/snap.h"
#include "tests/unit/delta/models.h"

namespace drover::delta {
namespace {

using testing::as_type;
using testing::NamedTensor;
using testing::safetensors;
using testing::tuned;
using testing::weights;

constexpr std::size_t kRows = 96, kColumns = 128;

struct Case {
  ElementType type;
  const char* dtype;
};
void PrintTo(const Case& of, std::ostream* out) { *out << of.dtype; }

struct Models {
  Bytes base, exact, snapped;
  SnapReport report;
};

Bytes one_matrix(const Case& of, const std::vector<float>& numbers) {
  const NamedTensor bias{"bias", "F32", {kRows}, as_type(weights(kRows, 99), ElementType::f32)};
  return safetensors({{"w", of.dtype, {kRows, kColumns}, as_type(numbers, of.type)}, bias});
}

Models snapped_models(const Case& of, double k) {
  const auto before = weights(kRows * kColumns, 1, 0.02), after = tuned(before, kRows, kColumns, 2);
  Models models{one_matrix(of, before), one_matrix(of, after), one_matrix(of, after), {}};
  const auto report = snap_model(models.base, k, models.snapped);
  EXPECT_TRUE(report) << report.error().message();
  if (report) models.report = *report;
  return models;
}

Bytes delta_of(ByteView base, ByteView target) {
  MemorySink sink;
  EXPECT_TRUE(make_delta(base, target, sink));
  return sink.bytes;
}

Result<Bytes> applied(ByteView delta, ByteView base) {
  MemorySource source(delta);
  MemorySink sink;
  TRY(apply_delta(source, base, {}, sink));
  return std::move(sink.bytes);
}

TEST(GridTest, steps_are_numbered_in_order_and_found_again) {
  for (int number : {kMinStep, -1605, -1, 0, 1, 15, 16, 17, kMaxStep}) {
    EXPECT_EQ(step_at_most(step_size(number)), number);
    if (number == kMaxStep) continue;
    EXPECT_EQ(step_at_most(std::nextafter(step_size(number + 1), 0.0)), number);
  }
  EXPECT_EQ(step_size(0), 1.0);
  EXPECT_EQ(step_size(-16), 0.5);
  EXPECT_EQ(step_size(8), 1.5);
  EXPECT_FALSE(step_at_most(0));
  EXPECT_FALSE(step_at_most(std::numeric_limits<double>::infinity()));
  EXPECT_FALSE(step_at_most(std::nan("")));
}

// Worked out by hand: these bits are what every architecture must make.
TEST(GridTest, elements_have_the_bits_of_the_nearest_number) {
  EXPECT_EQ(grid_element<F32>(0x3f800000, 0x1p-24, 1), 0x3f800000U);   // half an ulp: to the even one
  EXPECT_EQ(grid_element<F32>(0x3f800001, 0x1p-24, 1), 0x3f800002U);   // half an ulp: to the even one
  EXPECT_EQ(grid_element<F32>(0x3f800000, 0x1p-24, -3), 0x3f7ffffdU);  // below 1 they are twice as close
  EXPECT_EQ(grid_element<F32>(0x80000000, 0.5, 0), 0x80000000U);       // a place of 0 keeps the base's bits
  EXPECT_EQ(grid_element<Bf16>(0x3f80, 0x1.8p-9, 1), 0x3f80U);         // 1 and 3/8 of an ulp
  EXPECT_EQ(grid_element<Bf16>(0x3f80, 0x1.8p-8, 1), 0x3f81U);         // 1 and 3/4 of an ulp
  EXPECT_EQ(grid_element<F16>(0x3c00, 0x1p-11, 1), 0x3c00U);           // half an ulp
  EXPECT_EQ(grid_element<F16>(0x3c00, 0x1p-11, 3), 0x3c02U);           // one and a half
  EXPECT_EQ(grid_element<F16>(0x0001, 0x1p-24, 3), 0x0004U);           // subnormal
  EXPECT_EQ(grid_element<F16>(0x03ff, 0x1p-24, 1), 0x0400U);           // and out of it
  EXPECT_EQ(grid_element<F16>(0xbc00, 0x1p-1, 1), 0xb800U);
}

class EveryFloat : public ::testing::TestWithParam<Case> {};

TEST_P(EveryFloat, a_snapped_matrix_comes_back_exactly_at_a_fraction_of_the_bytes) {
  const Models models = snapped_models(GetParam(), 1.0);
  const Bytes delta = delta_of(models.base, models.snapped);
  const auto back = applied(delta, models.base);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(*back, models.snapped);
  const std::size_t bits_a_weight = GetParam().type == ElementType::f32 ? 2 : 4;  // narrower types round the grid away
  EXPECT_LT(delta.size(), kRows * kColumns * bits_a_weight / 8);
  EXPECT_LT(delta.size(), delta_of(models.base, models.exact).size());
}

TEST_P(EveryFloat, snapping_moves_no_weight_by_more_than_half_a_step) {
  const Models models = snapped_models(GetParam(), 0.5);
  EXPECT_EQ(models.report.tensors, 1U);
  EXPECT_EQ(models.report.weights, kRows * kColumns);
  EXPECT_GT(models.report.lost, 0.05);
  EXPECT_LT(models.report.lost, 0.5 / std::sqrt(12.0) * 1.1);  // the noise of rounding to half a deviation
}

INSTANTIATE_TEST_SUITE_P(Types, EveryFloat,
                         ::testing::Values(Case{ElementType::f32, "F32"}, Case{ElementType::f16, "F16"},
                                           Case{ElementType::bf16, "BF16"}),
                         [](const auto& test) { return std::string(test.param.dtype); });

TEST(GridTest, a_wider_grid_costs_fewer_bytes_and_loses_more) {
  const Case f32{ElementType::f32, "F32"};
  const Models fine = snapped_models(f32, 0.25), wide = snapped_models(f32, 2);
  EXPECT_LT(delta_of(wide.base, wide.snapped).size(), delta_of(fine.base, fine.snapped).size());
  EXPECT_LT(fine.report.lost, wide.report.lost);
}

TEST(GridTest, a_low_rank_prediction_is_used_and_pays) {
  const Models models = snapped_models({ElementType::f32, "F32"}, 0.5);
  MemorySink sink;
  const auto parts = make_delta(models.base, models.snapped, sink);
  ASSERT_TRUE(parts);
  const auto matrix = std::find_if(parts->begin(), parts->end(), [](const DeltaPart& p) { return p.rows == kRows; });
  ASSERT_NE(matrix, parts->end());
  EXPECT_EQ(matrix->mode, TensorMode::grid);
  EXPECT_GT(matrix->rank, 0U);
  MemorySource source(sink.bytes);
  const auto seen = inspect_delta(source);
  ASSERT_TRUE(seen) << seen.error().message();
  EXPECT_EQ(seen->parts.size(), parts->size());
}

TEST(GridTest, no_rank_is_looked_for_where_another_mode_costs_far_less) {
  const TensorShape shape{ElementType::f32, 128, 128};
  const Bytes base = as_type(weights(shape.elements(), 1), ElementType::f32);
  Bytes snapped = base;
  for (std::size_t i = 0; i < shape.elements(); ++i) {
    const int place = (static_cast<int>(i / 128 % 13) - 6) * (static_cast<int>(i % 128 % 11) - 5);
    const std::uint32_t bits = grid_element<F32>(load<F32>(base.data() + 4 * i), step_size(-160), place);
    std::memcpy(snapped.data() + 4 * i, &bits, sizeof bits);
  }
  const auto grid = find_grid(shape, base, snapped);
  ASSERT_TRUE(grid);
  const EncodedTensor with = encode_grid(shape, base, *grid), without = encode_grid(shape, base, *grid, 1);
  EXPECT_GT(with.rank, 0U);
  EXPECT_EQ(without.rank, 0U);
  EXPECT_LT(with.bytes.size(), without.bytes.size());
}

TEST(GridTest, pruned_weights_stay_zero_and_odd_ones_as_they_were) {
  auto before = weights(64 * 64, 5), after = tuned(before, 64, 64, 6);
  for (std::size_t i = 0; i < before.size(); i += 3) before[i] = after[i] = 0;
  before[1] = after[1] = -0.0F;
  const Bytes base = safetensors({{"w", "F32", {64, 64}, as_type(before, ElementType::f32)}});
  Bytes model = safetensors({{"w", "F32", {64, 64}, as_type(after, ElementType::f32)}});
  ASSERT_TRUE(snap_model(base, 1, model));
  const auto back = applied(delta_of(base, model), base);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, model);
  const auto tensor = find_tensors(model).front();
  for (std::size_t i = 0; i < before.size(); i += 3)
    EXPECT_TRUE(F32::is_zero(load<F32>(model.data() + tensor.offset + 4 * i)));
}

TEST(GridTest, exact_changes_stand_on_no_grid) {
  const auto before = weights(kRows * kColumns, 1, 0.02), after = tuned(before, kRows, kColumns, 2);
  EXPECT_FALSE(find_grid({ElementType::f32, kRows, kColumns}, as_type(before, ElementType::f32),
                         as_type(after, ElementType::f32)));
}

TEST(GridTest, what_cannot_be_snapped_is_refused_and_left_alone) {
  const auto numbers = weights(64 * 64, 7), other = weights(64 * 64, 8);
  const auto file = [](const std::string& name, const char* dtype, std::uint64_t rows, const std::vector<float>& of,
                       ElementType type) {
    return safetensors({{name, dtype, {rows, 4096 / rows}, as_type(of, type)}});
  };
  auto broken = numbers;
  broken[17] = std::numeric_limits<float>::quiet_NaN();
  const Bytes base = file("w", "F32", 64, numbers, ElementType::f32);
  const struct {
    Bytes base, model;
    double k;
    const char* says;
  } cases[] = {
      {base, file("w", "F32", 64, other, ElementType::f32), 0, "above 0"},
      {base, file("w", "F32", 64, other, ElementType::f32), -1, "above 0"},
      {base, file("w", "F32", 64, other, ElementType::f32), std::nan(""), "above 0"},
      {base, file("w", "F32", 64, other, ElementType::f32), 17, "at most 16"},
      {base, file("v", "F32", 64, other, ElementType::f32), 1, "no tensor \"v\""},
      {base, file("w", "F32", 32, other, ElementType::f32), 1, "64 x 64 fp32 in the base and 32 x 128 fp32"},
      {base, file("w", "BF16", 64, other, ElementType::bf16), 1, "64 x 64 bf16"},
      {base, file("w", "F32", 64, broken, ElementType::f32), 1, "NaN"},
      {file("w", "F32", 64, broken, ElementType::f32), base, 1, "NaN"},
      {file("w", "I8", 64, numbers, ElementType::i8), file("w", "I8", 64, other, ElementType::i8), 1, "no weights"},
      {base, Bytes{1, 2, 3}, 1, "no weights"},
  };
  for (const auto& one : cases) {
    Bytes model = one.model;
    const auto report = snap_model(one.base, one.k, model);
    ASSERT_FALSE(report) << one.says;
    EXPECT_EQ(report.error().code(), Code::invalid_argument);
    EXPECT_NE(report.error().message().find(one.says), std::string::npos) << report.error().message();
    EXPECT_EQ(model, one.model);
  }
}

TEST(GridTest, flipped_bits_and_cuts_never_make_another_model) {
  const auto before = weights(32 * 64, 1, 0.02), after = tuned(before, 32, 64, 2);
  const Bytes base = safetensors({{"w", "F32", {32, 64}, as_type(before, ElementType::f32)}});
  Bytes model = safetensors({{"w", "F32", {32, 64}, as_type(after, ElementType::f32)}});
  ASSERT_TRUE(snap_model(base, 1, model));
  Bytes delta = delta_of(base, model);
  ASSERT_TRUE(applied(delta, base));
  for (std::size_t cut = 0; cut < delta.size(); cut += 7)
    EXPECT_FALSE(applied(ByteView(delta).first(cut), base)) << cut;
  for (std::size_t bit = 0; bit < delta.size() * 8; bit += 3) {
    delta[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    const auto back = applied(delta, base);
    EXPECT_TRUE(!back || *back == model) << bit;  // a flip may lie where nothing is read
    delta[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
  }
}

}  // namespace
}  // namespace drover::delta
