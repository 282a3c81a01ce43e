// A group: a saved query, or a fixed list of devices.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "server/fleet/query.h"

namespace drover::fleet {

inline constexpr std::size_t kMaxGroupName = 64;
inline constexpr std::size_t kMaxListed = 10'000;  // the control plane holds fixed lists in memory: 330 KB each at most

// [A-Za-z0-9][A-Za-z0-9._-]{0,63}; invalid_argument otherwise.
Status check_group_name(std::string_view name);

// Immutable once made; may be shared between threads.
class Group {
 public:
  // invalid_argument for a name or query that is none.
  static Result<Group> from_query(std::string name, std::string_view query);
  // Sorts and removes doubles. invalid_argument for a name or a device id ("d" and 32 hexadecimal digits) that is
  // none; too_large over kMaxListed.
  static Result<Group> from_list(std::string name, std::vector<std::string> devices);

  const std::string& name() const { return name_; }
  // Null for a fixed list, and the reverse.
  const Query* query() const { return std::get_if<Query>(&members_); }
  const std::vector<std::string>* devices() const { return std::get_if<std::vector<std::string>>(&members_); }

  // Whether the device belongs to it. Says nothing of the device's state: a decommissioned one matches as well.
  bool covers(const DeviceView& device) const;

 private:
  using Members = std::variant<Query, std::vector<std::string>>;
  Group(std::string name, Members members) : name_(std::move(name)), members_(std::move(members)) {}
  std::string name_;
  Members members_;
};

}  // namespace drover::fleet
