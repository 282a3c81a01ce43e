// The control plane as check-ins see it: small, immutable, in memory, with a revision number that grows with every change.
// A new one is made by the store's writer when a transaction said that something in it has changed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/result.h"
#include "server/fleet/group.h"
#include "server/rollout/assign.h"
#include "server/store/people.h"
#include "server/store/releases.h"
#include "server/store/rollouts.h"

namespace drover::store {

struct Reader;

struct GroupEntry {
  fleet::Group group;
  std::int64_t version = 1;
  std::string created_by;
  WallTime created_at{};
};

struct ReleaseEntry {
  ReleaseRow row;
  rollout::ReleaseView view;
  const VariantRow* variant(std::string_view kind) const;
};

// A live rollout without its state, which moves with every outcome and is read from the database.
struct RolloutEntry {
  std::int64_t no = 0;
  std::string id;
  wire::RolloutSpec spec;
  std::string salt;
  rollout::Thresholds thresholds;
  std::shared_ptr<const GroupEntry> group;
  WallTime created_at{};
  bool ticks = false;  // it has something to do as time goes by
};

struct Control {
  std::int64_t revision = 0;
  std::map<std::string, std::shared_ptr<const GroupEntry>, std::less<>> groups;
  std::map<std::string, std::map<std::string, ReleaseEntry, std::less<>>, std::less<>> models;  // by name and version
  std::vector<RolloutEntry> rollouts;                                                           // oldest first
  std::unordered_map<std::string, TokenRow> tokens;                                             // by hash

  const GroupEntry* group(std::string_view name) const;
  const ReleaseEntry* release(std::string_view model, std::string_view version) const;
};

// Reads everything anew. Parts that have not changed since `before` (may be null) are shared with it.
Result<std::shared_ptr<const Control>> load_control(const Reader& reader, std::int64_t revision, const Control* before);

}  // namespace drover::store
