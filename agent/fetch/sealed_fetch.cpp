// An encrypted file: as the delta that came with its release, signed as everything else, or whole.
#include <algorithm>

#include "agent/fetch/fetcher.h"
#include "agent/fetch/hashing.h"
#include "agent/fetch/sealed_patch.h"
#include "common/obs/log.h"

namespace drover::agent {

namespace asio = boost::asio;

namespace {

// The line or the server is at fault, not this delta: the next try goes on with it.
bool may_go_on(Code code) { return is_transient(code) || code == Code::cancelled; }

Error missing(const std::string& why) { return Error(Code::delta_missing, why); }

}  // namespace

// A whole file that is half here goes on as it is, unless only deltas are allowed.
asio::awaitable<Status> Fetcher::fetch_encrypted(FetchJob& job, Wanted wanted, FetchOutcome& outcome) {
  const auto begun = files_.info(layout_.part(wanted.digest));
  if (wanted.sealed && job.keys && (!job.whole_files || !begun || begun->size == 0)) {
    Status status = co_await fetch_sealed_delta(job, wanted, outcome);
    const bool whole = !status && status.error().code() == Code::delta_missing && job.whole_files;
    if (!whole) co_return std::move(status).within("fetching " + wanted.digest + " as a delta");
    log::info("a whole file is fetched", {{"file", wanted.digest}, {"why", status.error().message()}});
    job.before = outcome.traffic;
    if (job.completed) job.completed(job.before);  // what a delta has cost stays counted, whatever comes
  } else if (!wanted.bases.empty() && !job.whole_files) {
    co_return missing("the release has no delta from what this device holds of " + wanted.digest);
  }
  co_return co_await fetch_whole(job, std::move(wanted), outcome);
}

asio::awaitable<Status> Fetcher::fetch_sealed_delta(FetchJob& job, Wanted wanted, FetchOutcome& outcome) {
  const package::DeltaFile& delta = wanted.sealed->delta;
  const std::string blob = layout_.blob(delta.digest.text());
  if (!fs::exists(files_, blob)) {
    Wanted travels;
    travels.digest = delta.digest.text();
    travels.size = delta.size;
    Status status = co_await fetch_whole(job, std::move(travels), outcome);
    if (!status && !may_go_on(status.error().code())) status = missing(status.error().message());
    if (!status) co_return std::move(status);
    job.before = outcome.traffic;
  }
  Status status = co_await apply_sealed_delta(job, wanted);
  if (!status && status.error().code() == Code::cancelled) co_return std::move(status);
  CO_TRY(files_.remove(blob));
  if (!status) co_return missing("the delta is of no use: " + status.error().message());
  outcome.traffic.saved += wanted.size - std::min(wanted.size, delta.size);
  if (job.completed) job.completed(outcome.traffic);
  co_return Status();
}

// The base in the clear, when an application has it so; else it is decrypted once more.
Result<std::shared_ptr<const SealedPatch>> Fetcher::sealed_patch(const FetchJob& job, const Wanted& wanted) {
  const SealedDelta& sealed = *wanted.sealed;
  TRY_ASSIGN(crypto::ContentKey key, job.keys->target_key());
  std::optional<crypto::ContentKey> base_key;
  std::string base_file = job.keys->held_file(sealed.held, sealed.base.path);
  if (base_file.empty()) {
    base_file = layout_.blob(sealed.base.digest.text());
    if (sealed.base.plain) {
      TRY_ASSIGN(base_key, job.keys->held_key(sealed.held));
    }
  }
  SealedPatch patch{std::move(key),
                    std::move(base_key),
                    sealed.delta.plain,
                    sealed.base.plain.value_or(crypto::PlainFile()),
                    *sealed.target.plain,
                    layout_.blob(sealed.delta.digest.text()),
                    std::move(base_file),
                    layout_.applied(wanted.digest)};
  return std::shared_ptr<const SealedPatch>(std::make_shared<SealedPatch>(std::move(patch)));
}

asio::awaitable<Status> Fetcher::apply_sealed_delta(const FetchJob& job, Wanted wanted) {
  const std::string made = layout_.applied(wanted.digest);
  CO_TRY_ASSIGN(std::shared_ptr<const SealedPatch> patch, sealed_patch(job, wanted));
  Status status = co_await apply_sealed_patch(files_, std::move(patch), job.stop);
  if (status) status = co_await check_file(files_, made, wanted.digest, wanted.size, job.stop);
  if (!status) {
    CO_TRY(files_.remove(made));
    co_return std::move(status);
  }
  CO_TRY(files_.set_mode(made, 0444));
  CO_TRY(files_.rename(made, layout_.blob(wanted.digest)));
  co_return files_.sync_folder(layout_.blobs());
}

}  // namespace drover::agent
