#include <algorithm>

#include "common/tuf/trusted_set.h"

namespace drover::tuf {

Search::Search(std::string target_path) : path_(std::move(target_path)) {
  to_visit_.push_back({std::string(kTargets), std::string(kRoot)});
}

Search::Step Search::advance(const TrustedSet& trusted) {
  while (!to_visit_.empty()) {
    const Visit visit = to_visit_.back();
    if (std::find(visited_.begin(), visited_.end(), visit.role) != visited_.end()) {
      to_visit_.pop_back();
      continue;
    }
    if (visited_.size() >= static_cast<std::size_t>(kMaxDelegations))
      return Error(Code::too_large,
                   "the search for " + path_ + " goes beyond " + std::to_string(kMaxDelegations) + " roles");
    const Targets* role = trusted.targets(visit.role);
    if (role == nullptr) return NeedRole{visit.role, visit.delegator};
    if (Status status = trusted.check_authority(visit.role, visit.delegator); !status) return std::move(status).error();
    if (const auto found = role->targets.find(path_); found != role->targets.end())
      return Found{found->second, visit.role};
    visited_.push_back(visit.role);
    to_visit_.pop_back();
    push_children(*role, visit.role);
  }
  return NotListed{};
}

void Search::push_children(const Targets& role, const std::string& name) {
  if (role.bins) {
    to_visit_ = {{role.bins->bin_of(path_), name}};  // bins are terminating
    return;
  }
  std::vector<Visit> children;
  for (const Delegation& delegation : role.delegations) {
    if (!delegation.covers(path_)) continue;
    children.push_back({delegation.name, name});
    if (!delegation.terminating) continue;
    // Neither later siblings nor those of the ancestors may have a say.
    to_visit_.clear();
    break;
  }
  to_visit_.insert(to_visit_.end(), children.rbegin(), children.rend());
}

}  // namespace drover::tuf
