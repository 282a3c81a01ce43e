#include "server/rollout/bucket.h"

#include <algorithm>
#include <queue>

#include "common/crypto/hash.h"
#include "server/gate/gate.h"

namespace drover::rollout {
namespace {

constexpr std::int64_t kMillion = 1'000'000;

// Part of a whole; 0 <= part <= whole, whole > 0.
struct Share {
  std::int64_t part = 0;
  std::int64_t whole = 1;
};

// part / whole of kEveryone, rounded down: long division by bits, since part * 2^63 does not fit.
std::uint64_t threshold_of(const Share& share) {
  if (share.part >= share.whole) return kEveryone;
  std::uint64_t quotient = 0;
  std::int64_t rest = share.part;
  for (int bit = 0; bit < 63; ++bit) {
    rest *= 2;
    quotient *= 2;
    if (rest < share.whole) continue;
    rest -= share.whole;
    ++quotient;
  }
  return quotient;
}

std::int64_t rounded(std::int64_t members, const Share& share) {
  return (2 * members * share.part + share.whole) / (2 * share.whole);
}

Share share_of(const wire::StageSpec& stage, std::int64_t members) {
  if (stage.count > 0) return {std::min(stage.count, members), std::max<std::int64_t>(members, 1)};
  return {std::clamp<std::int64_t>(gate::to_ppm(stage.percent), 1, kMillion), kMillion};
}

// A small stratum on its way to its number of devices. `lack` is in units of 1 / share.whole of a device.
struct Candidate {
  std::int64_t lack;
  std::int64_t members;
  std::size_t index;

  // std::priority_queue takes the largest: who lacks most, then the larger stratum, then the first.
  bool operator<(const Candidate& other) const {
    if (lack != other.lack) return lack < other.lack;
    return members != other.members ? members < other.members : index > other.index;
  }
};

// One device at a time to the stratum that lacks most. This gives largest remainders when nobody is inside yet, and
// never takes a device out again, which largest remainders on their own may do as the total grows.
void divide(std::vector<StratumPlan>& plans, const std::vector<Stratum>& strata, const Share& share,
            std::int64_t total) {
  std::priority_queue<Candidate> waiting;
  for (std::size_t i = 0; i < strata.size(); ++i) {
    if (!is_small(strata[i])) continue;
    plans[i].expected = std::min(strata[i].covered, strata[i].members);
    total -= plans[i].expected;
    if (plans[i].expected < strata[i].members)
      waiting.push({strata[i].members * share.part - plans[i].expected * share.whole, strata[i].members, i});
  }
  for (; total > 0 && !waiting.empty(); --total) {
    Candidate next = waiting.top();
    waiting.pop();
    next.lack -= share.whole;
    if (++plans[next.index].expected < next.members) waiting.push(next);
  }
  for (std::size_t i = 0; i < strata.size(); ++i)
    if (is_small(strata[i]) && plans[i].expected > std::min(strata[i].covered, strata[i].members))
      plans[i].member = plans[i].expected;
}

void plan_large(StratumPlan& plan, const Stratum& stratum, const Share& share) {
  plan.threshold = std::max(plan.threshold, threshold_of(share));
  const double inside = static_cast<double>(plan.threshold) / static_cast<double>(kEveryone);
  plan.expected = static_cast<std::int64_t>(inside * static_cast<double>(stratum.members) + 0.5);
}

void plan_everyone(StagePlan& plan, const std::vector<Stratum>& strata) {
  plan.otherwise = kEveryone;
  for (std::size_t i = 0; i < strata.size(); ++i) {
    plan.strata[i].threshold = kEveryone;
    plan.strata[i].expected = strata[i].members;
  }
}

}  // namespace

std::uint64_t bucket(std::string_view salt, std::string_view device_id) {
  std::string text(salt);
  text += '\0';
  text += device_id;
  const crypto::Digest digest = crypto::sha256(text);
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | digest.raw()[static_cast<std::size_t>(i)];
  return std::min(value >> 1, kEveryone - 1);
}

StagePlan plan_stage(const wire::StageSpec& stage, const std::vector<Stratum>& strata, std::uint64_t otherwise_before) {
  StagePlan plan;
  plan.otherwise = otherwise_before;
  std::int64_t members = 0, small_members = 0;
  for (const Stratum& stratum : strata) {
    plan.strata.push_back({stratum.kind, 0, stratum.threshold_before, 0});
    members += stratum.members;
    if (is_small(stratum)) small_members += stratum.members;
  }
  const Share share = share_of(stage, members);
  if (stage.count == 0 && share.part == share.whole) {
    plan_everyone(plan, strata);
  } else {
    std::int64_t total = rounded(small_members, share);
    if (total == 0 && small_members == members && members > 0) total = 1;
    divide(plan.strata, strata, share, total);
    for (std::size_t i = 0; i < strata.size(); ++i)
      if (!is_small(strata[i])) plan_large(plan.strata[i], strata[i], share);
    if (stage.count == 0) plan.otherwise = std::max(otherwise_before, threshold_of(share));
  }
  for (const StratumPlan& stratum : plan.strata) plan.expected += stratum.expected;
  return plan;
}

std::uint64_t settle(const StratumPlan& plan, std::optional<std::uint64_t> bucket_of_member) {
  if (plan.member == 0 || !bucket_of_member) return plan.threshold;
  return std::max(plan.threshold, std::min(*bucket_of_member + 1, kEveryone));
}

std::uint64_t Thresholds::of(std::string_view kind) const {
  const auto at = std::lower_bound(by_kind.begin(), by_kind.end(), kind,
                                   [](const auto& pair, std::string_view wanted) { return pair.first < wanted; });
  return at != by_kind.end() && at->first == kind ? at->second : otherwise;
}

}  // namespace drover::rollout
