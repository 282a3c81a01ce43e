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
constexpr int kMendsALine = 20;  // ten minutes between two lines about the same trouble

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
      co_return co_await validate(std::move(state), std::move(stop));
    case Step::activate:
    case Step::roll_back:
      status = co_await open_wanted(state, std::move(stop));
      if (status) status = show(state);
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
  CO_TRY_ASSIGN(const std::optional<Confidential> what, confidential(state.target.package));
  if (!what) co_return Status();
  co_return co_await ensure_key(*what);
}

Status Steps::preflight(const State& state) {
  TRY_ASSIGN(const Contents contents, tools_.contents.read(state.target.package));
  const auto& memory = contents.policy.validation.memory;
  std::uint64_t budget = memory ? memory->budget_bytes : 0;
  TRY_ASSIGN(const std::optional<Confidential> what, confidential(state.target.package));
  if (what) {
    TRY(tools_.vault.preflight(*what));
    budget += contents.manifest.content_bytes();
  }
  return tools_.installer.preflight(contents.manifest, budget);
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
struct Steps::Held {
  std::vector<std::string> packages;
  std::vector<package::Manifest> manifests;
};

Steps::Held Steps::held_packages(const std::string& model) {
  Held held;
  const update::Slot* slot = tools_.store.slot(model);
  if (slot == nullptr) return held;
  for (const std::string& package : {slot->current.package, slot->previous.package}) {
    if (package.empty()) continue;
    auto contents = tools_.contents.read(package);
    if (!contents) continue;
    held.packages.push_back(package);
    held.manifests.push_back(std::move(contents->manifest));
  }
  return held;
}

namespace {

class VaultKeys final : public KeySource {
 public:
  VaultKeys(Vault& vault, std::string package, package::Manifest manifest, std::vector<std::string> held,
            std::vector<package::Manifest> manifests)
      : vault_(vault),
        package_(std::move(package)),
        manifest_(std::move(manifest)),
        held_(std::move(held)),
        manifests_(std::move(manifests)) {}
  Result<crypto::ContentKey> target_key() override { return vault_.key(package_, manifest_); }
  Result<crypto::ContentKey> held_key(std::size_t held) override { return vault_.key(held_[held], manifests_[held]); }
  std::string held_file(std::size_t held, const std::string& path) override {
    return vault_.plain_file(held_[held], path);
  }

 private:
  Vault& vault_;
  std::string package_;
  package::Manifest manifest_;
  std::vector<std::string> held_;
  std::vector<package::Manifest> manifests_;
};

}  // namespace

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
  Held held = held_packages(state.target.model);
  job.files = wanted_files(contents->manifest, held.manifests);
  if (contents->manifest.confidential())
    job.keys = std::make_shared<VaultKeys>(tools_.vault, state.target.package, contents->manifest,
                                           std::move(held.packages), std::move(held.manifests));
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

asio::awaitable<Event> Steps::validate(State state, Stop stop) {
  auto contents = tools_.contents.read(state.target.package);
  if (!contents) co_return failed_event(contents.error());
  const Status opened = co_await open_package(state.target.package, std::move(stop));
  if (!opened) co_return failed_event(opened.error());
  const package::PackagePolicy& policy = contents->policy;
  ValidationJob job;
  job.program = tools_.settings.validator;
  job.runtime = tools_.settings.onnxruntime;
  job.package = folder_of(state.target.package);
  // Going back is not a contest with what is left behind: it may well be slower than that.
  const bool compare = !state.target.rollback && !state.previous.empty();
  if (compare && fs::exists(tools_.files, folder_of(state.previous))) job.incumbent = folder_of(state.previous);
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
  Installer::Elsewhere elsewhere;
  for (const auto& [model, package] : wanted)
    if (const auto what = confidential(package); what && *what) elsewhere[package] = tools_.vault.folder(**what);
  TRY(tools_.installer.show(wanted, elsewhere));
  if (socket_ == nullptr) return {};
  for (const auto& [model, package] : wanted) {
    const auto was = before.find(model);
    if (was == before.end() || was->second != package) socket_->announce(model, current_switch(model));
  }
  return {};
}

// --- confidential packages -------------------------------------------------------------------------------------------

Result<std::optional<Confidential>> Steps::confidential(const std::string& package) {
  TRY_ASSIGN(Contents contents, tools_.contents.read(package));
  if (!contents.manifest.confidential()) return std::optional<Confidential>();
  Confidential what;
  what.package = package;
  what.manifest = std::move(contents.manifest);
  what.place = contents.policy.confidential.value_or(package::PlainPlace::tmpfs);
  return std::optional(std::move(what));
}

std::string Steps::folder_of(const std::string& package) {
  const auto what = confidential(package);
  return what && *what ? tools_.vault.folder(**what) : tools_.layout.package(package);
}

// The key on the disk, unless it is there and good.
asio::awaitable<Status> Steps::ensure_key(Confidential what) {
  const bool there = tools_.vault.key(what.package, what.manifest).has_value();
  if (there) co_return Status();
  const std::string box_key = to_hex(tools_.vault.box_key());
  auto sealed = co_await tools_.link.content_key(what.package, box_key);
  if (!sealed) co_return std::move(sealed).error();
  co_return tools_.vault.keep_key(what.package, what.manifest, *sealed);
}

asio::awaitable<Status> Steps::open_package(std::string package, Stop stop) {
  CO_TRY_ASSIGN(std::optional<Confidential> what, confidential(package));
  if (!what) co_return Status();
  co_return co_await tools_.vault.open(std::move(*what), std::move(stop));
}

asio::awaitable<Status> Steps::open_wanted(State state, Stop stop) {
  const update::Links wanted = update::wanted_links(state, tools_.store.slots());
  // A model of another slot that cannot be opened now is no reason to hold this one up.
  const auto own = wanted.find(state.target.model);
  if (own == wanted.end()) co_return Status();
  co_return co_await open_package(own->second, std::move(stop));
}

void Steps::open_shown() {
  for (const auto& [model, package] : update::wanted_links(tools_.store.state(), tools_.store.slots())) {
    const auto what = confidential(package);
    if (!what || !*what) continue;
    if (Status opened = tools_.vault.open_now(**what); !opened)
      log::failure("a confidential model is not open", opened.error(), {{"model", model}});
  }
}

asio::awaitable<bool> Steps::mend() {
  bool left = false;
  for (const auto& [model, package] : update::wanted_links(tools_.store.state(), tools_.store.slots())) {
    const auto what = confidential(package);
    if (!what || !*what || tools_.vault.is_open(**what)) continue;
    Status status = co_await tools_.link.ensure_session();
    if (status) status = co_await ensure_key(**what);
    const Stop never;
    if (status) status = co_await tools_.vault.open(**what, never);
    left = left || !status;
    // One line when it begins and then rarely, as for an outage.
    if (!status && mend_failures_++ % kMendsALine == 0)
      log::failure("a confidential model is still not open", status.error(), {{"model", model}});
    if (status && socket_ != nullptr) socket_->announce(model, current_switch(model));
  }
  if (!left) mend_failures_ = 0;
  co_return left;
}

void Steps::tidy(const State& state) {
  std::vector<std::string> shown;
  for (const auto& [model, package] : update::wanted_links(state, tools_.store.slots())) shown.push_back(package);
  if (Status closed = tools_.vault.close_others(shown); !closed)
    log::failure("plain text of models could not be removed", closed.error());
  const auto kept = update::kept_packages(state, tools_.store.slots());
  if (Status forgotten = tools_.vault.forget_others(kept); !forgotten)
    log::failure("old content keys could not be removed", forgotten.error());
}

std::string Steps::current_switch(const std::string& model) {
  const auto shown = tools_.installer.shown();
  if (!shown) return "";
  const auto found = shown->find(model);
  // What is not open yet is told when it is.
  if (found != shown->end() && !fs::exists(tools_.files, folder_of(found->second))) return "";
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
