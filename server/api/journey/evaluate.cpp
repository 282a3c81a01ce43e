#include "server/api/journey/evaluate.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/api/journey/engine.h"
#include "common/tuf/author.h"

namespace drover::api {
namespace {

using rollout::Want;
using rollout::Why;

// Everything that assign() looks at, kept alive together.
struct Facts {
  std::vector<rollout::InstalledRelease> installed;
  std::vector<store::Deployment> deployments;
  std::vector<rollout::PastDeployment> history;
  std::vector<rollout::RolloutState> states;
  std::vector<rollout::RolloutView> views;
  bool held = false;  // a rollout that covers the device is not told of yet
};

bool has_begun(const Facts& facts, const store::RolloutEntry& entry) {
  return std::any_of(facts.deployments.begin(), facts.deployments.end(),
                     [&](const store::Deployment& one) { return one.rollout_no == entry.no; });
}

Status load_rollouts(const store::Reader& reader, const store::Control& control, const store::Device& device,
                     const HoldFn& hold, Facts& facts) {
  std::vector<const store::RolloutEntry*> covering;
  for (const store::RolloutEntry& entry : control.rollouts) {
    if (!entry.group || !entry.group->group.covers(device.view)) continue;
    if (hold && !has_begun(facts, entry) && hold(entry))
      facts.held = true;
    else
      covering.push_back(&entry);
  }
  facts.states.reserve(covering.size());
  for (const store::RolloutEntry* entry : covering) {
    TRY_ASSIGN(rollout::RolloutState state, reader.rollouts.state(entry->no));
    facts.states.push_back(std::move(state));
    const store::ReleaseEntry* release = control.release(entry->spec.model, entry->spec.release);
    rollout::RolloutView view;
    view.id = entry->id;
    view.order = static_cast<std::uint64_t>(entry->no);
    view.salt = entry->salt;
    view.spec = &entry->spec;
    view.state = &facts.states.back();
    view.group = &entry->group->group;
    view.thresholds = &entry->thresholds;
    view.release = release == nullptr ? nullptr : &release->view;
    facts.views.push_back(view);
  }
  return {};
}

const store::RolloutEntry* entry_of(const store::Control& control, std::int64_t no) {
  for (const store::RolloutEntry& entry : control.rollouts)
    if (entry.no == no) return &entry;
  return nullptr;
}

Status load_history(const store::Reader& reader, const store::Control& control, const store::Device& device,
                    Facts& facts) {
  TRY_ASSIGN(facts.deployments, reader.deployments.of_device(device.no, store::kMaxHistory));
  for (const store::Deployment& one : facts.deployments) {
    const store::RolloutEntry* entry = entry_of(control, one.rollout_no);
    if (entry == nullptr) continue;
    facts.history.push_back({store::deployment_id(one.no), entry->id, one.standing, one.activated, one.previous,
                             one.return_ended});
  }
  TRY_ASSIGN(const std::vector<wire::Installed> installed, reader.devices.installed(device.no));
  for (const wire::Installed& one : installed) facts.installed.push_back({one.model, one.release});
  return {};
}

Result<Facts> load_facts(const store::Reader& reader, const store::Control& control, const store::Device& device,
                         const HoldFn& hold) {
  Facts facts;
  TRY(load_history(reader, control, device, facts));
  TRY(load_rollouts(reader, control, device, hold, facts));
  return facts;
}

std::vector<rollout::Desired> decide_for(const store::Control& control, const store::Device& device,
                                         const Facts& facts) {
  const auto find = [&control](std::string_view model, std::string_view version) -> const rollout::ReleaseView* {
    const store::ReleaseEntry* entry = control.release(model, version);
    return entry == nullptr ? nullptr : &entry->view;
  };
  return rollout::assign(device.view, facts.installed, facts.history, facts.views, find);
}

bool needs_recording(const rollout::Desired& desired) {
  if (desired.want == Want::offer || desired.why == Why::no_previous) return true;
  return desired.why == Why::already_installed && desired.deployment.empty() && !desired.rollout.empty();
}

// What the director names for one model, if anything.
void add_target(const store::Control& control, const store::Device& device, const rollout::Desired& desired,
                Targets& targets) {
  if (desired.want == Want::nothing) return;
  const store::ReleaseEntry* release = control.release(desired.model, desired.release);
  const store::VariantRow* variant = release == nullptr ? nullptr : release->variant(device.view.kind);
  if (variant == nullptr) return;
  const auto manifest = crypto::Digest::parse(variant->manifest);
  if (!manifest) return;
  tuf::AssignedTarget target;
  target.length = static_cast<std::uint64_t>(release->row.index_size);
  target.hashes["sha256"] = release->row.index_digest.substr(std::string_view("sha256:").size());
  target.kind = device.view.kind;
  target.variant = *manifest;
  target.release_counter = release->row.release_counter;
  target.deployment = desired.deployment;
  target.rollback = desired.want == Want::go_back;
  if (target.rollback && !target.deployment.empty()) target.deployment += "-back";
  std::string path = desired.model;
  path += '/';
  path += desired.release;
  targets.emplace(std::move(path), std::move(target));
}

std::string content_of(const Targets& targets) {
  tuf::Assignment assignment;
  assignment.targets = targets;
  return tuf::make_assignment(assignment).signed_part()["targets"].dump();
}

void name_targets(const store::Control& control, const store::Device& device, Evaluation& out) {
  out.targets.clear();
  for (const rollout::Desired& desired : out.desired) add_target(control, device, desired, out.targets);
  out.content = content_of(out.targets);
}

std::string previous_of(const Facts& facts, std::string_view model) {
  for (const rollout::InstalledRelease& one : facts.installed)
    if (one.model == model) return one.release;
  return "";
}

// Makes the deployment, if its rollout takes it; rate_limited or conflict when it does not.
Status begin_deployment(store::Writer& writer, const store::Device& device, const Facts& facts,
                        rollout::Desired& desired, rollout::Standing standing, WallTime now) {
  TRY_ASSIGN(auto row, writer.rollouts.find(desired.rollout));
  if (!row) return Error(Code::conflict, "the rollout is gone");
  const std::int32_t stage = row->state.stage;
  TRY(feed(writer, *row, {now, rollout::DeploymentMoved{stage, rollout::Standing::none, standing}}));
  store::Deployment deployment;
  deployment.device_no = device.no;
  deployment.rollout_no = row->no;
  deployment.stage = stage;
  deployment.model = desired.model;
  deployment.release = desired.release;
  if (standing == rollout::Standing::in_flight) deployment.previous = previous_of(facts, desired.model);
  deployment.standing = standing;
  deployment.offered_at = deployment.updated_at = now;
  deployment.offered_watched = row->state.watched;
  TRY(writer.deployments.insert(deployment));
  desired.deployment = store::deployment_id(deployment.no);
  return {};
}

Status note_nothing_before(store::Writer& writer, const rollout::Desired& desired, WallTime now) {
  const auto name = store::parse_deployment_id(desired.deployment);
  if (!name) return {};
  TRY_ASSIGN(auto deployment, writer.deployments.find(name->no));
  TRY_ASSIGN(auto row, writer.rollouts.find(desired.rollout));
  if (!deployment || !row || deployment->return_ended) return {};
  // One that is still under way ends its deployment first, and is asked about again then: it must not count twice.
  if (deployment->standing != rollout::Standing::succeeded) return {};
  deployment->return_ended = true;
  deployment->updated_at = now;
  TRY(writer.deployments.update(*deployment));
  const Status fed = feed(writer, *row, {now, rollout::ReturnEnded{rollout::Return::nothing_before}});
  if (!fed && fed.error().code() != Code::invalid_argument && fed.error().code() != Code::conflict) return fed;
  return {};
}

bool is_refusal(const Status& status) {
  return !status && (status.error().code() == Code::rate_limited || status.error().code() == Code::conflict ||
                     status.error().code() == Code::invalid_argument);
}

}  // namespace

Result<Evaluation> evaluate(const store::Reader& reader, const store::Control& control, const store::Device& device,
                            const HoldFn& hold) {
  TRY_ASSIGN(const Facts facts, load_facts(reader, control, device, hold));
  Evaluation out;
  out.waiting = facts.held;
  out.desired = decide_for(control, device, facts);
  for (const rollout::Desired& desired : out.desired) {
    if (desired.waits_for_place) out.waiting = true;
    if (needs_recording(desired)) out.must_record = true;
  }
  name_targets(control, device, out);
  return out;
}

Result<Evaluation> evaluate_and_record(store::Writer& writer, const store::Device& device, WallTime now,
                                       const HoldFn& hold) {
  TRY_ASSIGN(const auto control, writer.control());
  TRY_ASSIGN(const Facts facts, load_facts(writer.reader(), *control, device, hold));
  Evaluation out;
  out.waiting = facts.held;
  out.desired = decide_for(*control, device, facts);
  for (rollout::Desired& desired : out.desired) {
    if (desired.waits_for_place) out.waiting = true;
    if (desired.why == Why::no_previous) {
      TRY(note_nothing_before(writer, desired, now));
      out.waiting = true;  // once it is noted, an older rollout may have something for the device
    }
    if (desired.want != Want::offer && !needs_recording(desired)) continue;
    if (desired.why == Why::no_previous) continue;
    const auto standing =
        desired.want == Want::offer ? rollout::Standing::in_flight : rollout::Standing::succeeded;
    const Status begun = begin_deployment(writer, device, facts, desired, standing, now);
    if (is_refusal(begun)) {
      out.waiting = true;
      if (desired.want == Want::offer) desired.want = Want::nothing;
      continue;
    }
    TRY(begun);
  }
  name_targets(*control, device, out);
  return out;
}

}  // namespace drover::api
