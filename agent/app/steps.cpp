#include "agent/app/steps.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/obs/log.h"

namespace drover::agent {

namespace asio = boost::asio;
using update::Event;
using update::State;
using update::Step;

namespace {

// Asked of a repository whose online metadata has just expired, or is being published: it will be better soon.
bool may_pass(Code code) {
  return is_transient(code) || code == Code::metadata_expired || code == Code::metadata_mismatch ||
         code == Code::pending;
}

// A look around while waiting, should a wake-up be missed: nothing waits for ever.
constexpr std::chrono::seconds kLookAround{5};

}  // namespace

Event done_event() {
  Event event;
  event.kind = Event::Kind::done;
  return event;
}

Event failed_event(const Error& error) {
  Event event;
  event.kind = Event::Kind::failed;
  event.code = error.code();
  event.detail = error.message();
  event.retryable = may_pass(error.code());
  return event;
}

namespace {

Event event_of(const Status& status) { return status ? done_event() : failed_event(status.error()); }

}  // namespace

Steps::Steps(asio::any_io_executor executor, Tools tools) : tools_(tools), timer_(executor) {}

update::Moment Steps::now() const {
  return {tools_.files.boot_id().value_or("unknown"), tools_.clock.mono().time_since_epoch()};
}

void Steps::wake() {
  timer_.cancel();
  validator_.stop();
}

asio::awaitable<void> Steps::wait_until(MonoTime time) {
  const MonoTime soon = std::min(time, tools_.clock.mono() + kLookAround);
  timer_.expires_at(std::chrono::time_point_cast<std::chrono::steady_clock::duration>(soon));
  constexpr auto token = asio::as_tuple(asio::use_awaitable);
  co_await timer_.async_wait(token);
}

asio::awaitable<Event> Steps::run(State state, Stop stop) {
  Status status;
  switch (state.step) {
    case Step::sync:
      status = co_await sync(state);
      break;
    case Step::preflight:
      status = preflight(state);
      break;
    case Step::fetch:
      co_return co_await fetch(std::move(state), std::move(stop));
    case Step::verify:
      status = co_await verify(state, std::move(stop));
      break;
    case Step::stage:
      status = stage(state);
      break;
    case Step::validate:
      co_return co_await validate(std::move(state));
    case Step::activate:
    case Step::roll_back:
      status = show(state);
      break;
    case Step::confirm:
      co_return co_await confirm(std::move(state), std::move(stop));
    case Step::commit:
      status = commit(state);
      break;
    case Step::idle:
      break;
  }
  Event event = event_of(status);
  // What verification found wrong it has thrown away: fresh bytes may help, whatever the code.
  if (state.step == Step::verify && !status && status.error().code() != Code::cancelled) event.retryable = true;
  co_return event;
}

asio::awaitable<Status> Steps::sync(State state) {
  Status status = co_await tools_.link.ensure_session();
  if (!status) co_return std::move(status);
  const update::Slot* slot = tools_.store.slot(state.target.model);
  const std::int64_t floor = slot == nullptr ? 0 : slot->floor;
  status = co_await tools_.trust.agree(tools_.store.accepted(), state.target, floor, tools_.clock.wall());
  tools_.clock.raise(tools_.trust.signed_time());
  if (!status) co_return std::move(status);
  auto contents = co_await tools_.contents.fetch(state.target);
  if (!contents) co_return std::move(contents).error();
  co_return Status();
}

Status Steps::preflight(const State& state) {
  TRY_ASSIGN(const Contents contents, tools_.contents.read(state.target.package));
  const auto& memory = contents.policy.validation.memory;
  return tools_.installer.preflight(contents.manifest, memory ? memory->budget_bytes : 0);
}

void Steps::told_traffic(const Traffic& traffic) {
  if (Status saved = tools_.store.save(traffic); !saved) log::failure("traffic is not stored", saved.error());
  if (tools_.clock.mono() - progress_at_ < kProgressEvery) return;
  progress_at_ = tools_.clock.mono();
  update::Report progress;
  progress.step = wire::Step::fetch;
  progress.outcome = wire::Outcome::progress;
  const Status told = tools_.store.report(tools_.store.state().target, progress, tools_.clock.wall());
  if (!told) log::failure("progress is not stored", told.error());
}

// What deltas may start from: their files stay on the disk with the slot.
std::vector<package::Manifest> Steps::held_packages(const std::string& model) {
  std::vector<package::Manifest> held;
  const update::Slot* slot = tools_.store.slot(model);
  if (slot == nullptr) return held;
  for (const std::string& package : {slot->current.package, slot->previous.package}) {
    if (package.empty()) continue;
    auto contents = tools_.contents.read(package);
    if (contents) held.push_back(std::move(contents->manifest));
  }
  return held;
}

// Waits as other tries do, but the reason stays the reason: the server hears of it now, and again when it is given up.
void Steps::wait_for_delta(const State& state, Event& event) {
  event.retryable = state.attempts + 1 < update::limits(Step::fetch).attempts;
  if (state.attempts > 0) return;
  update::Report waits;
  waits.step = wire::Step::fetch;
  waits.outcome = wire::Outcome::progress;
  waits.code = event.code;
  waits.detail = event.detail;
  const Status told = tools_.store.report(state.target, waits, tools_.clock.wall());
  if (!told) log::failure("the reason for waiting is not stored", told.error());
}

asio::awaitable<Event> Steps::fetch(State state, Stop stop) {
  const Status session = co_await tools_.link.ensure_session();
  if (!session) co_return failed_event(session.error());
  auto contents = tools_.contents.read(state.target.package);
  if (!contents) co_return failed_event(contents.error());
  FetchJob job;
  job.files = wanted_files(contents->manifest, held_packages(state.target.model));
  job.whole_files = !tools_.settings.metered;
  job.deployment = state.target.deployment;
  job.before = tools_.store.traffic_done();
  job.max_rate = static_cast<std::uint64_t>(tools_.settings.max_rate);
  job.stop = std::move(stop);
  job.told = [this](const Traffic& traffic) { told_traffic(traffic); };
  job.completed = [this](const Traffic& traffic) {
    if (Status saved = tools_.store.save_done(traffic); !saved) log::failure("traffic is not stored", saved.error());
  };
  progress_at_ = tools_.clock.mono();
  const FetchOutcome outcome = co_await tools_.fetcher.fetch(std::move(job));
  if (outcome.status) co_return done_event();
  if (outcome.status.error().code() == Code::unauthenticated) tools_.link.drop_session();
  Event event = failed_event(outcome.status.error());
  event.progressed = outcome.progressed;
  if (event.code == Code::delta_missing) wait_for_delta(state, event);
  co_return event;
}

asio::awaitable<Status> Steps::verify(State state, Stop stop) {
  CO_TRY_ASSIGN(Contents contents, tools_.contents.read(state.target.package));
  co_return co_await tools_.contents.verify(std::move(contents.manifest), std::move(stop));
}

Status Steps::stage(const State& state) {
  TRY_ASSIGN(const Contents contents, tools_.contents.read(state.target.package));
  return tools_.installer.stage(state.target.package, contents.manifest);
}

asio::awaitable<Event> Steps::validate(State state) {
  auto contents = tools_.contents.read(state.target.package);
  if (!contents) co_return failed_event(contents.error());
  const package::PackagePolicy& policy = contents->policy;
  ValidationJob job;
  job.program = tools_.settings.validator;
  job.runtime = tools_.settings.onnxruntime;
  job.package = tools_.layout.package(state.target.package);
  // Going back is not a contest with what is left behind: it may well be slower than that.
  const bool compare = !state.target.rollback && !state.previous.empty();
  if (compare && fs::exists(tools_.files, tools_.layout.package(state.previous)))
    job.incumbent = tools_.layout.package(state.previous);
  job.timeout = policy.validation.timeout;
  job.memory_budget = policy.validation.memory ? policy.validation.memory->budget_bytes : 0;
  Verdict verdict = co_await validator_.run(std::move(job));
  Event event = verdict.code == Code::ok ? done_event() : failed_event(Error(verdict.code, verdict.detail));
  event.evidence = std::move(verdict.evidence);
  event.confirmation.deadline = policy.confirmation.deadline;
  event.confirmation.healthy_reports = static_cast<int>(policy.confirmation.healthy_reports);
  event.confirmation.max_restarts = static_cast<int>(policy.confirmation.max_restarts);
  event.now = now();
  co_return event;
}

asio::awaitable<Event> Steps::confirm(State state, Stop stop) {
  const MonoTime deadline = MonoTime(state.trial_began.since_boot) + state.confirmation.deadline;
  trial_.emplace(state.target.model, state.target.package, state.confirmation, deadline,
                 tools_.settings.confirm_without_application);
  if (applications_[state.target.model] > 0) trial_->connected();
  std::optional<TrialVerdict> verdict;
  bool stopped = false;
  for (;;) {
    verdict = trial_->verdict(tools_.clock.mono());
    stopped = !verdict && stop();
    if (verdict || stopped) break;
    co_await wait_until(deadline);
  }
  trial_.reset();
  if (stopped) co_return failed_event(Error(Code::cancelled, "stopped while on trial"));
  if (verdict->code == Code::ok) co_return done_event();
  co_return failed_event(Error(verdict->code, verdict->detail));
}

Status Steps::commit(const State& state) {
  TRY_ASSIGN(const update::Links shown, tools_.installer.shown());
  const auto found = shown.find(state.target.model);
  if (found != shown.end() && found->second == state.target.package) return {};
  return Error(Code::activate_failed, "the link does not lead to the release that is to be committed");
}

Status Steps::show(const State& state) {
  const update::Links before = tools_.installer.shown().value_or(update::Links());
  const update::Links wanted = update::wanted_links(state, tools_.store.slots());
  TRY(tools_.installer.show(wanted));
  if (socket_ == nullptr) return {};
  for (const auto& [model, package] : wanted) {
    const auto was = before.find(model);
    if (was == before.end() || was->second != package) socket_->announce(model, current_switch(model));
  }
  return {};
}

std::string Steps::current_switch(const std::string& model) {
  const auto shown = tools_.installer.shown();
  if (!shown) return "";
  const auto found = shown->find(model);
  return found == shown->end() ? "" : switch_line(model, found->second, tools_.layout.current(model));
}

void Steps::app_connected(const std::string& model) {
  ++applications_[model];
  if (trial_ && trial_->model() == model) trial_->connected();
}

void Steps::app_health(const AppMessage& message) {
  if (!trial_ || trial_->model() != message.model) return;
  trial_->health(message.package, message.ok, message.detail);
  if (trial_->verdict(tools_.clock.mono())) timer_.cancel();
}

void Steps::app_dropped(const std::string& model) {
  if (--applications_[model] <= 0) applications_.erase(model);
  if (!trial_ || trial_->model() != model) return;
  trial_->dropped();
  if (trial_->verdict(tools_.clock.mono())) timer_.cancel();
}

}  // namespace drover::agent
