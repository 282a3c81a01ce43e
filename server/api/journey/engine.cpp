#include "server/api/journey/engine.h"

#include <deque>

#include "common/obs/log.h"
#include "server/api/change.h"
#include "server/api/journey/stage.h"

namespace drover::api {
namespace {

constexpr std::size_t kMaxSweep = 500;   // silent devices in one transaction; the next tick goes on
constexpr int kMaxInputs = 4096;         // that one input may lead to: a bug's end, not a limit of use
constexpr std::string_view kServer = "server";

// What check-ins see of a rollout: when it changes, every device is to be evaluated again.
bool seen_by_devices(const rollout::RolloutState& before, const rollout::RolloutState& after) {
  return before.phase != after.phase || before.stage != after.stage || before.stage_opened != after.stage_opened;
}

class Run {
 public:
  Run(store::Writer& writer, store::RolloutRow& row, WallTime now) : writer_(writer), row_(row), now_(now) {}

  Status feed(rollout::Input first) {
    TRY(one(std::move(first)));
    for (int i = 0; !inputs_.empty(); ++i) {
      if (i == kMaxInputs) return Error(Code::internal, "a rollout does not come to rest");
      rollout::Input next = std::move(inputs_.front());
      inputs_.pop_front();
      // What follows from an action may come too late, when an earlier one has changed the phase.
      if (Status status = one(std::move(next)); !status) log::failure("an input was passed over", status.error());
    }
    return writer_.rollouts.update(row_);
  }

  Status take(rollout::Decision decision) {
    if (!decision.outcome) return std::move(decision.outcome).error();
    if (seen_by_devices(row_.state, decision.state)) writer_.control_changed();
    row_.state = std::move(decision.state);
    for (const rollout::Action& action : decision.actions) TRY(act(action));
    return {};
  }

 private:
  Status one(rollout::Input input) { return take(rollout::decide(row_.spec, row_.state, input)); }

  Status act(const rollout::Action& action) {
    using Kind = rollout::Action::Kind;
    switch (action.kind) {
      case Kind::open_stage: return open_stage(action.stage);
      case Kind::sweep_silent: return sweep_silent(action);
      case Kind::halt:
      case Kind::start_rollback:
      case Kind::finish_rollback:
      case Kind::complete:
      case Kind::note: return note(action);
    }
    return {};
  }

  Status open_stage(std::int32_t stage) {
    TRY(writer_.rollouts.update(row_));
    TRY_ASSIGN(const auto control, writer_.control());
    TRY_ASSIGN(OpenedStage opened, plan_stage(writer_.reader(), *control, row_, stage).within("opening a stage"));
    row_.thresholds = std::move(opened.thresholds);
    writer_.control_changed();
    inputs_.push_back({now_, rollout::StageOpened{stage, opened.covered}});
    return {};
  }

  Status sweep_silent(const rollout::Action& action) {
    TRY_ASSIGN(std::vector<store::Deployment> silent,
               writer_.deployments.silent(row_.no, action.stage, action.watched, kMaxSweep));
    for (store::Deployment& deployment : silent) {
      deployment.standing = rollout::Standing::silent;
      deployment.updated_at = now_;
      deployment.code = Code::timeout;
      deployment.detail = "the device said nothing final before the stage's deadline";
      TRY(writer_.deployments.update(deployment));
      inputs_.push_back({now_, rollout::DeploymentMoved{deployment.stage, rollout::Standing::in_flight,
                                                        rollout::Standing::silent}});
    }
    return {};
  }

  Status note(const rollout::Action& action) {
    writer_.control_changed();
    log::info(action.text, {{"rollout", row_.id}, {"model", row_.spec.model}, {"release", row_.spec.release}});
    auth::Principal server;
    server.name = kServer;
    Effect effect;
    effect.action = "rollout.engine";
    effect.subject = row_.id;
    effect.detail = action.text;
    return record(writer_, server, effect, now_);
  }

  store::Writer& writer_;
  store::RolloutRow& row_;
  WallTime now_;
  std::deque<rollout::Input> inputs_;
};

}  // namespace

Status feed(store::Writer& writer, store::RolloutRow& row, rollout::Input input) {
  const WallTime now = input.now;
  return Run(writer, row, now).feed(std::move(input));
}

Status begin_rollout(store::Writer& writer, store::RolloutRow& row, WallTime now) {
  rollout::Decision begun = rollout::begin(row.spec, now);
  row.state = begun.state;
  TRY(writer.rollouts.insert(row));
  writer.control_changed();
  Run run(writer, row, now);
  TRY(run.take(std::move(begun)));
  return run.feed({now, rollout::Tick{}});
}

Status tick_rollouts(store::Writer& writer, WallTime now) {
  TRY_ASSIGN(const auto control, writer.control());
  for (const store::RolloutEntry& entry : control->rollouts) {
    if (!entry.ticks) continue;
    TRY_ASSIGN(auto row, writer.rollouts.find_no(entry.no));
    if (row && rollout::needs_ticks(row->state)) TRY(feed(writer, *row, {now, rollout::Tick{}}));
  }
  return {};
}

Status move_deployment(store::Writer& writer, store::Deployment& deployment, rollout::Standing to, WallTime now) {
  TRY_ASSIGN(auto row, writer.rollouts.find_no(deployment.rollout_no));
  if (!row) return Error(Code::internal, "a deployment without its rollout");
  const Status moved = feed(writer, *row, {now, rollout::DeploymentMoved{deployment.stage, deployment.standing, to}});
  if (!moved && moved.error().code() == Code::invalid_argument) return writer.deployments.update(deployment);
  TRY(moved);
  deployment.standing = to;
  return writer.deployments.update(deployment);
}

}  // namespace drover::api
