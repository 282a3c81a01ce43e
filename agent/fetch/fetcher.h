// Brings the files of a package to the disk over HTTP. One try: what fails is tried again by the life-cycle, which
// counts and waits; the bytes that came stay.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/fetch/download.h"
#include "agent/fetch/wanted.h"
#include "agent/store/layout.h"
#include "agent/store/store.h"
#include "common/base/result.h"
#include "common/fs/files.h"
#include "common/net/http_client.h"
#include "common/time/clock.h"

namespace drover::agent {

// Told while bytes come, at most once per kCheckpointEvery.
using TrafficSink = std::function<void(const Traffic&)>;

struct FetchJob {
  std::vector<Wanted> files;
  std::string deployment;
  Traffic before;              // of this deployment so far, for files that are complete
  std::uint64_t max_rate = 0;  // bytes a second; 0: as fast as it goes
  bool whole_files = true;     // false: a file with a base comes as a delta or not at all
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
  // All must outlive the object. `token` gives the session's token, for each request anew.
  Fetcher(fs::Files& files, const Clock& clock, Layout layout, net::HttpClient& client,
          std::function<std::string()> token)
      : files_(files), clock_(clock), layout_(std::move(layout)), client_(client), token_(std::move(token)) {}

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

  // delta_fetch.cpp. delta_missing: there is none, or it is no good; then nothing of it is left on the disk.
  boost::asio::awaitable<Status> fetch_delta(const FetchJob& job, Wanted wanted, FetchOutcome& outcome);
  boost::asio::awaitable<Result<std::uint64_t>> delta_size(Wanted wanted);
  boost::asio::awaitable<Status> download_delta(const FetchJob& job, Wanted wanted, Download& download,
                                                FetchOutcome& outcome);
  boost::asio::awaitable<Status> apply_delta(const FetchJob& job, Wanted wanted);

  fs::Files& files_;
  const Clock& clock_;
  Layout layout_;
  net::HttpClient& client_;
  std::function<std::string()> token_;
  std::map<std::string, int> spoilt_;  // deltas that came damaged, and how often; bounded
};

// Trying again may help.
bool is_transient(Code code);

}  // namespace drover::agent
