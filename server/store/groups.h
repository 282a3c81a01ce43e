// Groups as stored. Their parsed form is in the control-plane snapshot.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/time/clock.h"

namespace drover::store {

struct GroupRow {
  std::string name;
  std::optional<std::string> query;   // or
  std::vector<std::string> devices;   // a fixed list
  std::int64_t version = 1;           // grows with every change; the ETag
  std::string created_by;
  WallTime created_at{};
};

inline constexpr std::size_t kMaxGroups = 10'000;  // they stand in memory, parsed

class Groups {
 public:
  virtual ~Groups() = default;
  virtual Result<std::vector<GroupRow>> all() const = 0;
  // already_exists.
  virtual Status insert(const GroupRow& group) = 0;
  virtual Status update(const GroupRow& group) = 0;
  virtual Status remove(std::string_view name) = 0;
};

}  // namespace drover::store
