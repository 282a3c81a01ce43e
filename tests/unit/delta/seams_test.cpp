#include "common/delta/seams.h"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "common/delta/delta.h"
#include "tests/unit/delta/models.h"

namespace drover::delta {
namespace {

using testing::as_type;
using testing::tuned;
using testing::weights;

constexpr std::uint64_t kUsual = 1024;

// Raw files as people dump them: one tensor after another.
struct Raw {
  Bytes base, target;
  Raw& add(std::size_t rows, std::size_t columns, std::uint64_t seed, double scale = 0.05) {
    const auto before = weights(rows * columns, seed, scale), after = tuned(before, rows, columns, seed + 1);
    for (auto [numbers, file] : {std::pair{&before, &base}, std::pair{&after, &target}}) {
      const Bytes bytes = as_type(*numbers, type);
      file->insert(file->end(), bytes.begin(), bytes.end());
    }
    return *this;
  }
  ElementType type = ElementType::f32;
};

std::string told(const std::vector<Piece>& pieces) {
  std::string out;
  for (const Piece& piece : pieces) out += std::to_string(piece.elements) + "/" + std::to_string(piece.columns) + " ";
  return out;
}
std::string pieces_in(const Raw& raw) { return told(find_pieces(raw.type, raw.base, raw.target, kUsual)); }

TEST(SeamsTest, biases_part_matrices_and_rows_are_as_long_as_they_are) {
  for (const ElementType type : {ElementType::f32, ElementType::bf16, ElementType::f16}) {
    Raw raw{.base = {}, .target = {}, .type = type};
    raw.add(256, 300, 1).add(1, 256, 5, 0.004).add(128, 704, 9).add(1, 512, 13, 0.004);
    EXPECT_EQ(pieces_in(raw), "76800/300 256/1024 90112/704 512/1024 ") << static_cast<int>(type);
  }
}

TEST(SeamsTest, without_a_base_rows_are_as_long_as_usual) {
  Raw raw;
  raw.add(256, 300, 1).add(1, 512, 5, 0.004);
  EXPECT_EQ(told(find_pieces(raw.type, {}, raw.target, kUsual)), "76800/1024 512/1024 ");
}

TEST(SeamsTest, changes_that_resemble_themselves_nowhere_leave_the_usual_length) {
  const auto before = weights(1 << 16, 3), noise = weights(1 << 16, 4, 1e-4);
  std::vector<float> after = before;
  for (std::size_t i = 0; i < after.size(); ++i) after[i] += noise[i];
  EXPECT_EQ(
      told(find_pieces(ElementType::f32, as_type(before, ElementType::f32), as_type(after, ElementType::f32), kUsual)),
      "65536/1024 ");
}

TEST(SeamsTest, rows_of_many_sizes_are_no_seams) {
  std::vector<float> embedding;
  for (std::size_t row = 0; row < 256; ++row)
    for (float weight : weights(256, row, row % 2 == 0 ? 0.5 : 0.05)) embedding.push_back(weight);
  const Bytes bytes = as_type(embedding, ElementType::f32);
  EXPECT_EQ(told(find_pieces(ElementType::f32, {}, bytes, kUsual)), "65536/1024 ");
}

TEST(SeamsTest, whatever_the_numbers_are_all_of_them_are_in_a_piece) {
  Bytes noise(200'001);
  SeededRng(8).fill(noise);
  Bytes special(100'000, 0xff), zeros(100'000), half = zeros;
  std::copy_n(noise.begin(), 50'000, half.begin());
  for (const Bytes& bytes : {noise, special, zeros, half, Bytes{}, Bytes(3, 1), Bytes(70, 1)})
    for (const ElementType type : {ElementType::f32, ElementType::f16, ElementType::bf16, ElementType::i8})
      for (const Bytes& base : {bytes, Bytes{}, zeros}) {
        const auto pieces = find_pieces(type, base, bytes, kUsual);
        const auto sum = std::accumulate(pieces.begin(), pieces.end(), std::uint64_t{0},
                                         [](std::uint64_t s, const Piece& piece) { return s + piece.elements; });
        EXPECT_EQ(sum, bytes.size() / element_bytes(type));
        for (const Piece& piece : pieces) EXPECT_GT(piece.columns, 0U);
      }
}

std::size_t delta_size(const Raw& raw) {
  MemorySink sink;
  EXPECT_TRUE(make_delta(raw.base, raw.target, sink));
  MemorySource source(sink.bytes);
  MemorySink back;
  EXPECT_TRUE(apply_delta(source, raw.base, {}, back));
  EXPECT_EQ(back.bytes, raw.target);
  return sink.bytes.size();
}

TEST(SeamsTest, a_raw_file_costs_about_as_much_as_its_tensors_one_by_one) {
  Raw whole{.base = {}, .target = {}, .type = ElementType::bf16}, one = whole, other = whole;
  whole.add(256, 300, 1).add(1, 512, 5, 0.004).add(256, 448, 9);
  one.add(256, 300, 1);
  other.add(256, 448, 9);
  EXPECT_LT(delta_size(whole), (delta_size(one) + delta_size(other)) * 101 / 100 + 600);
}

}  // namespace
}  // namespace drover::delta
