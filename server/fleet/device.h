// A device as the rules see it. Pure data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proto/wire/device.h"

namespace drover::fleet {

// The numbers stand in the database: never renumber.
enum class DeviceState : std::uint8_t { pending = 0, active = 1, decommissioned = 2 };

constexpr std::string_view to_text(DeviceState state) {
  return state == DeviceState::pending ? "pending" : state == DeviceState::active ? "active" : "decommissioned";
}

struct DeviceView {
  std::string id;
  std::string name;
  std::string kind;
  DeviceState state = DeviceState::active;
  wire::Attributes attributes;    // sorted by key, keys unique
  std::vector<std::string> tags;  // sorted, unique
};

}  // namespace drover::fleet
