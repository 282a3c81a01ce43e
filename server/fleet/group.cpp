#include "server/fleet/group.h"

#include <algorithm>

namespace drover::fleet {
namespace {

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool is_device_id(std::string_view id) {
  return id.size() == 33 && id[0] == 'd' &&
         std::all_of(id.begin() + 1, id.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

Status check_group_name(std::string_view name) {
  const bool good = !name.empty() && name.size() <= kMaxGroupName &&
                    std::all_of(name.begin(), name.end(), is_name_char) &&
                    std::string_view("._-").find(name[0]) == std::string_view::npos;
  if (good) return {};
  return Error(Code::invalid_argument,
               "a group's name has 1 to 64 letters, digits, '.', '_' and '-', and begins with a letter or digit");
}

Result<Group> Group::from_query(std::string name, std::string_view query) {
  TRY(check_group_name(name));
  TRY_ASSIGN(Query parsed, Query::parse(query));
  return Group(std::move(name), std::move(parsed));
}

Result<Group> Group::from_list(std::string name, std::vector<std::string> devices) {
  TRY(check_group_name(name));
  if (devices.size() > kMaxListed)
    return Error(Code::too_large,
                 "a fixed list has at most " + std::to_string(kMaxListed) + " devices; use a tag and a query for more");
  for (const std::string& id : devices)
    if (!is_device_id(id)) return Error(Code::invalid_argument, "not a device id: " + id.substr(0, 64));
  std::sort(devices.begin(), devices.end());
  devices.erase(std::unique(devices.begin(), devices.end()), devices.end());
  return Group(std::move(name), std::move(devices));
}

bool Group::covers(const DeviceView& device) const {
  if (const Query* parsed = query()) return matches(*parsed, device);
  const auto& list = std::get<std::vector<std::string>>(members_);
  return std::binary_search(list.begin(), list.end(), device.id);
}

}  // namespace drover::fleet
