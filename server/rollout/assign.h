// What one device is to run: the pure evaluation behind a check-in that has news.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "server/fleet/device.h"
#include "server/fleet/group.h"
#include "server/rollout/bucket.h"
#include "server/rollout/engine.h"

namespace drover::rollout {

struct ReleaseView {
  std::string model;
  std::string version;
  bool withdrawn = false;
  std::vector<std::string> kinds;  // sorted; those that have a variant
};

// One rollout of the control-plane snapshot. Does not own; everything must outlive the call.
struct RolloutView {
  std::string_view id;
  std::uint64_t order = 0;  // of creation: the larger is the newer
  std::string_view salt;
  const wire::RolloutSpec* spec = nullptr;
  const RolloutState* state = nullptr;
  const fleet::Group* group = nullptr;
  const Thresholds* thresholds = nullptr;
  const ReleaseView* release = nullptr;  // null: it is gone, which is as withdrawn
};

struct InstalledRelease {
  std::string model;
  std::string release;
};

// This device's deployment in a rollout; at most one for each.
struct PastDeployment {
  std::string id;
  std::string rollout;
  Standing standing = Standing::none;
  bool activated = false;     // in_flight: its activation was reported, so it can no longer be taken back
  std::string previous;       // the release that the device ran before, or empty
  bool return_ended = false;  // it has answered this rollout's rollback
};

enum class Want : std::uint8_t {
  nothing,  // name no target for this model: what is installed stays, what is under way and not activated stops
  keep,     // name `release`: it is installed, or on its way by `deployment`
  offer,    // name `release` in a new deployment of `rollout`, once decide() took the offer
  go_back,  // name `release` with rollback = true: what the device itself ran before
};

enum class Why : std::uint8_t {
  no_rollout,         // none covers it
  on_its_way,         // keep: in flight
  done,               // keep: succeeded here
  already_installed,  // keep: runs it without a deployment of this rollout; feed none to succeeded
  new_offer,
  rollback,
  taken_back,  // nothing: halted, aborted, withdrawn or rolled back before activation
  paused,      // nothing: it would be offered, were the rollout not paused
  halted,
  failed_before,  // nothing: it failed, went back, or gave up in this rollout
  not_yet,        // nothing: behind the stage's threshold
  capped,         // nothing: in-flight or count cap
  withdrawn,
  no_variant,   // nothing: no variant for its kind
  no_previous,  // nothing: the rollback finds nothing to go back to; feed nothing_before
};
std::string_view to_text(Why why);

struct Desired {
  std::string model;
  Want want = Want::nothing;
  Why why = Why::no_rollout;
  std::string release;     // with keep, offer, go_back
  std::string rollout;     // which decided; empty for no_rollout
  std::string deployment;  // PastDeployment::id, if there is one
  bool rollback = false;
  // The newest rollout that covers the device, or one behind it, would offer but for a cap, whatever an older one has to
  // say: a place comes free without anybody's doing, so the device is to be asked about again.
  bool waits_for_place = false;
};

// Finds a release of a model; null when unknown.
using ReleaseLookup = std::function<const ReleaseView*(std::string_view model, std::string_view version)>;

// One Desired for each model that a rollout delivers, sorted by model. For each the newest rollout decides that covers
// the device and has something for it; one that has nothing (not yet, paused, halted, failed here, no variant) leaves
// it to the next older one, and if none has anything, the newest one's reason stands. A device that is not active gets
// nothing.
//
//  - It failed, went back or gave up here: not offered here again.
//  - Paused: no new offer; in flight goes on. Halted, aborted, withdrawn: in flight and not activated is taken back.
//  - Completed: late joiners are served. Withdrawn: never offered; where it runs already, it stays until a rollback.
//  - Rolling or rolled back: who succeeded, or activated, goes back to its own previous release.
std::vector<Desired> assign(const fleet::DeviceView& device, const std::vector<InstalledRelease>& installed,
                            const std::vector<PastDeployment>& history, const std::vector<RolloutView>& rollouts,
                            const ReleaseLookup& find_release);

}  // namespace drover::rollout
