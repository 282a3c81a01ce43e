#include "agent/app/agent.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <exception>

#include "agent/report/reports.h"
#include "common/crypto/hash.h"
#include "common/crypto/pem_verify.h"
#include "common/obs/log.h"

namespace drover::agent {

namespace asio = boost::asio;
using update::Event;
using update::State;
using update::Step;

namespace {

constexpr std::size_t kNonceBytes = 16;
constexpr std::chrono::seconds kDefaultPoll{60};
// The loop of deployments looks for work at least so often, should a wake-up be missed.
constexpr std::chrono::seconds kWorkPoll{30};
// When the store cannot be written (a full disk, say), nothing is acted on; it is tried again after this.
constexpr std::chrono::seconds kStoreRetry{5};
constexpr std::chrono::milliseconds kAtOnce{0};
// A clock that is off by more is worth a word: less is between the director's signature and now.
constexpr std::chrono::seconds kClockError{3600};
// Metadata that has expired is asked for anew; not by the whole fleet at one moment.
constexpr std::chrono::seconds kFreshSpread{1800};
constexpr std::chrono::seconds kFreshRetry{600};

// The codes of common/base/error.h that say that something is wrong with what the server shows.
bool is_about_trust(Code code) { return static_cast<int>(code) >= 100 && static_cast<int>(code) < 200; }

}  // namespace

namespace {

// A folder for each device: several agents may share a machine.
Vault::Options vault_options(const Settings& settings, const std::string& device) {
  return {settings.plain_folder + "/" + device, settings.box_key, settings.allow_swap};
}

}  // namespace

struct Agent::Parts {
  std::unique_ptr<fs::Lock> lock;
  std::unique_ptr<crypto::Signer> key;
  std::unique_ptr<Store> store;
  std::unique_ptr<net::HttpClient> client;  // check-ins and metadata
  std::unique_ptr<net::HttpClient> blobs;   // apart, so that a download is cut off without a check-in being
  Installer installer;
  Trust trust;
  ServerLink link;
  Fetcher fetcher;
  ContentsReader contents;
  Vault vault;
  Steps steps;
  std::unique_ptr<AppSocket> socket;

  Parts(Agent& agent, std::unique_ptr<fs::Lock> held, std::unique_ptr<crypto::Signer> own_key,
        std::unique_ptr<Store> opened, std::unique_ptr<net::HttpClient> api, std::unique_ptr<net::HttpClient> files)
      : lock(std::move(held)),
        key(std::move(own_key)),
        store(std::move(opened)),
        client(std::move(api)),
        blobs(std::move(files)),
        installer(agent.world_.files, agent.layout_),
        trust(agent.world_.files, agent.layout_, *client, {agent.device_id_, agent.settings_.kind}, crypto::verify_pem,
              std::chrono::seconds(agent.settings_.request_seconds)),
        link(*client, *store, *key, agent.settings_, agent.clock_),
        fetcher(agent.world_.files, agent.clock_, agent.layout_, *blobs, [this] { return store->session().token; },
                agent.settings_.patcher),
        contents(agent.world_.files, agent.layout_, fetcher, agent.settings_.kind),
        vault(agent.world_.files, agent.layout_, vault_options(agent.settings_, agent.device_id_), agent.world_.rng),
        steps(agent.io_.get_executor(), Tools{agent.settings_, agent.layout_, agent.world_.files, agent.clock_, *store,
                                              link, fetcher, trust, contents, installer, vault}) {}
};

Agent::Agent(asio::io_context& io, Settings settings, World world)
    : io_(io),
      settings_(std::move(settings)),
      world_(world),
      layout_(settings_.state),
      clock_(world.clock, build_time(),
             DeviceClock::belief_from_text(settings_.clock).value_or(DeviceClock::Belief::automatic),
             world_.clock_synchronised),
      checkin_timer_(io),
      work_timer_(io),
      signals_(io) {}

Agent::~Agent() = default;

Result<std::unique_ptr<Agent>> Agent::create(asio::io_context& io, Settings settings, World world) {
  std::unique_ptr<Agent> agent(new Agent(io, std::move(settings), world));
  TRY(agent->open());
  return agent;
}

Status Agent::open() {
  TRY(world_.files.make_folder(layout_.folder()));
  TRY(make_parts());
  TRY(parts_->installer.prepare());
  TRY(parts_->vault.prepare());
  TRY(parts_->trust.metadata().install_root(settings_.trusted_root));
  clock_.raise(parts_->store->time_floor());
  clock_.raise(parts_->trust.signed_time());
  TRY(recover());
  TRY_ASSIGN(parts_->socket, AppSocket::open(io_.get_executor(), layout_.socket(), parts_->steps));
  parts_->steps.set_socket(parts_->socket.get());
  return {};
}

Status Agent::make_parts() {
  TRY_ASSIGN(std::unique_ptr<fs::Lock> lock, world_.files.lock(layout_.lock()));
  TRY_ASSIGN(std::unique_ptr<crypto::Signer> key, device_key(settings_.device_key, layout_, world_.files, world_.rng));
  TRY_ASSIGN(const crypto::PublicKey public_key, crypto::ed25519_key(key->public_half()));
  device_id_ = crypto::device_id(public_key);
  TRY_ASSIGN(std::unique_ptr<Store> store, Store::open(layout_.database()));
  TRY(store->save_device_id(device_id_));
  net::ClientOptions options;
  options.base_url = settings_.server;
  options.tls = {settings_.client_certificate, settings_.client_key, settings_.ca};
  options.deadline = std::chrono::seconds(settings_.request_seconds);
  options.stall_timeout = std::chrono::seconds(settings_.stall_seconds);
  options.user_agent = "drover-agent";
  options.max_idle = 1;
  options.certificate_time = [this] {
    return clock_.believed() ? std::optional(clock_.wall()) : std::optional<WallTime>();
  };
  TRY_ASSIGN(std::unique_ptr<net::HttpClient> api, net::HttpClient::create(io_.get_executor(), options));
  TRY_ASSIGN(std::unique_ptr<net::HttpClient> blobs, net::HttpClient::create(io_.get_executor(), options));
  parts_ = std::make_unique<Parts>(*this, std::move(lock), std::move(key), std::move(store), std::move(api),
                                   std::move(blobs));
  return {};
}

// Before the network, before applications: what the stored state says is made true.
Status Agent::recover() {
  Store& store = *parts_->store;
  Event event;
  event.kind = Event::Kind::restarted;
  event.clean = store.stopped_cleanly();
  event.now = parts_->steps.now();
  const update::Decision decision = update::decide(store.state(), event);
  if (decision.taken) {
    TRY(store.apply(decision, clock_.wall()));
    log::info("going on with a deployment", {{"deployment", decision.next.target.deployment},
                                             {"step", update::to_text(decision.next.step)},
                                             {"starts", decision.next.starts}});
  }
  parts_->steps.open_shown();
  if (Status shown = parts_->steps.show(store.state()); !shown)
    log::failure("what is current could not be put in order", shown.error());
  return {};
}

void Agent::start() {
  signals();
  running_ = 2;
  const auto after = [this](std::exception_ptr fault) {
    if (fault) std::rethrow_exception(fault);
    ended();
  };
  asio::co_spawn(io_, checkins(), after);
  asio::co_spawn(io_, deployments(), after);
}

void Agent::signals() {
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) signals_.add(number);
  signals_.async_wait([this](boost::system::error_code error, int number) {
    if (error) return;
    if (number == SIGTERM || number == SIGINT) return stop();
    check_in_now();
    signals();
  });
}

void Agent::stop() {
  if (stopping_) return;
  stopping_ = true;
  log::info("stopping");
  parts_->steps.wake();
  parts_->client->close();
  parts_->blobs->close();
  checkin_timer_.cancel();
  work_timer_.cancel();
}

void Agent::ended() {
  if (--running_ > 0) return;
  signals_.cancel();
  parts_->steps.set_socket(nullptr);
  parts_->socket->close();
  const Status marked = parts_->store->mark_clean_stop();
  if (!marked) log::failure("the stop could not be written down", marked.error());
  io_.stop();  // the clients' own timers need not run out
}

asio::awaitable<void> Agent::pause(asio::steady_timer& timer, std::chrono::milliseconds time) {
  if (stopping_) co_return;
  timer.expires_after(time);
  constexpr auto token = asio::as_tuple(asio::use_awaitable);
  co_await timer.async_wait(token);
}

void Agent::check_in_now() {
  checkin_wanted_ = true;
  checkin_timer_.cancel();
}

// --- check-ins
// ---------------------------------------------------------------------------------------------------------

std::chrono::milliseconds Agent::poll_time() {
  std::int64_t seconds = settings_.poll_seconds;
  if (seconds == 0) seconds = parts_->store->session().poll_seconds;
  if (seconds == 0) seconds = kDefaultPoll.count();
  const std::int64_t poll = seconds * 1000;
  const std::int64_t spread = poll * settings_.jitter_percent / 100;
  const auto random = static_cast<std::int64_t>(world_.rng.below(static_cast<std::uint64_t>(2 * spread + 1)));
  return std::chrono::milliseconds(poll - spread + random);
}

asio::awaitable<void> Agent::checkins() {
  // A fleet that gets its power back at one moment does not come at one moment.
  const std::int64_t spread = poll_time().count() * settings_.jitter_percent / 100;
  std::chrono::milliseconds wait(world_.rng.below(static_cast<std::uint64_t>(spread + 1)));
  while (!stopping_) {
    if (!checkin_wanted_) co_await pause(checkin_timer_, wait);
    if (stopping_) break;
    checkin_wanted_ = false;
    wait = co_await checkin_and_wait();
  }
}

asio::awaitable<std::chrono::milliseconds> Agent::checkin_and_wait() {
  const Status status = co_await checkin();
  if (stopping_) co_return kAtOnce;
  if (status) {
    if (checkin_failures_ > 0) log::info("the server answers again", {{"failures", checkin_failures_}});
    checkin_failures_ = 0;
    co_return poll_time();
  }
  const Code code = status.error().code();
  ++checkin_failures_;
  // One line when it begins and then rarely: an outage is no reason to fill a device's log.
  if (checkin_failures_ == 1 || checkin_failures_ % 20 == 0)
    log::failure("no check-in", status.error(), {{"failures", checkin_failures_}});
  if (code == Code::unauthenticated && checkin_failures_ == 1) co_return kAtOnce;
  if (code == Code::pending) co_return poll_time();
  const std::chrono::milliseconds asked = parts_->link.retry_after();
  co_return std::max(asked, update::backoff(checkin_failures_, world_.rng.next()));
}

Result<wire::CheckinRequest> Agent::checkin_request() {
  Store& store = *parts_->store;
  wire::CheckinRequest request;
  request.identity_digest = parts_->link.identity_digest();
  if (identity_wanted_) request.identity = parts_->link.identity();
  request.assignment_version = store.accepted().version;
  Bytes nonce(kNonceBytes);
  world_.rng.fill(nonce);
  request.nonce = to_hex(nonce);
  request.renew_assignment = renewal_wanted_;
  wire::Report report;
  TRY_ASSIGN(report.events, store.pending());
  report.installed = installed(store.slots());
  if (report.events.empty() && installed_text(report.installed) == store.reported()) return request;
  report.device_id = device_id_;
  TRY_ASSIGN(report.boot_id, world_.files.boot_id());
  TRY_ASSIGN(report.counter, store.next_report_counter());
  TRY_ASSIGN(request.report, sign_report(report, *parts_->key));
  return request;
}

asio::awaitable<Status> Agent::checkin() {
  Store& store = *parts_->store;
  Status session = co_await parts_->link.ensure_session();
  if (!session) co_return std::move(session);
  CO_TRY_ASSIGN(wire::CheckinRequest request, checkin_request());
  const std::string told = installed_text(installed(store.slots()));
  const bool reported = request.report.has_value(), identified = request.identity.has_value();
  std::string nonce = request.nonce;
  auto answer = co_await parts_->link.check_in(std::move(request));
  if (!answer) co_return std::move(answer).error();
  CO_TRY(take_receipt(*answer, reported, told));
  if (identified) identity_wanted_ = false;
  if (answer->want_identity && !identified) identity_wanted_ = checkin_wanted_ = true;
  CO_TRY_ASSIGN(const std::int64_t left, store.pending_count());
  if (left != 0 && answer->acked_seq != 0) checkin_wanted_ = true;
  if (answer->assignment.empty()) {
    co_await look_for_freeze();
    co_return Status();
  }
  co_return co_await take_assignment(std::move(answer->assignment), std::move(nonce));
}

Status Agent::take_receipt(const wire::CheckinAnswer& answer, bool reported, const std::string& told) {
  Store& store = *parts_->store;
  if (answer.report_floor != 0 && reported) {
    // Once at once; if another device goes on with the same key, this will not end, and there is no hurry.
    if (!report_refused_) checkin_wanted_ = true;
    report_refused_ = true;
    log::warn(
        "the server knows reports that this device does not: its disk was brought back from a copy, or another device "
        "has its key",
        {{"counter", answer.report_floor}, {"event", answer.acked_seq}});
    return store.go_on_above(answer.report_floor, answer.acked_seq);
  }
  if (answer.acked_seq != 0) TRY(store.acknowledge(answer.acked_seq));
  if (!reported) return {};
  report_refused_ = false;
  return told == store.reported() ? Status() : store.save_reported(told);
}

asio::awaitable<Status> Agent::take_assignment(std::string document, std::string nonce) {
  Store& store = *parts_->store;
  const Now now{.time = clock_.wall(), .sure = clock_.believed(), .floor = clock_.floor()};
  auto accepted = co_await parts_->trust.accept(document, store.accepted(), std::move(nonce), now);
  clock_.raise(parts_->trust.signed_time());
  if (!accepted) {
    tell_refusal(document, accepted.error());
    co_return std::move(accepted).error().within("the assignment is refused");
  }
  refused_.clear();
  clock_.learn(accepted->issued);
  clock_.raise(parts_->trust.vouched(accepted->issued));
  CO_TRY(store.raise_time_floor(clock_.floor()));
  look_at_clock();
  frozen_ = false;
  fresh_look_ = next_fresh_look();
  if (accepted->document == store.accepted().document) co_return Status();
  renewal_wanted_ = false;
  log::info("a new assignment", {{"version", accepted->version}, {"targets", accepted->targets.size()}});
  CO_TRY(store.accept(*accepted));
  if (update::withdrawn(store.state(), store.accepted().targets)) {
    parts_->steps.wake();
    parts_->blobs->close();
  }
  work_timer_.cancel();
  co_return Status();
}

// Where nothing is assigned nothing is verified either: a server that publishes no more, or shows the same day for
// ever, would not be noticed. What runs goes on running, and that metadata does not come anew is told.
asio::awaitable<void> Agent::look_for_freeze() {
  const WallTime now = clock_.wall();
  if (fresh_look_ == WallTime::max()) fresh_look_ = next_fresh_look();
  if (now < fresh_look_) co_return;
  const Status fresh = co_await parts_->trust.refresh(now);
  clock_.raise(parts_->trust.signed_time());
  if (fresh) {
    if (frozen_) log::info("metadata is fresh again");
    frozen_ = false;
    fresh_look_ = next_fresh_look();
    co_return;
  }
  fresh_look_ = now + kFreshRetry;
  log::failure("metadata has expired and does not come anew", fresh.error());
  const Code code = fresh.error().code();
  if (!frozen_ && is_about_trust(code)) {
    for (const update::Target& target : parts_->store->accepted().targets) tell(target, code, fresh.error().message());
    check_in_now();
  }
  frozen_ = is_about_trust(code);
}

// A device that was never assigned anything has no metadata that could grow old.
WallTime Agent::next_fresh_look() {
  const WallTime expires = parts_->trust.timestamp_expires();
  if (expires == WallTime{}) return WallTime::max();
  const auto spread = world_.rng.below(static_cast<std::uint64_t>(kFreshSpread.count()));
  return expires + std::chrono::seconds(static_cast<std::int64_t>(spread));
}

// Nobody vouches for what a refused document says, so that nothing final is told of its deployments; but that this
// device sees something wrong must not go unheard.
void Agent::tell_refusal(const std::string& document, const Error& error) {
  if (!is_about_trust(error.code())) return;
  const std::string key = crypto::sha256(document).hex() + std::string(code_name(error.code()));
  if (key == refused_) return;
  refused_ = key;
  const auto envelope = tuf::parse_envelope(as_bytes(document), tuf::kMaxAssignmentBytes);
  if (!envelope) return;
  const auto assignment = tuf::parse_assignment(*envelope);
  const auto targets = assignment ? targets_of(*assignment) : Result<std::vector<update::Target>>(assignment.error());
  if (!targets) return;
  for (const update::Target& target : *targets) tell(target, error.code(), error.message());
  check_in_now();
}

// An event beside any deployment's course.
void Agent::tell(const update::Target& target, Code code, std::string detail) {
  update::Report report;
  report.outcome = wire::Outcome::progress;
  report.code = code;
  report.detail = std::move(detail);
  const Status told = parts_->store->report(target, report, clock_.wall());
  if (!told) log::failure("an event is not stored", told.error());
}

// Lack of time is no silent matter: told once, each time that it begins.
void Agent::look_at_clock() {
  const std::chrono::seconds error = clock_.error();
  const bool wrong = !clock_.believed() && (error > kClockError || error < -kClockError);
  if (wrong && !clock_told_) {
    const std::string detail =
        "this device's clock shows " + format_time(world_.clock.wall()) + "; it goes by the server's signed time";
    log::warn(detail);
    tell({}, Code::precondition_failed, detail);
    check_in_now();
  }
  clock_told_ = wrong;
}

// Looked at each time that a deployment would begin: an assignment is good for days, and a device may have been off for
// longer. The server is asked for a fresh one; nothing is begun and nothing has failed meanwhile.
bool Agent::assignment_expired() {
  if (clock_.wall() < expiry_of(parts_->store->accepted().document)) return false;
  if (!renewal_wanted_) log::info("the assignment has expired before its deployment began; the next check-in asks anew");
  renewal_wanted_ = true;
  return true;
}

// --- deployments
// -------------------------------------------------------------------------------------------------------

bool Agent::stop_step() const {
  return stopping_ || update::withdrawn(parts_->store->state(), parts_->store->accepted().targets).has_value();
}

asio::awaitable<void> Agent::deployments() {
  Store& store = *parts_->store;
  while (!stopping_) {
    if (store.state().step != Step::idle) {
      co_await one_step();
      continue;
    }
    const auto target = update::next_target(store.accepted().targets, store.slots());
    if (!target || assignment_expired()) {
      co_await parts_->steps.mend();
      co_await pause(work_timer_, kWorkPoll);
      continue;
    }
    Event event;
    event.kind = Event::Kind::assigned;
    event.target = *target;
    const update::Slot* slot = store.slot(target->model);
    if (slot != nullptr) event.previous = slot->current.package;
    co_await feed(std::move(event));
  }
}

asio::awaitable<void> Agent::one_step() {
  Store& store = *parts_->store;
  const State state = store.state();
  std::function<bool()> stop = [this] { return stop_step(); };
  Event event = co_await parts_->steps.run(state, std::move(stop));
  if (stopping_) co_return;
  const auto code = update::withdrawn(store.state(), store.accepted().targets);
  if (code) {
    Event withdrawn;
    withdrawn.kind = Event::Kind::withdrawn;
    withdrawn.code = *code;
    withdrawn.detail = *code == Code::halted ? "the server took it back" : "a newer assignment took its place";
    if (update::decide(store.state(), withdrawn).taken) event = std::move(withdrawn);
  }
  co_await feed(std::move(event));
}

asio::awaitable<void> Agent::feed(Event event) {
  Store& store = *parts_->store;
  const Step from = store.state().step;
  const update::Decision decision = update::decide(store.state(), event);
  if (!decision.taken) {
    log::error("an event means nothing in this state", {{"step", update::to_text(from)}});
    co_await pause(work_timer_, kStoreRetry);
    co_return;
  }
  const Status stored = store.apply(decision, clock_.wall());
  if (!stored) {
    log::failure("the state could not be stored", stored.error());
    co_await pause(work_timer_, kStoreRetry);
    co_return;
  }
  log::info("step", {{"model", decision.next.target.model},
                     {"release", decision.next.target.release},
                     {"from", update::to_text(from)},
                     {"to", update::to_text(decision.next.step)},
                     {"code", code_name(event.code)},
                     {"detail", event.detail}});
  if (decision.finished) finished(decision);
  if (decision.wait) co_await pause(work_timer_, update::backoff(decision.next.attempts, world_.rng.next()));
}

void Agent::finished(const update::Decision& decision) {
  const Store& store = *parts_->store;
  const bool aborted = !decision.reports.empty() && decision.reports.back().outcome == wire::Outcome::aborted;
  const bool good = decision.record;
  parts_->steps.tidy(decision.next);
  // What was taken back may come again soon, and its bytes were paid for.
  if (!aborted) {
    const auto kept = update::kept_packages(decision.next, store.slots());
    const Status collected = parts_->installer.collect(kept, good);
    if (!collected) log::failure("old packages could not be collected", collected.error());
  }
  check_in_now();
}

}  // namespace drover::agent
