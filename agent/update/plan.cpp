#include "agent/update/plan.h"

#include <algorithm>

namespace drover::update {
namespace {

const Slot* find_slot(std::span<const Slot> slots, const std::string& model) {
  const auto found = std::find_if(slots.begin(), slots.end(), [&](const Slot& slot) { return slot.model == model; });
  return found == slots.end() ? nullptr : &*found;
}

}  // namespace

std::optional<Target> next_target(std::span<const Target> assigned, std::span<const Slot> slots) {
  const Target* first = nullptr;
  for (const Target& target : assigned) {
    const Slot* slot = find_slot(slots, target.model);
    if (slot != nullptr && slot->last_deployment == target.deployment) continue;
    if (first == nullptr || target.model < first->model) first = &target;
  }
  if (first == nullptr) return std::nullopt;
  return *first;
}

std::optional<Code> withdrawn(const State& state, std::span<const Target> assigned) {
  if (state.step == Step::idle) return std::nullopt;
  for (const Target& target : assigned) {
    if (target.model != state.target.model) continue;
    if (target.deployment == state.target.deployment && target.package == state.target.package) return std::nullopt;
    return Code::superseded;
  }
  return Code::halted;
}

Links wanted_links(const State& state, std::span<const Slot> slots) {
  Links links;
  for (const Slot& slot : slots)
    if (!slot.current.package.empty()) links[slot.model] = slot.current.package;
  if (on_trial(state.step)) links[state.target.model] = state.target.package;
  return links;
}

std::vector<std::string> kept_packages(const State& state, std::span<const Slot> slots) {
  std::vector<std::string> kept;
  const auto keep = [&](const std::string& package) {
    if (!package.empty()) kept.push_back(package);
  };
  for (const Slot& slot : slots) {
    keep(slot.current.package);
    keep(slot.previous.package);
  }
  if (state.step != Step::idle) {
    keep(state.target.package);
    keep(state.previous);
  }
  std::sort(kept.begin(), kept.end());
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  return kept;
}

Slot recorded(const Slot& slot, const Target& target, WallTime now) {
  Slot next = slot;
  next.model = target.model;
  if (slot.current.package != target.package) {
    next.previous = slot.current;
    next.current.since = now;
  }
  next.current.package = target.package;
  next.current.release = target.release;
  next.current.release_counter = target.release_counter;
  next.floor = std::max(slot.floor, target.release_counter);
  return next;
}

}  // namespace drover::update
