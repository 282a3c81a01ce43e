#include "agent/app/device.h"

#include <gmock/gmock.h>

#include "common/fs/files.h"
#include "tests/support/expect.h"
#include "tests/support/temp_folder.h"

namespace drover::agent {
namespace {

using namespace std::chrono_literals;
using Belief = DeviceClock::Belief;
using testing::HasSubstr;

TEST(DeviceKey, is_made_once_and_nobody_else_may_read_it) {
  const drover::test::TempFolder folder;
  const Layout layout(folder.path().string());
  SeededRng rng(1);
  const auto made = device_key("", layout, fs::system_files(), rng);
  ASSERT_OK(made);
  EXPECT_EQ(fs::system_files().info(layout.device_key())->mode, 0600u);
  const auto again = device_key("", layout, fs::system_files(), rng);
  ASSERT_OK(again);
  EXPECT_EQ((*again)->public_half(), (*made)->public_half());
}

TEST(DeviceKey, a_power_cut_while_it_was_being_made_is_no_harm) {
  const drover::test::TempFolder folder;
  const Layout layout(folder.path().string());
  folder.write("device.key.new", "");
  SeededRng rng(1);
  EXPECT_OK(device_key("", layout, fs::system_files(), rng));
}

TEST(DeviceKey, a_file_that_others_may_read_is_refused_with_the_way_out) {
  const drover::test::TempFolder folder;
  const Layout layout(folder.path().string());
  SeededRng rng(1);
  ASSERT_OK(device_key("", layout, fs::system_files(), rng));
  std::filesystem::permissions(layout.device_key(), std::filesystem::perms(0640));
  const auto open = device_key("", layout, fs::system_files(), rng);
  ASSERT_CODE(open, Code::permission_denied);
  EXPECT_THAT(open.error().message(), HasSubstr("chmod 600"));
}

TEST(DeviceKey, one_that_was_named_must_be_there) {
  const drover::test::TempFolder folder;
  SeededRng rng(1);
  EXPECT_CODE(device_key((folder / "mine.key").string(), Layout(folder.path().string()), fs::system_files(), rng),
              Code::not_found);
  EXPECT_FALSE(std::filesystem::exists(folder / "mine.key"));
  EXPECT_CODE(device_key("pkcs11:tokn=x", Layout(folder.path().string()), fs::system_files(), rng),
              Code::invalid_argument);
}

class DeviceClockTest : public testing::Test {
 protected:
  static constexpr WallTime kNow = WallTime(std::chrono::seconds(1'800'000'000));
  static constexpr WallTime kBuilt = kNow - 8760h;
  DeviceClock clock(WallTime machine, Belief belief = Belief::automatic) {
    machine_ = ManualClock(machine);
    return DeviceClock(machine_, kBuilt, belief, [this] { return synchronised_; });
  }
  ManualClock machine_{WallTime{}};
  bool synchronised_ = false;
};

TEST_F(DeviceClockTest, never_shows_a_time_before_what_was_signed) {
  DeviceClock device = clock(WallTime(1000s), Belief::always);
  EXPECT_EQ(device.wall(), kBuilt);
  EXPECT_FALSE(device.believed()) << "whatever the setting says: it is behind";
  device.raise(kNow);
  device.raise(WallTime(7s));
  EXPECT_EQ(device.wall(), kNow) << "a floor never sinks";
  machine_.step_wall(kNow - WallTime(1000s) + 1h);
  EXPECT_EQ(device.wall(), kNow + 1h);
  EXPECT_TRUE(device.believed());
}

TEST_F(DeviceClockTest, one_that_stands_in_1970_learns_the_time_and_goes_on_from_there) {
  DeviceClock device = clock(WallTime{});
  device.learn(kNow);
  EXPECT_EQ(device.wall(), kNow);
  machine_.advance(90s);
  EXPECT_EQ(device.wall(), kNow + 90s);
  EXPECT_LT(device.error(), -400'000h);
}

TEST_F(DeviceClockTest, one_that_stands_in_2100_learns_the_time_too) {
  DeviceClock device = clock(kNow + 600'000h);
  EXPECT_EQ(device.wall(), kNow + 600'000h) << "nothing else is known yet";
  EXPECT_FALSE(device.believed());
  device.learn(kNow);
  EXPECT_EQ(device.wall(), kNow);
  EXPECT_GT(device.error(), 500'000h);
}

TEST_F(DeviceClockTest, what_is_learnt_never_leads_behind_what_was_signed) {
  DeviceClock device = clock(kNow + 600'000h);
  device.learn(kBuilt - 1h);
  EXPECT_EQ(device.wall(), kBuilt);
}

TEST_F(DeviceClockTest, a_clock_that_is_right_is_not_moved_by_a_server) {
  for (const Belief belief : {Belief::automatic, Belief::always}) {
    DeviceClock device = clock(kNow, belief);
    synchronised_ = true;
    device.learn(kNow - 1000h);
    EXPECT_EQ(device.wall(), kNow);
    EXPECT_TRUE(device.believed());
  }
}

TEST_F(DeviceClockTest, once_the_network_has_set_the_clock_it_is_believed_again) {
  DeviceClock device = clock(WallTime{});
  device.learn(kNow);
  machine_.step_wall(kNow - WallTime{} + 5s);
  EXPECT_EQ(device.wall(), kNow);
  synchronised_ = true;
  EXPECT_EQ(device.wall(), kNow + 5s);
}

TEST_F(DeviceClockTest, a_device_without_a_clock_believes_none) {
  DeviceClock device = clock(kNow, Belief::never);
  synchronised_ = true;
  EXPECT_FALSE(device.believed());
}

TEST(DeviceClock, knows_at_least_when_it_was_built) { EXPECT_GT(build_time(), WallTime(1'700'000'000s)); }

}  // namespace
}  // namespace drover::agent
