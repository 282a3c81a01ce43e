#include "tests/sim/server.h"

#include <array>

namespace drover::sim {

const RolloutFact* Facts::rollout(std::string_view id) const {
  for (const RolloutFact& one : rollouts)
    if (one.id == id) return &one;
  return nullptr;
}

std::string_view to_text(rollout::Phase phase) {
  static constexpr std::array<std::string_view, 9> kNames = {"open",      "soaking",      "awaiting promotion",
                                                             "paused",    "halted",       "aborted",
                                                             "completed", "rolling back", "rolled back"};
  return kNames[static_cast<std::size_t>(phase)];
}

std::vector<update::Target> targets_for(const Catalogue& catalogue, std::string_view kind,
                                        const std::vector<rollout::Desired>& desired) {
  std::vector<update::Target> targets;
  for (const rollout::Desired& one : desired) {
    if (one.want == rollout::Want::nothing) continue;
    const Release* release = catalogue.find(one.model, one.release);
    if (release == nullptr || !release->has_variant(kind)) continue;
    update::Target target;
    target.model = one.model;
    target.release = one.release;
    target.deployment = one.deployment;
    target.package = release->package(kind);
    target.index = release->index();
    target.release_counter = release->counter;
    target.rollback = one.want == rollout::Want::go_back;
    if (target.rollback) target.deployment += "-back";
    targets.push_back(std::move(target));
  }
  return targets;
}

}  // namespace drover::sim
