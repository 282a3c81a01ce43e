#include "common/delta/rescale.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/delta/delta.h"
#include "common/delta/float_source.h"
#include "tests/unit/delta/models.h"

namespace drover::delta {
namespace {

using testing::tuned;
using testing::weights;

// ONNX as its own writers make it, as far as it matters here: lengths and numbers of protobuf.
void put_field(Bytes& out, std::uint64_t number, ByteView content) {
  put_varint(out, number << 3 | 2);
  put_varint(out, content.size());
  out.insert(out.end(), content.begin(), content.end());
}
void put_number(Bytes& out, std::uint64_t number, std::uint64_t value) {
  put_varint(out, number << 3);
  put_varint(out, value);
}

Bytes initialiser(const std::string& name, std::uint64_t type, const std::vector<std::uint64_t>& sides, ByteView data) {
  Bytes out;
  for (std::uint64_t side : sides) put_number(out, 1, side);
  put_number(out, 2, type);
  put_field(out, 8, as_bytes(name));
  put_field(out, 9, data);
  return out;
}

struct Net {
  std::vector<std::uint64_t> sides;
  std::uint64_t axis = 0;
  std::vector<std::int8_t> numbers;
  std::vector<float> scales;
  std::int8_t zero = 0;
};

Bytes onnx(const Net& net, bool scale_read_twice = false) {
  Bytes attribute, node, graph, model;
  put_field(attribute, 1, as_bytes("axis"));
  put_number(attribute, 3, net.axis);
  for (const char* input : {"w", "w_scale", "w_zero"}) put_field(node, 1, as_bytes(std::string_view(input)));
  put_field(node, 4, as_bytes("DequantizeLinear"));
  put_field(node, 5, attribute);
  put_field(graph, 1, node);
  if (scale_read_twice) {
    Bytes other;
    put_field(other, 1, as_bytes(std::string_view("w_scale")));
    put_field(other, 4, as_bytes(std::string_view("Identity")));
    put_field(graph, 1, other);
  }
  Bytes numbers(net.numbers.size()), scales(net.scales.size() * sizeof(float));
  std::memcpy(numbers.data(), net.numbers.data(), numbers.size());
  std::memcpy(scales.data(), net.scales.data(), scales.size());
  put_field(graph, 5, initialiser("w", 3, net.sides, numbers));
  put_field(graph, 5, initialiser("w_scale", 1, {net.scales.size()}, scales));
  put_field(graph, 5, initialiser("w_zero", 3, {1}, Bytes{static_cast<std::uint8_t>(net.zero)}));
  put_field(model, 7, graph);
  return model;
}

// Each row's largest weight becomes 127.
Net quantised(const std::vector<float>& of, std::size_t rows, std::size_t columns) {
  Net net{.sides = {rows, columns}, .axis = 0, .numbers = {}, .scales = {}};
  for (std::size_t i = 0; i < rows; ++i) {
    float most = 0;
    for (std::size_t j = 0; j < columns; ++j) most = std::max(most, std::fabs(of[i * columns + j]));
    net.scales.push_back(most / 127);
    for (std::size_t j = 0; j < columns; ++j)
      net.numbers.push_back(static_cast<std::int8_t>(std::lround(of[i * columns + j] / net.scales.back())));
  }
  return net;
}

std::size_t delta_size(ByteView base, ByteView model) {
  MemorySink sink;
  EXPECT_TRUE(make_delta(base, model, sink));
  return sink.bytes.size();
}

TEST(RescaleTest, weights_are_found_with_their_scales_along_the_axis) {
  const auto by_rows = find_quantised(onnx({{2, 3}, 0, {1, 2, 3, 4, 5, 6}, {1, 2}}));
  ASSERT_EQ(by_rows.size(), 1U);
  EXPECT_EQ(by_rows[0].name, "w");
  EXPECT_EQ(by_rows[0].channels, 2U);
  EXPECT_EQ(by_rows[0].inner, 3U);
  const auto by_columns = find_quantised(onnx({{2, 3}, 1, {1, 2, 3, 4, 5, 6}, {1, 2, 3}}));
  ASSERT_EQ(by_columns.size(), 1U);
  EXPECT_EQ(by_columns[0].channels, 3U);
  EXPECT_EQ(by_columns[0].inner, 1U);
  EXPECT_TRUE(find_quantised(onnx({{2, 3}, 1, {1, 2, 3, 4, 5, 6}, {1, 2}})).empty());  // two scales for three columns
  EXPECT_TRUE(find_quantised(onnx({{2, 3}, 0, {1, 2, 3, 4, 5, 6}, {1, 2}}, true)).empty());  // somebody else reads them
  EXPECT_TRUE(find_quantised(Bytes{7, 7, 7}).empty());
}

TEST(RescaleTest, numbers_move_onto_the_scales_of_the_base) {
  const Bytes base = onnx({{2, 3}, 0, {10, 20, 30, 10, 20, 30}, {1.0F, 0.5F}});
  Bytes model = onnx({{2, 3}, 0, {10, -20, 31, 100, 20, 0}, {1.1F, 0.25F}});
  const auto report = keep_scales(base, {}, model);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(model, onnx({{2, 3}, 0, {11, -22, 34, 50, 10, 0}, {1.0F, 0.5F}}));
  EXPECT_EQ(report->kept, 2U);
  EXPECT_EQ(report->tensors, 1U);
  EXPECT_EQ(report->saturated, 0U);
  EXPECT_EQ(report->changed, 6U);
}

TEST(RescaleTest, scales_of_columns_are_each_their_own) {
  const Bytes base = onnx({{2, 2}, 1, {1, 1, 1, 1}, {1.0F, 0.5F}});
  Bytes model = onnx({{2, 2}, 1, {10, 10, 20, 20}, {2.0F, 2.0F}});
  ASSERT_TRUE(keep_scales(base, {}, model));
  EXPECT_EQ(model, onnx({{2, 2}, 1, {20, 40, 40, 80}, {1.0F, 0.5F}}));
}

TEST(RescaleTest, a_row_that_grew_a_little_is_cut_off_and_one_that_grew_much_keeps_its_scale) {
  const std::vector<std::int8_t> row = {127, 3, -4, 5, -6, 7, 8, 9, 1, 2, 3, 4};
  const Bytes base = onnx({{1, 12}, 0, row, {1.0F}});
  Bytes little = onnx({{1, 12}, 0, row, {1.008F}}), much = onnx({{1, 12}, 0, row, {1.5F}});
  const Bytes given = much;
  const auto cut = keep_scales(base, {}, little), own = keep_scales(base, {}, much);
  ASSERT_TRUE(cut && own);
  EXPECT_EQ(cut->saturated, 1U);
  EXPECT_EQ(little, base);  // everything else rounds to what it was
  EXPECT_EQ(own->kept, 0U);
  EXPECT_EQ(own->scales, 1U);
  EXPECT_EQ(much, given);
}

TEST(RescaleTest, a_delta_between_versions_on_one_scale_is_smaller) {
  constexpr std::size_t kRows = 64, kColumns = 256;
  const auto before = weights(kRows * kColumns, 1), after = tuned(before, kRows, kColumns, 2);
  const Bytes base = onnx(quantised(before, kRows, kColumns)), own = onnx(quantised(after, kRows, kColumns));
  Bytes kept = own;
  const auto report = keep_scales(base, {}, kept);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->kept, report->scales);
  EXPECT_LT(report->changed, report->changed_own);
  EXPECT_LT(delta_size(base, kept), delta_size(base, own));
}

TEST(RescaleTest, what_does_not_fit_is_refused_and_left_alone) {
  const Net fine{{2, 2}, 0, {1, 2, 3, 4}, {1, 1}};
  Net zero = fine, infinite = fine, shifted = fine, other = fine;
  zero.scales[1] = 0;
  infinite.scales[0] = std::numeric_limits<float>::infinity();
  shifted.zero = 3;
  other.sides = {1, 4};
  other.scales = {1};
  const struct {
    Bytes base, model;
    const char* says;
  } cases[] = {{onnx(fine), onnx(zero), "positive"},         {onnx(zero), onnx(fine), "positive"},
               {onnx(fine), onnx(infinite), "finite"},       {onnx(fine), onnx(shifted), "zero points"},
               {onnx(fine), onnx(other), "another shape"},   {onnx(fine), Bytes{1}, "no int8 weights"},
               {Bytes{}, onnx(fine), "no quantised weights"}};
  for (const auto& one : cases) {
    Bytes model = one.model;
    const auto report = keep_scales(one.base, {}, model);
    ASSERT_FALSE(report) << one.says;
    EXPECT_NE(report.error().message().find(one.says), std::string::npos) << report.error().message();
    EXPECT_EQ(model, one.model);
  }
}

// --- from the float model
// ---------------------------------------------------------------------------------------------
struct Stored {
  std::string name;
  std::vector<std::uint64_t> sides;
  std::vector<float> numbers;
};

Bytes float_onnx(const std::vector<Stored>& tensors) {
  Bytes graph, model;
  for (const Stored& one : tensors) {
    Bytes data(one.numbers.size() * sizeof(float));
    std::memcpy(data.data(), one.numbers.data(), data.size());
    put_field(graph, 5, initialiser(one.name, 1, one.sides, data));
  }
  put_field(model, 7, graph);
  return model;
}

TEST(RescaleTest, weights_are_rounded_once_from_the_floats) {
  const Bytes base = onnx({{1, 4}, 0, {10, 20, 30, 127}, {1.0F}});
  const Bytes source = float_onnx({{"w", {1, 4}, {10.4F, 20.6F, -30.3F, 126.0F}}});
  Bytes model = onnx({{1, 4}, 0, {10, 21, -31, 127}, {0.9921F}});  // 10.4, 20.6 and -30.3 over the scale
  const auto report = keep_scales(base, source, model);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(model, onnx({{1, 4}, 0, {10, 21, -30, 126}, {1.0F}}));  // from the numbers alone: 10, 21, -31, 126
  EXPECT_EQ(report->changed, 3U);
}

TEST(RescaleTest, a_number_that_is_as_near_stays_as_it_was) {
  const Bytes base = onnx({{1, 4}, 0, {10, 21, 30, 127}, {1.0F}});
  const Bytes source = float_onnx({{"w", {1, 4}, {10.5F, 20.5F, 30.5F, 127.0F}}});
  Bytes model = onnx({{1, 4}, 0, {11, 20, 30, 127}, {1.0F}});
  ASSERT_TRUE(keep_scales(base, source, model));
  EXPECT_EQ(model, base);
}

TEST(RescaleTest, on_its_own_scales_a_model_stays_as_it_is) {
  const Bytes base = onnx({{2, 4}, 0, {-128, 2, 3, 4, 127, -127, 0, -1}, {0.3F, 7.7e-5F}});
  Bytes model = base;
  const auto report = keep_scales(base, {}, model);
  ASSERT_TRUE(report);
  EXPECT_EQ(model, base);
  EXPECT_EQ(report->kept, 2U);
  EXPECT_EQ(report->changed, 0U);
}

TEST(RescaleTest, each_scale_is_kept_or_not_by_itself) {
  const Bytes base = onnx({{2, 4}, 0, {127, 2, 3, 4, 127, 2, 3, 4}, {1.0F, 1.0F}});
  Bytes model = onnx({{2, 4}, 0, {127, 2, 3, 5, 127, 2, 3, 5}, {1.0F, 2.0F}});  // the second row has doubled
  const auto report = keep_scales(base, {}, model);
  ASSERT_TRUE(report);
  EXPECT_EQ(model, onnx({{2, 4}, 0, {127, 2, 3, 5, 127, 2, 3, 5}, {1.0F, 2.0F}}));
  EXPECT_EQ(report->kept, 1U);
  EXPECT_EQ(report->scales, 2U);
  EXPECT_EQ(report->weights, 4U);
}

TEST(RescaleTest, floats_give_the_numbers_that_quantising_with_the_bases_scales_gives) {
  constexpr std::size_t kRows = 64, kColumns = 256;
  const auto before = weights(kRows * kColumns, 1), after = tuned(before, kRows, kColumns, 2);
  const Net was = quantised(before, kRows, kColumns), own = quantised(after, kRows, kColumns);
  Net frozen = was;
  std::size_t far = 0;
  for (std::size_t i = 0; i < after.size(); ++i) {
    const float place = after[i] / was.scales[i / kColumns];
    frozen.numbers[i] = static_cast<std::int8_t>(std::clamp(std::lround(place), -127L, 127L));
    far += std::fabs(place) > 127.5F ? 1 : 0;
  }
  Bytes twice = onnx(own), once = onnx(own);
  ASSERT_TRUE(keep_scales(onnx(was), {}, twice));
  const auto report = keep_scales(onnx(was), float_onnx({{"w", {kRows, kColumns}, after}}), once);
  ASSERT_TRUE(report) << report.error().message();
  ASSERT_EQ(report->kept, kRows);
  EXPECT_EQ(report->saturated, far);
  EXPECT_EQ(once, onnx(frozen));
  EXPECT_NE(twice, once);
}

QuantisedWeight found_in(const Bytes& model) {
  const auto found = find_quantised(model);
  EXPECT_EQ(found.size(), 1U);
  return found.empty() ? QuantisedWeight{} : found[0];
}

TEST(FloatSourceTest, weights_are_found_by_name_with_the_endings_of_quantisers_and_else_by_their_numbers) {
  const Bytes model = onnx({{2, 2}, 0, {10, 20, 30, 40}, {1, 1}});
  QuantisedWeight weight = found_in(model);
  const std::vector<float> right = {10.2F, 19.9F, 30, 40.4F}, wrong = {40, 30, 20, 10};
  const auto source = float_onnx({{"a", {2, 2}, wrong}, {"conv.weight", {2, 2}, right}, {"flat", {4}, right}});
  for (const char* name : {"conv.weight", "conv.weight_quantized", "conv.weight_q", "conv.weight_int8", "elsewhere"}) {
    weight.name = name;
    const auto got = FloatSource(source).weights_of(model, weight);
    ASSERT_TRUE(got) << name << ": " << got.error().message();
    EXPECT_EQ(got->name, "conv.weight");
    EXPECT_EQ(got->at(1), 19.9F);
  }
  weight.name = "x";
  weight.output = "conv.weight_DequantizeLinear_Output";
  EXPECT_TRUE(FloatSource(source).weights_of(model, weight));
}

TEST(FloatSourceTest, the_same_weights_twice_are_no_question_and_two_that_differ_are) {
  const Bytes model = onnx({{2, 2}, 0, {10, 20, 30, 40}, {1, 1}});
  const QuantisedWeight weight = found_in(model);
  const std::vector<float> one = {10, 20, 30, 40}, other = {10.1F, 20, 30, 40};
  const Bytes tied = float_onnx({{"a", {2, 2}, one}, {"b", {2, 2}, one}});
  const Bytes unclear = float_onnx({{"a", {2, 2}, one}, {"b", {2, 2}, other}});
  EXPECT_TRUE(FloatSource(tied).weights_of(model, weight));
  const auto refused = FloatSource(unclear).weights_of(model, weight);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("any of \"a\", \"b\""), std::string::npos) << refused.error().message();
}

TEST(FloatSourceTest, another_model_is_refused_with_a_reason_and_nothing_changes) {
  const Bytes base = onnx({{2, 2}, 0, {10, 20, 30, 40}, {1, 1}});
  const std::vector<float> right = {10, 20, 30, 40}, wrong = {40, 30, 20, 10};
  const float none = std::numeric_limits<float>::quiet_NaN();
  Bytes elsewhere, graph;  // external data: a name and a shape, no numbers
  put_field(graph, 5, initialiser("w", 1, {2, 2}, {}));
  put_field(elsewhere, 7, graph);
  const struct {
    Bytes source;
    const char* says;
  } cases[] = {{float_onnx({{"w", {2, 2}, wrong}}), "not another training"},
               {float_onnx({{"w", {2, 2}, {10, 20, none, 40}}}), "not another training"},
               {float_onnx({{"v", {2, 2}, wrong}}), "from none of"},
               {float_onnx({{"w", {4}, right}}), "of its shape"},
               {elsewhere, "with its weights in the file"},
               {base, "of its shape"},
               {Bytes{1, 2, 3}, "of its shape"}};
  for (const auto& one : cases) {
    Bytes model = base;
    const auto report = keep_scales(base, one.source, model);
    ASSERT_FALSE(report) << one.says;
    EXPECT_EQ(report.error().code(), Code::invalid_argument);
    EXPECT_NE(report.error().message().find(one.says), std::string::npos) << report.error().message();
    EXPECT_EQ(model, base);
  }
}

}  // namespace
}  // namespace drover::delta
