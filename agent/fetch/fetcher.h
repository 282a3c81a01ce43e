// Brings the files of a package to the disk over HTTP. One try: what fails is tried again by the life-cycle, which
// counts and waits; the bytes that came stay.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/fetch/chain.h"
#include "agent/fetch/download.h"
#include "agent/fetch/sealed_patch.h"
#include "agent/fetch/wanted.h"
#include "agent/store/layout.h"
#include "agent/store/store.h"
#include "common/base/result.h"
#include "common/fs/files.h"
#include "common/net/http_client.h"
#include "common/time/clock.h"

namespace drover::agent {

// Left free on the disk beside the files of a chain of deltas: databases, logs, and the file system itself.
inline constexpr std::uint64_t kDeltaReserve = 16u << 20;

// Told while bytes come, at most once per kCheckpointEvery.
using TrafficSink = std::function<void(const Traffic&)>;

// What fetching asks of whoever keeps the keys of confidential packages. `held`: as in SealedDelta.
class KeySource {
 public:
  virtual ~KeySource() = default;
  virtual Result<crypto::ContentKey> target_key() = 0;
  virtual Result<crypto::ContentKey> held_key(std::size_t held) = 0;
  // The file in the clear, when it is open; empty otherwise.
  virtual std::string held_file(std::size_t held, const std::string& path) = 0;
};

struct FetchJob {
  std::vector<Wanted> files;
  std::shared_ptr<KeySource> keys{};  // needed for encrypted files with a delta
  std::string deployment;
  Traffic before;              // of this deployment so far, for files that are complete
  std::uint64_t max_rate = 0;  // bytes a second; 0: as fast as it goes
  bool whole_files = true;     // false: a file with a base comes as a delta or not at all; a packed file is no delta
  std::function<bool()> stop;
  TrafficSink told;
  TrafficSink completed;  // a file has become a blob; the sum so far
};

struct FetchOutcome {
  Status status;
  bool progressed = false;  // bytes were gained
  Traffic traffic;
};

class Fetcher {
 public:
  // All must outlive the object. `token` gives the session's token, for each request anew; `patcher` is the program
  // that applies deltas (drover-patch).
  Fetcher(fs::Files& files, const Clock& clock, Layout layout, net::HttpClient& client,
          std::function<std::string()> token, std::string patcher)
      : files_(files),
        clock_(clock),
        layout_(std::move(layout)),
        client_(client),
        token_(std::move(token)),
        patcher_(std::move(patcher)) {}

  // Files that are blobs already are not fetched. Errors: unavailable, timeout, unauthenticated (a new session is
  // needed), fetch_failed (other answers), size_mismatch, digest_mismatch, disk_full, io, cancelled; delta_missing when
  // whole files are not allowed.
  boost::asio::awaitable<FetchOutcome> fetch(FetchJob job);

  // A small signed document into memory and onto the disk, as a blob. `size` at most a few MiB.
  boost::asio::awaitable<Result<std::string>> document(std::string digest, std::uint64_t size);
  // From the disk only: not_found, digest_mismatch.
  Result<std::string> stored_document(const std::string& digest, std::uint64_t limit);

 private:
  boost::asio::awaitable<Status> fetch_one(FetchJob& job, Wanted wanted, FetchOutcome& outcome);
  boost::asio::awaitable<Status> fetch_whole(const FetchJob& job, Wanted wanted, FetchOutcome& outcome);
  boost::asio::awaitable<Status> request_rest(const FetchJob& job, std::string target, Download& download);

  // sealed_fetch.cpp.
  boost::asio::awaitable<Status> fetch_encrypted(FetchJob& job, Wanted wanted, FetchOutcome& outcome);
  boost::asio::awaitable<Status> fetch_sealed_delta(FetchJob& job, Wanted wanted, FetchOutcome& outcome);
  boost::asio::awaitable<Status> apply_sealed_delta(const FetchJob& job, Wanted wanted);
  Result<std::shared_ptr<const SealedPatch>> sealed_patch(const FetchJob& job, const Wanted& wanted);

  // delta_fetch.cpp. A packed file, one delta, or a chain of them whose intermediate files are kept until the end.
  // delta_missing: there is no way, or it is no good; then nothing of it is left on the disk. What came damaged is
  // fetched once more.
  boost::asio::awaitable<Status> fetch_delta(FetchJob& job, Wanted wanted, FetchOutcome& outcome);
  boost::asio::awaitable<Status> try_delta(FetchJob& job, Wanted wanted, FetchOutcome& outcome);
  std::vector<Held> held_for(const Wanted& wanted, bool packed);
  Result<std::uint64_t> room_for_deltas();
  // One that fits the disk, and makes sense: check_plan().
  boost::asio::awaitable<Result<wire::DeltaPlan>> find_plan(Wanted wanted, std::vector<Held> held);
  boost::asio::awaitable<Result<wire::DeltaPlan>> ask_for_plan(Wanted wanted, std::vector<Held> held,
                                                               std::uint64_t room);
  // From a server that does not know the question: it has a delta from the first that is held, or none.
  boost::asio::awaitable<Result<wire::DeltaPlan>> plan_of_one(Wanted wanted, Held base);
  boost::asio::awaitable<Status> take_step(FetchJob& job, Wanted wanted, wire::DeltaStep step, Held base,
                                           FetchOutcome& outcome);
  boost::asio::awaitable<Status> download_delta(const FetchJob& job, wire::DeltaStep step, Download& download,
                                                FetchOutcome& outcome);
  boost::asio::awaitable<Status> apply_step(const FetchJob& job, Wanted wanted, wire::DeltaStep step, Held base);
  void note_spoilt(const FetchJob& job, const Wanted& wanted);
  int spoilt(const FetchJob& job, const Wanted& wanted) const;

  fs::Files& files_;
  const Clock& clock_;
  Layout layout_;
  net::HttpClient& client_;
  std::function<std::string()> token_;
  std::string patcher_;
  bool no_decoder_ = false;            // it cannot be confined here: no more bytes are spent on deltas
  std::map<std::string, int> spoilt_;  // files whose deltas came damaged in a deployment, and how often; bounded
};

// Trying again may help.
bool is_transient(Code code);

}  // namespace drover::agent
