#include "common/delta/rescale.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "common/delta/delta.h"
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
  const auto report = keep_scales(base, model);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(model, onnx({{2, 3}, 0, {11, -22, 34, 50, 10, 0}, {1.0F, 0.5F}}));
  EXPECT_EQ(report->kept, 1U);
  EXPECT_EQ(report->saturated, 0U);
  EXPECT_EQ(report->changed, 6U);
}

TEST(RescaleTest, scales_of_columns_are_each_their_own) {
  const Bytes base = onnx({{2, 2}, 1, {1, 1, 1, 1}, {1.0F, 0.5F}});
  Bytes model = onnx({{2, 2}, 1, {10, 10, 20, 20}, {2.0F, 2.0F}});
  ASSERT_TRUE(keep_scales(base, model));
  EXPECT_EQ(model, onnx({{2, 2}, 1, {20, 40, 40, 80}, {1.0F, 0.5F}}));
}

TEST(RescaleTest, a_row_that_grew_a_little_is_cut_off_and_one_that_grew_much_keeps_its_scale) {
  const std::vector<std::int8_t> row = {127, 3, -4, 5, -6, 7, 8, 9, 1, 2, 3, 4};
  const Bytes base = onnx({{1, 12}, 0, row, {1.0F}});
  Bytes little = onnx({{1, 12}, 0, row, {1.008F}}), much = onnx({{1, 12}, 0, row, {1.5F}});
  const Bytes given = much;
  const auto cut = keep_scales(base, little), own = keep_scales(base, much);
  ASSERT_TRUE(cut && own);
  EXPECT_EQ(cut->saturated, 1U);
  EXPECT_EQ(little, base);  // everything else rounds to what it was
  EXPECT_EQ(own->kept, 0U);
  EXPECT_EQ(own->own, 1U);
  EXPECT_EQ(much, given);
}

TEST(RescaleTest, a_delta_between_versions_on_one_scale_is_smaller) {
  constexpr std::size_t kRows = 64, kColumns = 256;
  const auto before = weights(kRows * kColumns, 1), after = tuned(before, kRows, kColumns, 2);
  const Bytes base = onnx(quantised(before, kRows, kColumns)), own = onnx(quantised(after, kRows, kColumns));
  Bytes kept = own;
  const auto report = keep_scales(base, kept);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->kept, 1U);
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
    const auto report = keep_scales(one.base, model);
    ASSERT_FALSE(report) << one.says;
    EXPECT_NE(report.error().message().find(one.says), std::string::npos) << report.error().message();
    EXPECT_EQ(model, one.model);
  }
}

}  // namespace
}  // namespace drover::delta
