#include "agent/fetch/fetcher.h"

#include <charconv>
#include <set>

#include "agent/fetch/hashing.h"
#include "common/net/ranges.h"
#include "common/obs/log.h"
#include "proto/wire/problem.h"

namespace drover::agent {

namespace asio = boost::asio;

namespace {

// The client finds stalls; this only bounds a transfer that creeps for ever just above its least rate.
constexpr std::chrono::hours kTransferDeadline{24};
constexpr std::uint64_t kMaxDocument = 8u << 20;  // index and manifest have 4 MiB at most

std::string blob_target(const std::string& digest) { return "/api/v1/blobs/" + digest; }

// Writes the answer's body where it belongs.
class Sink final : public net::ResponseSink {
 public:
  Sink(Download& download, const std::function<bool()>& stop, std::function<void()> wrote)
      : download_(download), stop_(stop), wrote_(std::move(wrote)) {}

  Status begin(const net::ClientResponse& head) override {
    if (head.status == 206) return begin_partial(head);
    // The whole file, from its beginning: the server holds another one now, or does not know ranges.
    if (download_.offset() != 0) TRY(download_.start_over());
    const std::string_view length = head.header("Content-Length");
    std::uint64_t announced = 0;
    const auto [end, fault] = std::from_chars(length.data(), length.data() + length.size(), announced);
    (void)end;
    if (!length.empty() && (fault != std::errc() || announced != download_.size())) return wrong_size(length);
    return download_.set_etag(head.header("ETag"));
  }

  Status write(std::string_view chunk) override {
    if (stop_ && stop_()) return Error(Code::cancelled, "stopped while fetching");
    TRY(download_.write(chunk));
    wrote_();
    return {};
  }

 private:
  Status begin_partial(const net::ClientResponse& head) {
    net::ContentRange range;
    if (!net::parse_content_range(head.header("Content-Range"), range) || range.first != download_.offset())
      return Error(Code::fetch_failed, "the server sends another range than the one that was asked for");
    if (range.size != download_.size()) return wrong_size(std::to_string(range.size));
    return download_.set_etag(head.header("ETag"));
  }
  Error wrong_size(std::string_view announced) const {
    return Error(Code::size_mismatch, "the server announces " + std::string(announced) + " bytes, signed are " +
                                          std::to_string(download_.size()));
  }

  Download& download_;
  const std::function<bool()>& stop_;
  std::function<void()> wrote_;
};

}  // namespace

bool is_transient(Code code) {
  switch (code) {
    case Code::unavailable:
    case Code::timeout:
    case Code::unauthenticated:
    case Code::rate_limited:
    case Code::fetch_failed:
    case Code::digest_mismatch:  // of fresh bytes: a bad line or cache on the way; tried again, a bounded number of
                                 // times
    case Code::io:
      return true;
    default:
      return false;
  }
}

asio::awaitable<FetchOutcome> Fetcher::fetch(FetchJob job) {
  FetchOutcome outcome;
  outcome.traffic = job.before;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < job.files.size(); ++i) {
    const Wanted wanted = job.files[i];
    if (!seen.insert(wanted.digest).second || fs::exists(files_, layout_.blob(wanted.digest))) continue;
    if (job.stop && job.stop()) {
      outcome.status = Error(Code::cancelled, "stopped before " + wanted.digest);
      break;
    }
    outcome.status = co_await fetch_one(job, wanted, outcome);
    if (!outcome.status) break;
    job.before = outcome.traffic;
  }
  co_return outcome;
}

// A whole file that is half here goes on as it is, unless only deltas are allowed.
asio::awaitable<Status> Fetcher::fetch_one(FetchJob& job, Wanted wanted, FetchOutcome& outcome) {
  if (wanted.encrypted) co_return co_await fetch_encrypted(job, std::move(wanted), outcome);
  const auto begun = files_.info(layout_.part(wanted.digest));
  const bool whole_allowed = job.whole_files || wanted.bases.empty();
  if (wanted.size >= kLeastDelta && (!whole_allowed || !begun || begun->size == 0)) {
    Status status = co_await fetch_delta(job, wanted, outcome);
    const bool whole = !status && status.error().code() == Code::delta_missing && whole_allowed;
    if (!whole) co_return std::move(status).within("fetching " + wanted.digest + " as a delta");
    log::info("a whole file is fetched", {{"file", wanted.digest}, {"why", status.error().message()}});
    job.before = outcome.traffic;
    if (job.completed) job.completed(job.before);  // what a delta has cost stays counted, whatever comes
  }
  co_return co_await fetch_whole(job, std::move(wanted), outcome);
}

asio::awaitable<Status> Fetcher::fetch_whole(const FetchJob& job, Wanted wanted, FetchOutcome& outcome) {
  Download download(files_, clock_, layout_, wanted.digest, wanted.size, job.deployment);
  Status status = co_await download.open(job.stop);
  if (!status) co_return std::move(status);
  if (!download.complete()) {
    const std::uint64_t had = download.offset();
    status = co_await request_rest(job, blob_target(wanted.digest), download);
    outcome.progressed = outcome.progressed || download.offset() > had;
    if (Status saved = download.checkpoint(); !saved && status) status = std::move(saved);
  }
  if (status && !download.complete()) status = Error(Code::unavailable, "the answer ended early");
  if (status) status = co_await download.finish(job.stop);
  outcome.traffic = sum(job.before, download.traffic());
  const TrafficSink& told = status ? job.completed : job.told;
  if (told) told(outcome.traffic);
  co_return std::move(status).within("fetching " + wanted.digest);
}

asio::awaitable<Status> Fetcher::request_rest(const FetchJob& job, std::string target, Download& download) {
  CO_TRY(download.begin_try());
  net::ClientRequest request;
  request.target = std::move(target);
  request.headers.add("Authorization", "Bearer " + token_());
  if (download.offset() != 0) {
    request.headers.add("Range", "bytes=" + std::to_string(download.offset()) + "-");
    // Without a validator of the first part the rest could be of another file; the digest would tell, in the end.
    if (!download.etag().empty()) request.headers.add("If-Range", download.etag());
  }
  request.deadline = kTransferDeadline;
  request.max_rate = job.max_rate;
  request.max_streamed = download.size();
  MonoTime told_at = clock_.mono();
  const auto tell = [&] {
    if (!job.told || clock_.mono() - told_at < kCheckpointEvery) return;
    told_at = clock_.mono();
    job.told(sum(job.before, download.traffic()));
  };
  Sink sink(download, job.stop, tell);
  request.sink = &sink;
  auto answer = co_await client_.send(std::move(request));
  if (!answer) {
    if (answer.error().code() != Code::too_large) co_return std::move(answer).error();
    co_return Error(Code::size_mismatch, "more bytes come than were announced");
  }
  if (answer->status == 200 || answer->status == 206) co_return Status();
  if (answer->status == 416) {
    CO_TRY(download.start_over());
    co_return Error(Code::fetch_failed, "the server does not have the range; starting over");
  }
  const Error problem = wire::decode_problem(answer->status, answer->body);
  if (is_transient(problem.code())) co_return problem;
  co_return Error(Code::fetch_failed, problem.message());
}

asio::awaitable<Result<std::string>> Fetcher::document(std::string digest, std::uint64_t size) {
  if (size > kMaxDocument) co_return Error(Code::too_large, digest + " is too large for a document");
  auto stored = stored_document(digest, size);
  if (stored) co_return std::move(*stored);
  net::ClientRequest request;
  request.target = blob_target(digest);
  request.headers.add("Authorization", "Bearer " + token_());
  request.max_body = static_cast<std::size_t>(size);
  auto answer = co_await client_.send(std::move(request));
  if (!answer) co_return std::move(answer).error().within("fetching " + digest);
  if (!answer->ok()) co_return wire::decode_problem(answer->status, answer->body).within("fetching " + digest);
  if (answer->body.size() != size) co_return Error(Code::size_mismatch, digest + " came with another size");
  if (crypto::sha256(answer->body).text() != digest)
    co_return Error(Code::digest_mismatch, digest + " came with another digest");
  CO_TRY(fs::write_atomic(files_, layout_.blob(digest), answer->body, 0444));
  co_return std::move(answer->body);
}

Result<std::string> Fetcher::stored_document(const std::string& digest, std::uint64_t limit) {
  TRY_ASSIGN(std::string bytes, files_.read(layout_.blob(digest), static_cast<std::size_t>(limit)));
  if (crypto::sha256(bytes).text() != digest) return Error(Code::digest_mismatch, digest + " has rotted on the disk");
  return bytes;
}

}  // namespace drover::agent
