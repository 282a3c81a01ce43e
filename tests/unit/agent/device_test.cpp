#include "agent/app/device.h"

#include <gtest/gtest.h>

#include "common/fs/files.h"
#include "tests/support/temp_folder.h"

namespace drover::agent {
namespace {

using namespace std::chrono_literals;

TEST(DeviceKey, is_made_once_and_nobody_else_may_read_it) {
  const drover::test::TempFolder folder;
  const Layout layout(folder.path().string());
  SeededRng rng(1);
  const auto made = device_key(layout, fs::system_files(), rng);
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(fs::system_files().info(layout.device_key())->mode, 0600u);
  const auto again = device_key(layout, fs::system_files(), rng);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->public_key(), made->public_key());
}

TEST(DeviceKey, a_power_cut_while_it_was_being_made_is_no_harm) {
  const drover::test::TempFolder folder;
  const Layout layout(folder.path().string());
  folder.write("device.key.new", "");
  SeededRng rng(1);
  EXPECT_TRUE(device_key(layout, fs::system_files(), rng));
}

TEST(FlooredClock, never_shows_a_time_before_what_is_known_to_have_passed) {
  ManualClock machine(WallTime(1000s));
  FlooredClock clock(machine, WallTime(5000s));
  EXPECT_EQ(clock.wall(), WallTime(5000s));
  EXPECT_TRUE(clock.behind());
  machine.step_wall(10'000s);
  EXPECT_EQ(clock.wall(), WallTime(11'000s));
  EXPECT_FALSE(clock.behind());
  clock.raise(WallTime(20'000s));
  clock.raise(WallTime(7s));
  EXPECT_EQ(clock.wall(), WallTime(20'000s)) << "a floor never sinks";
  machine.step_wall(-10'000s);
  EXPECT_EQ(clock.wall(), WallTime(20'000s));
}

TEST(FlooredClock, knows_at_least_when_it_was_built) { EXPECT_GT(build_time(), WallTime(1'700'000'000s)); }

}  // namespace
}  // namespace drover::agent
