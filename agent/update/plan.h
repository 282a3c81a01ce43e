// What a device should do next, from what is assigned to it and what it holds. Pure.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/update/lifecycle.h"

namespace drover::update {

// Where a device keeps a model.
struct Held {
  std::string package;  // "sha256:<manifest>"; empty: nothing
  std::string release;
  std::int64_t release_counter = 0;
  WallTime since{};

  bool operator==(const Held&) const = default;
};
struct Slot {
  std::string model;
  Held current;
  Held previous;                // what it held before; its files stay on disk
  std::int64_t floor = 0;       // highest release counter ever committed: nothing below it is ever installed
  std::string last_deployment;  // the one that ended last; it is not begun again

  bool operator==(const Slot&) const = default;
};

// The target to begin with now: the first, by model name, whose deployment has not ended here. None: nothing to do.
std::optional<Target> next_target(std::span<const Target> assigned, std::span<const Slot> slots);

// Why the deployment under way is no longer wanted, if so: superseded when its model has another deployment now, halted
// when it has none.
std::optional<Code> withdrawn(const State& state, std::span<const Target> assigned);

// model -> package: what `current` must show in this state. It follows from the state alone, so that after any crash
// the links can be put right before anything else is done.
using Links = std::map<std::string, std::string>;
Links wanted_links(const State& state, std::span<const Slot> slots);

// Packages that must stay on disk: what slots hold and held, and what is under way.
std::vector<std::string> kept_packages(const State& state, std::span<const Slot> slots);

// The slot after its target has been committed.
Slot recorded(const Slot& slot, const Target& target, WallTime now);

}  // namespace drover::update
