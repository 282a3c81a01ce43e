#include "agent/validators/onnx/golden.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/expect.h"

namespace drover::validators {
namespace {

using std::chrono::nanoseconds;

std::vector<float> floats(std::initializer_list<float> values) { return values; }

ByteView bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(float)};
}

TEST(Golden, TheGreatestOutputIsTheAnswerAndTheFirstOfEqualOnes) {
  EXPECT_EQ(argmax(floats({1, 5, 3})), 1U);
  EXPECT_EQ(argmax(floats({5, 5, 3})), 0U);
  EXPECT_EQ(argmax({}), 0U);
}

TEST(Golden, AFileMustHaveExactlyTheValuesThatThePolicyTellsOf) {
  const std::vector<float> values = {1.5F, -2, 0};
  ASSERT_OK(read_floats(bytes_of(values), 3));
  EXPECT_EQ(*read_floats(bytes_of(values), 3), values);
  EXPECT_CODE(read_floats(bytes_of(values), 4), Code::validate_golden);
  EXPECT_CODE(read_floats(bytes_of(values).first(11), 3), Code::validate_golden);
  EXPECT_CODE(read_floats(bytes_of({1, NAN, 3}), 3), Code::validate_golden);
}

TEST(Golden, AShapeIsCountedWithoutOverflow) {
  const auto count = [](std::vector<std::int64_t> shape) { return element_count(shape, 1000); };
  EXPECT_EQ(*count({1, 10, 100}), 1000U);
  EXPECT_EQ(*count({}), 1U);
  EXPECT_CODE(count({1, 10, 101}), Code::malformed);
  EXPECT_CODE(count({std::int64_t{1} << 62, 4}), Code::malformed);
  EXPECT_CODE(count({3, 0}), Code::malformed);
  EXPECT_CODE(count({-1}), Code::malformed);
}

TEST(Golden, TheWorstDifferenceAndTheShareThatAgreesAreKept) {
  Comparison comparison;
  ASSERT_OK(comparison.add(floats({1, 2}), floats({1, 2})));
  ASSERT_OK(comparison.add(floats({1, 2.5F}), floats({1, 2})));
  ASSERT_OK(comparison.add(floats({1, 2}), floats({1.25F, 1})));
  EXPECT_EQ(comparison.samples(), 3);
  EXPECT_DOUBLE_EQ(comparison.max_abs_diff(), 1);
  EXPECT_EQ(comparison.worst_sample(), 2);
  EXPECT_DOUBLE_EQ(comparison.agreement(), 2.0 / 3);
  EXPECT_FALSE(comparison.has_labels());
}

TEST(Golden, AnOutputThatIsNoNumberFailsWhateverTheTolerance) {
  Comparison comparison;
  ASSERT_OK(comparison.add(floats({1, 2}), floats({1, 2})));
  const Status nan = comparison.add(floats({NAN, 2}), floats({1, 2}));
  EXPECT_CODE(nan, Code::validate_golden);
  EXPECT_EQ(nan.error().message(), "sample 1: output 0 is NaN or infinite");
  EXPECT_CODE(comparison.add(floats({1, std::numeric_limits<float>::infinity()}), floats({1, 2})),
              Code::validate_golden);
}

TEST(Golden, AnotherNumberOfOutputsFails) {
  Comparison comparison;
  EXPECT_CODE(comparison.add(floats({1, 2, 3}), floats({1, 2})), Code::validate_golden);
}

TEST(Golden, AccuracyCountsTheLabelledSamples) {
  Comparison comparison;
  comparison.add_label(floats({0, 1}), 1);
  comparison.add_label(floats({0, 1}), 0);
  comparison.add_label(floats({3, 1}), 0);
  EXPECT_TRUE(comparison.has_labels());
  EXPECT_DOUBLE_EQ(comparison.accuracy(), 2.0 / 3);
}

TEST(Golden, TheMedianIgnoresAnOutlier) {
  std::vector<nanoseconds> times = {nanoseconds(5), nanoseconds(900'000), nanoseconds(4), nanoseconds(6)};
  EXPECT_EQ(median(times), nanoseconds(5));
  times.clear();
  EXPECT_EQ(median(times), nanoseconds(0));
}

}  // namespace
}  // namespace drover::validators
