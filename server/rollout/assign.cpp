#include "server/rollout/assign.h"

#include <algorithm>
#include <array>
#include <optional>

namespace drover::rollout {
namespace {

struct Call {
  const fleet::DeviceView& device;
  const std::vector<InstalledRelease>& installed;
  const std::vector<PastDeployment>& history;
  const ReleaseLookup& find_release;
};

const PastDeployment* past_in(const Call& call, std::string_view rollout) {
  const auto at =
      std::find_if(call.history.begin(), call.history.end(), [&](const auto& past) { return past.rollout == rollout; });
  return at == call.history.end() ? nullptr : &*at;
}

bool runs(const Call& call, std::string_view model, std::string_view release) {
  return std::any_of(call.installed.begin(), call.installed.end(),
                     [&](const auto& one) { return one.model == model && one.release == release; });
}

bool has_variant(const ReleaseView& release, std::string_view kind) {
  return std::binary_search(release.kinds.begin(), release.kinds.end(), kind);
}

Desired make(const RolloutView& rollout, Want want, Why why, const PastDeployment* past) {
  Desired desired;
  desired.model = rollout.spec->model;
  desired.want = want;
  desired.why = why;
  desired.rollout = rollout.id;
  if (want != Want::nothing) desired.release = rollout.spec->release;
  if (past != nullptr) desired.deployment = past->id;
  return desired;
}

// What one rollout has for the device. `decides`: no older one is asked.
struct Opinion {
  Desired desired;
  bool decides = false;
};
Opinion decides(Desired desired) { return {std::move(desired), true}; }
Opinion leaves(Desired desired) { return {std::move(desired), false}; }

Opinion go_back(const Call& call, const RolloutView& rollout, const PastDeployment& past) {
  Desired desired = make(rollout, Want::go_back, Why::rollback, &past);
  const ReleaseView* release = past.previous.empty() ? nullptr : call.find_release(rollout.spec->model, past.previous);
  if (release == nullptr || release->withdrawn || !has_variant(*release, call.device.kind))
    return decides(make(rollout, Want::nothing, Why::no_previous, &past));
  desired.release = past.previous;
  desired.rollback = true;
  return decides(std::move(desired));
}

// Reported as active, or simply there: then it is too late to take it back.
bool is_active(const Call& call, const RolloutView& rollout, const PastDeployment& past) {
  return past.activated || runs(call, rollout.spec->model, rollout.spec->release);
}

Opinion on_its_way(const Call& call, const RolloutView& rollout, const PastDeployment& past, bool withdrawn) {
  const Phase phase = rollout.state->phase;
  const bool stopped = phase == Phase::halted || phase == Phase::aborted || withdrawn;
  if (stopped && !is_active(call, rollout, past)) return leaves(make(rollout, Want::nothing, Why::taken_back, &past));
  return decides(make(rollout, Want::keep, Why::on_its_way, &past));
}

// The device has a deployment in this rollout.
Opinion opinion_with_past(const Call& call, const RolloutView& rollout, const PastDeployment& past) {
  const Phase phase = rollout.state->phase;
  const bool back = phase == Phase::rolling_back || phase == Phase::rolled_back;
  const bool under_way = past.standing == Standing::in_flight || past.standing == Standing::silent;
  if (!under_way && past.standing != Standing::succeeded)
    return leaves(make(rollout, Want::nothing, Why::failed_before, &past));
  if (back && past.return_ended) return leaves(make(rollout, Want::nothing, Why::rollback, &past));
  if (back && under_way && !is_active(call, rollout, past))
    return leaves(make(rollout, Want::nothing, Why::taken_back, &past));
  if (back) return go_back(call, rollout, past);
  const bool withdrawn = rollout.release == nullptr || rollout.release->withdrawn;
  if (under_way) return on_its_way(call, rollout, past, withdrawn);
  if (withdrawn) return decides(make(rollout, Want::nothing, Why::withdrawn, &past));
  return decides(make(rollout, Want::keep, Why::done, &past));
}

Why why_not(Offer offer) {
  switch (offer) {
    case Offer::allowed:
      return Why::new_offer;
    case Offer::not_covered:
      return Why::not_yet;
    case Offer::in_flight_cap:
    case Offer::count_cap:
      return Why::capped;
    case Offer::not_offering:
      return Why::not_yet;
  }
  return Why::not_yet;
}

// The device has none; the group covers it.
Opinion opinion_on_new(const Call& call, const RolloutView& rollout) {
  const auto no = [&](Why why) { return leaves(make(rollout, Want::nothing, why, nullptr)); };
  if (rollout.release == nullptr || rollout.release->withdrawn) return no(Why::withdrawn);
  if (!has_variant(*rollout.release, call.device.kind)) return no(Why::no_variant);
  if (rollout.state->phase == Phase::paused) return no(Why::paused);
  if (!is_offering(rollout.state->phase)) return no(Why::halted);
  const Offer offer = offer_allowed(*rollout.spec, *rollout.state, bucket(rollout.salt, call.device.id),
                                    rollout.thresholds->of(call.device.kind));
  const bool installed = runs(call, rollout.spec->model, rollout.spec->release);
  // Installed takes a place in the stage, but nothing is in flight for it.
  if (installed && (offer == Offer::allowed || offer == Offer::in_flight_cap))
    return decides(make(rollout, Want::keep, Why::already_installed, nullptr));
  if (offer != Offer::allowed) return no(why_not(offer));
  return decides(make(rollout, Want::offer, Why::new_offer, nullptr));
}

// Nothing: the rollout has never had to do with the device. A device that left the group keeps what it got there.
std::optional<Opinion> opinion(const Call& call, const RolloutView& rollout) {
  if (const PastDeployment* past = past_in(call, rollout.id)) return opinion_with_past(call, rollout, *past);
  if (rollout.group == nullptr || !rollout.group->covers(call.device)) return std::nullopt;
  return opinion_on_new(call, rollout);
}

// `newest` to `end`: the rollouts of one model, newest first.
template <class Iterator>
Desired decide_model(const Call& call, Iterator newest, Iterator end) {
  Desired first;
  first.model = (*newest)->spec->model;
  bool waits = false;
  for (bool found = false; newest != end; ++newest) {
    std::optional<Opinion> now = opinion(call, **newest);
    if (!now) continue;
    waits = waits || now->desired.why == Why::capped;
    if (!found || now->decides) first = std::move(now->desired);
    found = true;
    if (now->decides) break;
  }
  first.waits_for_place = waits;
  return first;
}

}  // namespace

std::string_view to_text(Why why) {
  static constexpr std::array<std::string_view, 15> kNames = {
      "no_rollout", "on_its_way", "done",       "already_installed", "new_offer", "rollback",
      "taken_back", "paused",     "halted",     "failed_before",     "not_yet",   "capped",
      "withdrawn",  "no_variant", "no_previous"};
  return kNames[static_cast<std::size_t>(why)];
}

std::vector<Desired> assign(const fleet::DeviceView& device, const std::vector<InstalledRelease>& installed,
                            const std::vector<PastDeployment>& history, const std::vector<RolloutView>& rollouts,
                            const ReleaseLookup& find_release) {
  std::vector<Desired> out;
  if (device.state != fleet::DeviceState::active) return out;
  std::vector<const RolloutView*> order;
  for (const RolloutView& rollout : rollouts) order.push_back(&rollout);
  std::sort(order.begin(), order.end(), [](const RolloutView* a, const RolloutView* b) {
    return a->spec->model != b->spec->model ? a->spec->model < b->spec->model : a->order > b->order;
  });
  const Call call{device, installed, history, find_release};
  for (auto begin = order.begin(); begin != order.end();) {
    const auto end = std::find_if(begin, order.end(),
                                  [&](const RolloutView* one) { return one->spec->model != (*begin)->spec->model; });
    out.push_back(decide_model(call, begin, end));
    begin = end;
  }
  return out;
}

}  // namespace drover::rollout
