// A file as its difference to one that is here: asked about, fetched as any other download, applied, thrown away. A
// device that is several versions behind may get a chain; each file in the middle is kept until the end, so that a
// restart goes on from there.
#include <algorithm>
#include <charconv>

#include "agent/fetch/fetcher.h"
#include "agent/fetch/hashing.h"
#include "agent/fetch/patch.h"
#include "common/obs/log.h"
#include "proto/wire/problem.h"

namespace drover::agent {

namespace asio = boost::asio;

namespace {

constexpr int kMaxSpoilt = 2;  // a damaged delta is fetched once more: a bad line, or a bad cache on the way
constexpr std::size_t kMaxSpoiltKnown = 256;  // files; then all is forgotten, which costs a delta once more

// The line or the server is at fault, not this delta: the next try goes on with it.
bool may_go_on(Code code) {
  return code == Code::unavailable || code == Code::timeout || code == Code::unauthenticated ||
         code == Code::rate_limited || code == Code::cancelled || code == Code::io;
}

bool is_damage(Code code) {
  return code == Code::malformed || code == Code::digest_mismatch || code == Code::size_mismatch ||
         code == Code::too_large;
}

Error missing(const std::string& why) { return Error(Code::delta_missing, why); }

// What a refusal means: nothing of ours, or that there is no delta.
Error refusal(const net::ClientResponse& answer) {
  const Error problem = wire::decode_problem(answer.status, answer.body);
  if (may_go_on(problem.code()) || problem.code() == Code::not_found) return problem;
  return missing("the server has no delta (" + std::to_string(answer.status) + ")");
}

std::uint64_t bytes_of(const wire::DeltaPlan& plan) {
  std::uint64_t bytes = 0;
  for (const wire::DeltaStep& step : plan.steps) bytes += step.bytes;
  return bytes;
}

Held held_named(std::span<const Held> held, const std::string& digest) {
  for (const Held& one : held)
    if (one.digest == digest) return one;
  return {};
}

}  // namespace

// Earlier files, and what a chain has made so far: from there the way is shorter. The last, as the least likely:
// nothing.
std::vector<Held> Fetcher::held_for(const Wanted& wanted, bool packed) {
  std::vector<Held> held;
  for (const std::string& base : wanted.bases) {
    Held one;
    one.digest = base;
    one.file = layout_.blob(base);
    held.push_back(std::move(one));
  }
  const auto names = files_.list(layout_.staging());
  if (names) {
    for (const std::string& name : *names) {
      auto between = parse_between(layout_.staging(), name);
      if (between) held.push_back(std::move(*between));
    }
  }
  std::vector<Held> here;
  for (Held& one : held) {
    if (one.packed && !packed) continue;
    const auto info = files_.info(one.file);
    if (!info || info->kind != fs::Kind::file || here.size() + 1 == wire::kMaxHeldFiles) continue;
    one.size = info->size;
    here.push_back(std::move(one));
  }
  if (packed) here.push_back(nothing_held());
  return here;
}

Result<std::uint64_t> Fetcher::room_for_deltas() {
  TRY_ASSIGN(const std::uint64_t free, files_.free_space(layout_.folder()));
  return free - std::min(free, kDeltaReserve);
}

// Which way fits is known before a byte is fetched: the server is told how much room there is. One that does not know
// the question may name a chain that is too long; then there may be a direct delta.
asio::awaitable<Result<wire::DeltaPlan>> Fetcher::find_plan(Wanted wanted, std::vector<Held> held) {
  CO_TRY_ASSIGN(const std::uint64_t room, room_for_deltas());
  auto plan = co_await ask_for_plan(wanted, held, room);
  const bool too_long = plan && plan->steps.size() > 1 && room_for(*plan) > room;
  if (too_long) plan = co_await plan_of_one(wanted, held.front());
  if (!plan) co_return plan;
  CO_TRY(check_plan(*plan, wanted, held));
  if (room_for(*plan) > room)
    co_return missing("its deltas need " + std::to_string(room_for(*plan)) + " bytes on the disk for a while");
  co_return plan;
}

asio::awaitable<Result<wire::DeltaPlan>> Fetcher::ask_for_plan(Wanted wanted, std::vector<Held> held,
                                                               std::uint64_t room) {
  net::ClientRequest request;
  request.target = plan_target(wanted, held, room);
  request.headers.add("Authorization", "Bearer " + token_());
  request.max_body = wire::kMaxDeltaPlan;
  auto answer = co_await client_.send(std::move(request));
  if (!answer && may_go_on(answer.error().code())) co_return std::move(answer).error();
  if (!answer) co_return missing("the server's answer makes no sense: " + answer.error().message());
  if (answer->ok()) {
    auto plan = wire::decode_delta_plan(answer->body);
    if (!plan) co_return missing("the server's answer makes no sense: " + plan.error().message());
    co_return std::move(*plan);
  }
  const Error refused = refusal(*answer);
  if (refused.code() != Code::not_found) co_return refused;
  co_return co_await plan_of_one(std::move(wanted), std::move(held.front()));
}

asio::awaitable<Result<wire::DeltaPlan>> Fetcher::plan_of_one(Wanted wanted, Held base) {
  wire::DeltaPlan plan;
  wire::DeltaStep step;
  step.base = base.digest;
  step.target = wanted.digest;
  step.target_bytes = wanted.size;
  net::ClientRequest request;
  request.method = net::Method::head;
  request.target = step_target(step);
  request.headers.add("Authorization", "Bearer " + token_());
  auto answer = co_await client_.send(std::move(request));
  if (!answer) co_return std::move(answer).error();
  if (!answer->ok()) {
    const Error refused = refusal(*answer);
    if (refused.code() != Code::not_found) co_return refused;
    co_return plan;
  }
  const std::string_view length = answer->header("Content-Length");
  const auto [end, fault] = std::from_chars(length.data(), length.data() + length.size(), step.bytes);
  if (fault != std::errc() || end != length.data() + length.size()) co_return missing("the server tells no size");
  plan.steps.push_back(std::move(step));
  co_return plan;
}

asio::awaitable<Status> Fetcher::download_delta(const FetchJob& job, wire::DeltaStep step, Download& download,
                                                FetchOutcome& outcome) {
  Status status = co_await download.open(job.stop);
  if (!status || download.complete()) co_return std::move(status);
  const std::uint64_t had = download.offset();
  status = co_await request_rest(job, step_target(step), download);
  outcome.progressed = outcome.progressed || download.offset() > had;
  if (Status saved = download.checkpoint(); !saved && status) status = std::move(saved);
  if (status && !download.complete()) co_return Error(Code::unavailable, "the answer ended early");
  co_return std::move(status);
}

// Only the last file has a signed digest; what is between is compared with the server's word, which costs nothing and
// finds damage early.
asio::awaitable<Status> Fetcher::apply_step(const FetchJob& job, Wanted wanted, wire::DeltaStep step, Held base) {
  const std::string made = layout_.applied(step.target);
  const bool last = step.target == wanted.digest;
  Patch patch;
  patch.program = patcher_;
  patch.delta = layout_.delta(step.target, step.base);
  patch.base = step.base;
  patch.target = step.target;
  patch.base_file = base.file;
  patch.out = made;
  patch.size = step.target_bytes;
  Status status = co_await apply_patch(files_, std::move(patch), job.stop);
  if (status && last) status = co_await check_file(files_, made, wanted.digest, wanted.size, job.stop);
  if (!status) {
    CO_TRY(files_.remove(made));
    co_return std::move(status);
  }
  CO_TRY_ASSIGN(const auto file, files_.append(made, step.target_bytes));
  CO_TRY(file->sync());  // the child says that it has; it is not to be believed
  if (last) {
    CO_TRY(files_.set_mode(made, 0444));
    CO_TRY(files_.rename(made, layout_.blob(wanted.digest)));
    co_return files_.sync_folder(layout_.blobs());
  }
  CO_TRY(files_.rename(made, layout_.between(step.target, base.paid + step.bytes, base.packed)));
  co_return files_.sync_folder(layout_.staging());
}

asio::awaitable<Status> Fetcher::take_step(FetchJob& job, Wanted wanted, wire::DeltaStep step, Held base,
                                           FetchOutcome& outcome) {
  Download download = Download::of_delta(files_, clock_, layout_, step.target, step.base, step.bytes, job.deployment);
  Status status = co_await download_delta(job, step, download, outcome);
  const bool came = status.has_value();
  if (came) status = co_await apply_step(job, wanted, step, base);
  outcome.traffic = sum(job.before, download.traffic());
  if (!status && may_go_on(status.error().code())) {
    if (job.told) job.told(outcome.traffic);
    co_return std::move(status);
  }
  CO_TRY(download.discard());
  if (base.between) CO_TRY(files_.remove(base.file));  // it has served; or it may be what is wrong
  const bool last = step.target == wanted.digest;
  const std::uint64_t paid = base.paid + step.bytes;
  if (status && last && !base.packed) outcome.traffic.saved += wanted.size - std::min(wanted.size, paid);
  job.before = outcome.traffic;
  if (job.completed) job.completed(outcome.traffic);  // what it has cost stays counted, whatever comes
  if (!status && status.error().code() == Code::unsupported) no_decoder_ = true;
  if (!status && came && is_damage(status.error().code())) note_spoilt(job, wanted);
  co_return std::move(status);
}

asio::awaitable<Status> Fetcher::try_delta(FetchJob& job, Wanted wanted, FetchOutcome& outcome) {
  if (no_decoder_ || !fs::exists(files_, patcher_)) co_return missing("deltas cannot be decoded on this device");
  const std::vector<Held> held = held_for(wanted, may_come_packed(wanted, job.whole_files));
  if (held.empty()) co_return missing("nothing is here that a delta could start from");
  const auto plan = co_await find_plan(wanted, held);
  if (!plan) co_return plan.error();
  if (plan->steps.size() > 1)
    log::info("a chain of deltas",
              {{"file", wanted.digest}, {"steps", plan->steps.size()}, {"bytes", bytes_of(*plan)}});
  Held base = held_named(held, plan->steps.front().base);
  for (const wire::DeltaStep& step : plan->steps) {
    Status status = co_await take_step(job, wanted, step, base, outcome);
    if (!status && may_go_on(status.error().code())) co_return std::move(status);
    if (!status) co_return missing("the delta is of no use: " + status.error().message());
    base.digest = step.target;
    base.paid += step.bytes;
    base.size = step.target_bytes;
    base.between = true;
    base.file = layout_.between(base.digest, base.paid, base.packed);
  }
  co_return Status();
}

void Fetcher::note_spoilt(const FetchJob& job, const Wanted& wanted) {
  if (spoilt_.size() >= kMaxSpoiltKnown) spoilt_.clear();
  ++spoilt_[job.deployment + wanted.digest];
}

int Fetcher::spoilt(const FetchJob& job, const Wanted& wanted) const {
  const auto known = spoilt_.find(job.deployment + wanted.digest);
  return known == spoilt_.end() ? 0 : known->second;
}

asio::awaitable<Status> Fetcher::fetch_delta(FetchJob& job, Wanted wanted, FetchOutcome& outcome) {
  Status status = missing("the server's delta is damaged");
  while (spoilt(job, wanted) < kMaxSpoilt) {
    const int before = spoilt(job, wanted);
    status = co_await try_delta(job, wanted, outcome);
    if (status || spoilt(job, wanted) == before) break;
    log::warn("a delta is damaged", {{"file", wanted.digest}, {"why", status.error().message()}});
  }
  co_return std::move(status);
}

}  // namespace drover::agent
