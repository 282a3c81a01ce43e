// How much a validation may take, from the policy of the package.
#pragma once

#include <cstdint>

#include "common/package/policy.h"

namespace drover::validators {

// For a package without memory budget: more than a device of our kinds has to spare.
inline constexpr std::uint64_t kDefaultMemory = std::uint64_t{1} << 30;
// Over the budget before the supervisor kills: the exact peak is checked inside, with a better message.
inline constexpr std::uint64_t kResidentSlack = std::uint64_t{32} << 20;
// Allocators reserve more address space than they touch.
inline constexpr std::uint64_t kAddressSlack = std::uint64_t{512} << 20;

inline std::uint64_t memory_budget(const package::PackagePolicy& policy) {
  return policy.validation.memory ? policy.validation.memory->budget_bytes : kDefaultMemory;
}

// With both models loaded. `incumbent` may be null.
inline std::uint64_t resident_limit(const package::PackagePolicy& policy, const package::PackagePolicy* incumbent) {
  return memory_budget(policy) + (incumbent != nullptr ? memory_budget(*incumbent) : 0) + kResidentSlack;
}

inline std::uint64_t address_space(const package::PackagePolicy& policy, const package::PackagePolicy* incumbent) {
  return resident_limit(policy, incumbent) + kAddressSlack;
}

}  // namespace drover::validators
