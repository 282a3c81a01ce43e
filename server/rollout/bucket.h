// Places in a rollout. A device's place is a hash, so it needs no row; a stage is one threshold on it per stratum
// (kind of device), so a rollout costs the same for 10 devices and 10 million. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/wire/rollout.h"

namespace drover::rollout {

// A device is in when bucket < threshold. kEveryone is above every bucket, and fits a signed SQL INTEGER as they do.
inline constexpr std::uint64_t kEveryone = INT64_MAX;

// The first 8 bytes, big endian, of SHA-256(salt || 0x00 || device id), shifted right by one; never kEveryone.
std::uint64_t bucket(std::string_view salt, std::string_view device_id);

// Strata up to this size are counted and divided exactly (one bounded query); larger ones by share.
inline constexpr std::int64_t kSmallStratum = 4096;

// What the store knows of one stratum when a stage opens: the group's active devices of one kind for which the release
// has a variant.
struct Stratum {
  std::string kind;
  std::int64_t members = 0;            // exact up to kSmallStratum, an estimate above
  std::int64_t covered = 0;            // members with bucket < threshold_before; looked at for small strata only
  std::uint64_t threshold_before = 0;  // of the stage before; 0 in the first
};
constexpr bool is_small(const Stratum& stratum) { return stratum.members <= kSmallStratum; }

struct StratumPlan {
  std::string kind;
  std::int64_t member =
      0;  // when > 0: the threshold is one above the bucket of this member, in order of buckets, from 1
  std::uint64_t threshold = 0;  // what it is at least; final when `member` is 0
  std::int64_t expected = 0;    // devices inside
};

struct StagePlan {
  std::vector<StratumPlan> strata;  // in the order given
  std::uint64_t otherwise = 0;      // for kinds that join later
  std::int64_t expected = 0;        // devices inside, those of earlier stages included
};

// Divides a stage between the strata. Small strata share their part by largest remainders, so that 25 % of 4 + 4 is 2;
// at least 1 device of a non-empty group; 100 % is everyone, whoever joins; a count takes as many, or all there are.
// Every threshold is at least the one before, so a stage contains the stage before it: also when that makes it larger
// than asked for because devices have left or joined. A share that stands for less than about 8 devices of a large
// stratum may by chance stand for none.
StagePlan plan_stage(const wire::StageSpec& stage, const std::vector<Stratum>& strata,
                     std::uint64_t otherwise_before = 0);

// The threshold of a plan, given the bucket of plan.member; nothing: there is no such member (any more).
std::uint64_t settle(const StratumPlan& plan, std::optional<std::uint64_t> bucket_of_member);

// The thresholds of the open stage.
struct Thresholds {
  std::vector<std::pair<std::string, std::uint64_t>> by_kind;  // sorted by kind
  std::uint64_t otherwise = 0;

  std::uint64_t of(std::string_view kind) const;
};

}  // namespace drover::rollout
