#include "server/fleet/group.h"

#include <gtest/gtest.h>

namespace drover::fleet {
namespace {

std::string device_id(int n) {
  std::string digits = std::to_string(n);
  digits.insert(0, 32 - digits.size(), '0');
  digits.insert(digits.begin(), 'd');
  return digits;
}

TEST(Group, OfAQueryCoversWhatTheQueryMatches) {
  const auto group = Group::from_query("europe", "attr.region = \"eu\"");
  ASSERT_TRUE(group.has_value());
  DeviceView device{.id = device_id(1),
                    .name = "n",
                    .kind = "k",
                    .state = DeviceState::active,
                    .attributes = {{"region", "eu"}},
                    .tags = {}};
  EXPECT_TRUE(group->covers(device));
  device.attributes.clear();
  EXPECT_FALSE(group->covers(device));
  EXPECT_NE(group->query(), nullptr);
  EXPECT_EQ(group->devices(), nullptr);
}

TEST(Group, OfAListCoversTheListOnceWhateverTheOrder) {
  const auto group = Group::from_list("lab", {device_id(3), device_id(1), device_id(3)});
  ASSERT_TRUE(group.has_value());
  EXPECT_EQ(*group->devices(), (std::vector<std::string>{device_id(1), device_id(3)}));
  DeviceView device;
  device.id = device_id(3);
  EXPECT_TRUE(group->covers(device));
  device.id = device_id(2);
  EXPECT_FALSE(group->covers(device));
  EXPECT_FALSE(Group::from_list("nobody", {})->covers(device));
}

TEST(Group, RefusesNamesQueriesAndIdsThatAreNone) {
  for (const char* name : {"", ".a", "-a", "a b", "a/b", "ä"})
    EXPECT_EQ(Group::from_query(name, "all").error().code(), Code::invalid_argument) << name;
  EXPECT_FALSE(Group::from_query(std::string(65, 'a'), "all"));
  EXPECT_TRUE(Group::from_query(std::string(64, 'a'), "all"));
  EXPECT_FALSE(Group::from_query("a", "kind ="));
  for (const char* id : {"", "d1", "x0000000000000000000000000000001f", "d0000000000000000000000000000001F"})
    EXPECT_EQ(Group::from_list("a", {id}).error().code(), Code::invalid_argument) << id;
}

TEST(Group, RefusesAListOverItsBound) {
  std::vector<std::string> ids;
  for (int i = 0; i <= static_cast<int>(kMaxListed); ++i) ids.push_back(device_id(i));
  EXPECT_EQ(Group::from_list("a", ids).error().code(), Code::too_large);
  ids.pop_back();
  EXPECT_TRUE(Group::from_list("a", ids));
}

}  // namespace
}  // namespace drover::fleet
