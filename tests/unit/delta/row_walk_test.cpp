#include "common/delta/row_walk.h"

#include <gtest/gtest.h>

#include "common/crypto/hash.h"
#include "common/delta/distribution.h"
#include "common/delta/with_type.h"
#include "tests/unit/delta/models.h"

namespace drover::delta {
namespace {

constexpr std::size_t kRows = 64, kColumns = 1100;  // a row is more than one piece

Parameters with_everything() {
  Parameters p;
  p.scale = -40;
  p.gain_log2 = -9;
  p.factors = {.rank = 3, .scale_log2 = -24, .rows = kRows, .columns = kColumns, .left = {}, .right = {}, .pairs = {}};
  SeededRng rng(1);
  const auto some = [&](std::vector<std::int16_t>& out, std::size_t count, int most) {
    for (std::size_t i = 0; i < count; ++i)
      out.push_back(static_cast<std::int16_t>(static_cast<int>(rng.below(2 * static_cast<unsigned>(most) + 1)) - most));
  };
  some(p.row_scales, kRows, 60);
  some(p.column_scales, kColumns, 20);
  some(p.gains, kRows, 100);
  some(p.factors.left, 3 * kRows, 200);
  some(p.factors.right, 3 * kColumns, 200);
  p.factors.make_pairs();
  return p;
}

// Compiled in this file for the plainest processor, as on an architecture without wide vectors.
template <class T>
void expect_like_one_at_a_time(T, ElementType type) {
  const Parameters p = with_everything();
  const TensorShape shape{type, kRows, kColumns};
  Bytes base(shape.bytes());
  SeededRng(2).fill(base);  // every kind of pattern: infinities, NaN and denormals among them
  for (std::size_t i = 0; i < base.size(); i += 97) base[i] = 0;
  RowWalk walk(shape, p);
  Piece piece;
  for (std::size_t i = 0; i < shape.elements();) {
    const std::size_t row = i / kColumns;
    walk.next(777, base.data(), piece);
    for (std::size_t j = 0; j < piece.count; ++j, ++i) {
      std::int32_t sum = 0;
      for (std::size_t q = 0; q < 3; ++q)
        sum += p.factors.left[q * kRows + row] * p.factors.right[q * kColumns + i % kColumns];
      const auto bits = load<T>(base.data() + i * sizeof(typename T::Stored));
      const float value = T::value(bits);
      const float change = value * p.gain(row) + static_cast<float>(sum) * 0x1p-24F;
      const Expectation one = expect<T>(bits, value + change, p.row_scale(row) + p.column_scales[i % kColumns], false);
      ASSERT_EQ(piece.ordinal[j], one.ordinal) << i;
      ASSERT_EQ(piece.mirror[j], one.mirror) << i;
      ASSERT_EQ(piece.low_bits[j], one.low_bits) << i;
      ASSERT_EQ(piece.slot[j], one.slot) << i;
      ASSERT_LT(piece.slot[j], kSlots);
    }
  }
}

TEST(RowWalkTest, pieces_of_rows_are_what_one_element_at_a_time_gives) {
  for (ElementType type : {ElementType::f32, ElementType::f16, ElementType::bf16, ElementType::i8})
    with_type(type, [&](auto t) { expect_like_one_at_a_time(t, type); });
}

// What encoders of earlier releases expected is what a decoder must expect.
TEST(RowWalkTest, expectations_are_the_same_on_every_architecture) {
  const Parameters p = with_everything();
  Bytes all;
  for (ElementType type : {ElementType::f32, ElementType::f16, ElementType::bf16, ElementType::i8}) {
    const TensorShape shape{type, kRows, kColumns};
    Bytes base(shape.bytes());
    SeededRng(4).fill(base);
    RowWalk walk(shape, p);
    Piece piece;
    for (std::size_t i = 0; i < shape.elements(); i += piece.count) {
      walk.next(kPiece, base.data(), piece);
      for (std::size_t j = 0; j < piece.count; ++j)
        for (std::int32_t field : {piece.ordinal[j], piece.mirror[j], piece.low_bits[j], piece.slot[j]})
          put_fixed(all, static_cast<std::uint32_t>(field), 4);
    }
  }
  EXPECT_EQ(crypto::sha256(all).hex(), "83183f26d5c33ac193e07b53ee55db60edbac6fe2856e3fe1418d1caf222f2c4");
}

template <class T>
void residuals_come_back(T) {
  SeededRng rng(3);
  for (int i = 0; i < 100'000; ++i) {
    Expectation here;
    here.ordinal = T::ordinal(static_cast<typename T::Stored>(rng.next()));
    here.mirror = rng.below(2) == 0 ? 0 : -1;
    const auto target = static_cast<typename T::Stored>(rng.next());
    ASSERT_EQ(from_residual<T>(residual_of<T>(target, here), here.ordinal, here.mirror), target);
  }
}

TEST(RowWalkTest, every_residual_comes_back) {
  for (ElementType type : {ElementType::f32, ElementType::f16, ElementType::bf16, ElementType::i8})
    with_type(type, [](auto t) { residuals_come_back(t); });
}

TEST(ParametersTest, come_back_as_they_were_written) {
  const Parameters p = with_everything();
  Bytes bytes;
  write_parameters(p, bytes);
  MemorySource source(bytes);
  NumberReader in(source);
  const auto back = read_parameters(in, {ElementType::f32, kRows, kColumns});
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(back->scale, p.scale);
  EXPECT_EQ(back->row_scales, p.row_scales);
  EXPECT_EQ(back->column_scales, p.column_scales);
  EXPECT_EQ(back->gains, p.gains);
  EXPECT_EQ(back->factors.pairs, p.factors.pairs);
  EXPECT_EQ(source.left(), 0U);
}

TEST(ParametersTest, numbers_over_their_bound_are_refused_before_they_are_read) {
  Parameters p;
  p.row_scales.resize(1);
  Bytes bytes;
  write_parameters(p, bytes);
  for (const TensorShape shape :
       {TensorShape{ElementType::i8, 1 << 20, 4}, TensorShape{ElementType::i8, 1ULL << 39, 1}}) {
    MemorySource source(bytes);
    NumberReader in(source);
    EXPECT_EQ(read_parameters(in, shape).error().code(), Code::malformed);
  }
}

TEST(DistributionTest, every_default_is_whole_and_the_same_on_every_architecture) {
  Bytes all;
  for (std::size_t shape = 0; shape < kShapes; ++shape)
    for (std::size_t context = 0; context < kDifferenceContexts; ++context) {
      std::uint32_t total = 0;
      for (std::uint16_t f : default_frequencies(shape, context)) {
        total += f;
        put_fixed(all, f, 2);
      }
      ASSERT_EQ(total, kProbTotal) << shape << " " << context;
    }
  EXPECT_EQ(crypto::sha256(all).hex(), "2899f9ad581c77fe0a3279c5837b638145a44abff2e50f639d0ef16de67b632d");
}

TEST(DistributionTest, a_fraction_makes_the_nearer_neighbour_likelier) {
  const Frequencies middle = default_frequencies(1, context_of_small(-10, 0)),
                    edge = default_frequencies(1, context_of_small(-10, 13));
  EXPECT_GT(middle[kDirect], edge[kDirect]);
  EXPECT_GT(edge[kDirect + 1], 4 * middle[kDirect + 1]);
  EXPECT_GT(edge[kDirect + 1], edge[kDirect - 1]);
}

}  // namespace
}  // namespace drover::delta
