// A file as its difference to one that is here: asked about, fetched as any other download, applied, thrown away.
#include <charconv>

#include "agent/fetch/fetcher.h"
#include "agent/fetch/hashing.h"
#include "agent/fetch/patch.h"
#include "proto/wire/problem.h"

namespace drover::agent {

namespace asio = boost::asio;

namespace {

constexpr int kMaxSpoilt = 2;                 // a damaged delta is fetched once more where nothing else is allowed
constexpr std::size_t kMaxSpoiltKnown = 256;  // files; then all is forgotten, which costs a delta once more

std::string delta_target(const Wanted& wanted) { return "/api/v1/deltas/" + wanted.digest + "/" + wanted.base; }

// The line or the server is at fault, not this delta: the next try goes on with it.
bool may_go_on(Code code) {
  return code == Code::unavailable || code == Code::timeout || code == Code::unauthenticated ||
         code == Code::rate_limited || code == Code::cancelled || code == Code::io;
}

Error missing(const std::string& why) { return Error(Code::delta_missing, why); }

}  // namespace

asio::awaitable<Result<std::uint64_t>> Fetcher::delta_size(Wanted wanted) {
  net::ClientRequest request;
  request.method = net::Method::head;
  request.target = delta_target(wanted);
  request.headers.add("Authorization", "Bearer " + token_());
  auto answer = co_await client_.send(std::move(request));
  if (!answer) co_return std::move(answer).error();
  if (!answer->ok()) {
    const Error problem = wire::decode_problem(answer->status, answer->body);
    if (may_go_on(problem.code())) co_return problem;
    co_return missing("the server has no delta (" + std::to_string(answer->status) + ")");
  }
  const std::string_view length = answer->header("Content-Length");
  std::uint64_t size = 0;
  const auto [end, fault] = std::from_chars(length.data(), length.data() + length.size(), size);
  if (fault != std::errc() || end != length.data() + length.size() || size == 0 || size >= wanted.size)
    co_return missing("the server's delta is no smaller than the file");
  co_return size;
}

asio::awaitable<Status> Fetcher::download_delta(const FetchJob& job, Wanted wanted, Download& download,
                                                FetchOutcome& outcome) {
  Status status = co_await download.open(job.stop);
  if (!status || download.complete()) co_return std::move(status);
  const std::uint64_t had = download.offset();
  status = co_await request_rest(job, delta_target(wanted), download);
  outcome.progressed = outcome.progressed || download.offset() > had;
  if (Status saved = download.checkpoint(); !saved && status) status = std::move(saved);
  if (status && !download.complete()) co_return Error(Code::unavailable, "the answer ended early");
  co_return std::move(status);
}

asio::awaitable<Status> Fetcher::apply_delta(const FetchJob& job, Wanted wanted) {
  const std::string made = layout_.applied(wanted.digest);
  Patch patch;
  patch.delta = layout_.delta(wanted.digest, wanted.base);
  patch.base = wanted.base;
  patch.target = wanted.digest;
  patch.base_file = layout_.blob(wanted.base);
  patch.out = made;
  patch.size = wanted.size;
  Status status = co_await apply_patch(files_, std::move(patch), job.stop);
  if (status) status = co_await check_file(files_, made, wanted.digest, wanted.size, job.stop);
  if (!status) {
    CO_TRY(files_.remove(made));
    co_return std::move(status);
  }
  CO_TRY(files_.set_mode(made, 0444));
  CO_TRY(files_.rename(made, layout_.blob(wanted.digest)));
  co_return files_.sync_folder(layout_.blobs());
}

asio::awaitable<Status> Fetcher::fetch_delta(const FetchJob& job, Wanted wanted, FetchOutcome& outcome) {
  const std::string key = wanted.digest + wanted.base;
  const auto known = spoilt_.find(key);
  if (known != spoilt_.end() && known->second >= kMaxSpoilt) co_return missing("the server's delta is damaged");
  const auto size = co_await delta_size(wanted);
  if (!size) co_return size.error();
  Download download =
      Download::of_delta(files_, clock_, layout_, wanted.digest, wanted.base, *size, job.deployment);
  Status status = co_await download_delta(job, wanted, download, outcome);
  const bool came = status.has_value();
  if (came) status = co_await apply_delta(job, wanted);
  outcome.traffic = sum(job.before, download.traffic());
  if (status) {
    outcome.traffic.saved += wanted.size - *size;
    CO_TRY(download.discard());
    if (job.completed) job.completed(outcome.traffic);
    co_return Status();
  }
  if (may_go_on(status.error().code())) {
    if (job.told) job.told(outcome.traffic);
    co_return std::move(status);
  }
  if (came && spoilt_.size() >= kMaxSpoiltKnown) spoilt_.clear();
  if (came) ++spoilt_[key];
  CO_TRY(download.discard());
  co_return missing("the delta is of no use: " + status.error().message());
}

}  // namespace drover::agent
