#include "server/api/throttle.h"

#include <gtest/gtest.h>

namespace drover::api {
namespace {

TEST(Throttle, RefusesAnAddressAfterManyWrongTokensAndForgetsAfterAWhile) {
  Throttle throttle;
  MonoTime now{};
  for (int i = 0; i < Throttle::kFree; ++i) {
    EXPECT_TRUE(throttle.allows("10.0.0.1", now));
    throttle.failed("10.0.0.1", now);
  }
  EXPECT_FALSE(throttle.allows("10.0.0.1", now));
  EXPECT_TRUE(throttle.allows("10.0.0.2", now)) << "others are not held up";
  now += Throttle::kWindow;
  EXPECT_TRUE(throttle.allows("10.0.0.1", now));
}

TEST(Throttle, SlowMistakesAreNotHeldAgainstAnybody) {
  Throttle throttle;
  MonoTime now{};
  for (int i = 0; i < 3 * Throttle::kFree; ++i) {
    throttle.failed("10.0.0.1", now);
    now += Throttle::kWindow;
  }
  EXPECT_TRUE(throttle.allows("10.0.0.1", now));
}

}  // namespace
}  // namespace drover::api
