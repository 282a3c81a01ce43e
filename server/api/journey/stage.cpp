#include "server/api/journey/stage.h"

#include <algorithm>

namespace drover::api {
namespace {

// One step above the small stratum: a count that ends here says "more than small".
constexpr std::int64_t kCountTo = rollout::kSmallStratum + 1;
// Devices looked at to estimate a large stratum: a standard error of 1.6 % at one half. Each is a random read, so they
// are what opening a stage costs in a large fleet.
constexpr std::int64_t kSample = 1024;

store::DeviceFilter members_of(const fleet::Group& group, std::string_view kind) {
  store::DeviceFilter filter;
  filter.group = &group;
  filter.state = fleet::DeviceState::active;
  filter.kind = kind;
  return filter;
}

Result<std::int64_t> count_members(const store::Reader& reader, const fleet::Group& group,
                                   const store::KindCount& kind) {
  if (kind.devices > rollout::kSmallStratum && group.devices() == nullptr) {
    TRY_ASSIGN(const std::int64_t inside, reader.devices.count_sample(group, kind.kind, kSample));
    const std::int64_t estimate = inside * kind.devices / kSample;
    if (estimate > rollout::kSmallStratum) return estimate;
    // A few among very many: their number must be exact, so they are looked for. The query's tag leads to them at once.
  }
  return reader.devices.count(members_of(group, kind.kind), kCountTo);
}

Result<std::vector<rollout::Stratum>> count_strata(const store::Reader& reader, const fleet::Group& group,
                                                   const rollout::ReleaseView& release, const store::RolloutRow& row,
                                                   std::int32_t stage) {
  std::vector<rollout::Stratum> strata;
  TRY_ASSIGN(const std::vector<store::KindCount> kinds, reader.devices.kinds());
  for (const store::KindCount& kind : kinds) {
    if (!std::binary_search(release.kinds.begin(), release.kinds.end(), kind.kind)) continue;
    rollout::Stratum stratum;
    stratum.kind = kind.kind;
    TRY_ASSIGN(stratum.members, count_members(reader, group, kind));
    stratum.threshold_before = stage > 0 ? row.thresholds.of(kind.kind) : 0;
    if (stratum.threshold_before > 0 && rollout::is_small(stratum)) {
      TRY_ASSIGN(stratum.covered, reader.devices.count_below(group, kind.kind, row.salt, stratum.threshold_before));
    }
    strata.push_back(std::move(stratum));
  }
  return strata;
}

}  // namespace

Result<OpenedStage> plan_stage(const store::Reader& reader, const store::Control& control, const store::RolloutRow& row,
                               std::int32_t stage) {
  const store::GroupEntry* group = control.group(row.spec.group);
  const store::ReleaseEntry* release = control.release(row.spec.model, row.spec.release);
  if (group == nullptr || release == nullptr) return Error(Code::not_found, "the rollout's group or release is gone");
  TRY_ASSIGN(const auto strata, count_strata(reader, group->group, release->view, row, stage));
  const rollout::StagePlan plan = rollout::plan_stage(row.spec.stages[static_cast<std::size_t>(stage)], strata,
                                                      stage > 0 ? row.thresholds.otherwise : 0);
  OpenedStage opened;
  opened.covered = plan.expected;
  opened.thresholds.otherwise = plan.otherwise;
  for (const rollout::StratumPlan& stratum : plan.strata) {
    std::optional<std::uint64_t> bucket;
    if (stratum.member > 0) {
      TRY_ASSIGN(bucket, reader.devices.bucket_of(group->group, stratum.kind, row.salt, stratum.member));
    }
    opened.thresholds.by_kind.emplace_back(stratum.kind, rollout::settle(stratum, bucket));
  }
  std::sort(opened.thresholds.by_kind.begin(), opened.thresholds.by_kind.end());
  return opened;
}

Result<bool> anybody_served(const store::Reader& reader, const fleet::Group& group,
                            const rollout::ReleaseView& release) {
  for (const std::string& kind : release.kinds) {
    TRY_ASSIGN(const std::int64_t one, reader.devices.count(members_of(group, kind), 1));
    if (one > 0) return true;
  }
  return false;
}

}  // namespace drover::api
