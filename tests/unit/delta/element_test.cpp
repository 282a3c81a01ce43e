#include "common/delta/element.h"

#include <gtest/gtest.h>

namespace drover::delta {
namespace {

template <class T>
void ordinals_follow_values(std::uint32_t patterns) {
  float last = 0;
  bool first = true;
  for (std::int32_t n = -static_cast<std::int32_t>(patterns / 2); n < static_cast<std::int32_t>(patterns / 2); ++n) {
    const auto bits = T::from_ordinal(n);
    ASSERT_EQ(T::ordinal(bits), n);
    if (T::is_special(bits)) continue;
    const float value = T::value(bits);
    if (!first) {
      ASSERT_LE(last, value) << n;
    }
    last = value;
    first = false;
  }
}

TEST(ElementTest, ordinals_grow_with_the_values) {
  ordinals_follow_values<Bf16>(65536);
  ordinals_follow_values<F16>(65536);
  ordinals_follow_values<I8>(256);
}

template <class T>
void nearest_finds_every_number(std::uint32_t patterns) {
  for (std::int32_t n = -static_cast<std::int32_t>(patterns / 2); n < static_cast<std::int32_t>(patterns / 2); ++n) {
    const auto bits = T::from_ordinal(n);
    if (T::is_special(bits) || T::is_zero(bits)) continue;
    const Nearest found = T::nearest(T::value(bits));
    ASSERT_EQ(found.ordinal, n);
    ASSERT_EQ(found.fraction, 0);
  }
}

TEST(ElementTest, the_nearest_number_to_a_number_is_itself) {
  nearest_finds_every_number<Bf16>(65536);
  nearest_finds_every_number<F16>(65536);
  nearest_finds_every_number<I8>(256);
  for (float v : {1.0F, -3.25F, 1e-40F, 3e38F})
    EXPECT_EQ(F32::nearest(v).ordinal, F32::ordinal(std::bit_cast<std::uint32_t>(v)));
}

TEST(ElementTest, what_rounding_loses_is_told_with_its_sign) {
  EXPECT_EQ(I8::nearest(3.25F).ordinal, 3);
  EXPECT_EQ(I8::nearest(3.25F).fraction, 256);
  EXPECT_EQ(I8::nearest(-3.25F).fraction, -256);
  EXPECT_EQ(I8::nearest(500.0F).ordinal, 127);
  const float ulp = 0x1p-7F;  // of bf16 at 1
  EXPECT_EQ(Bf16::nearest(1 + ulp / 4).fraction, 256);
  EXPECT_EQ(Bf16::nearest(-1 - ulp / 4).fraction, -256);
  EXPECT_EQ(F16::nearest(1 + 0x1p-12F).fraction, 256);
}

TEST(ElementTest, logarithms_are_close_and_never_fall) {
  int last = -1;
  for (std::uint64_t n = 1; n < 5000; ++n) {
    const int log = log2_sixteenths(n);
    EXPECT_NEAR(log / 16.0, std::log2(double(n)), 0.15);
    EXPECT_GE(log, last);
    last = log;
  }
}

}  // namespace
}  // namespace drover::delta
