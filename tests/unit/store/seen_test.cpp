#include "server/store/seen.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace drover::store {
namespace {

TEST(Seen, ADeviceThatComesOftenIsWrittenOnce) {
  const auto seen = std::make_unique<SeenBuffer>();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(seen->note(7));
  EXPECT_EQ(seen->take(), std::vector<DeviceNo>{7});
  EXPECT_TRUE(seen->take().empty());
}

TEST(Seen, ThousandsFitBetweenTwoFlushes) {
  const auto seen = std::make_unique<SeenBuffer>();
  std::set<DeviceNo> noted;
  for (DeviceNo device = 1; device <= 30'000; ++device)
    if (seen->note(device)) noted.insert(device);
  EXPECT_GT(noted.size(), 29'900U);
  const std::vector<DeviceNo> taken = seen->take();
  EXPECT_EQ(std::set<DeviceNo>(taken.begin(), taken.end()), noted);
}

TEST(Seen, AFloodIsPassedOverAndNotKept) {
  const auto seen = std::make_unique<SeenBuffer>();
  std::size_t refused = 0;
  for (DeviceNo device = 1; device <= 200'000; ++device) refused += seen->note(device) ? 0 : 1;
  EXPECT_GT(refused, 100'000U);
  EXPECT_LE(seen->take().size(), SeenBuffer::kSlots);
}

}  // namespace
}  // namespace drover::store
