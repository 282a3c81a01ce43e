// What a device may run: the walk through the signed metadata, the director's assignment, and the agreement of the two.
// Coroutines on the agent's one thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "agent/store/layout.h"
#include "agent/store/store.h"
#include "agent/update/lifecycle.h"
#include "agent/verify/metadata_store.h"
#include "common/base/result.h"
#include "common/fs/files.h"
#include "common/net/http_client.h"
#include "common/tuf/assignment.h"
#include "common/tuf/refresh.h"

namespace drover::agent {

struct DeviceIdentity {
  std::string id;
  std::string kind;
};

class Trust {
 public:
  // `files` and `client` must outlive the object.
  Trust(fs::Files& files, Layout layout, net::HttpClient& client, DeviceIdentity device,
        tuf::ForeignVerify foreign = nullptr)
      : store_(files, std::move(layout)), client_(client), device_(std::move(device)), foreign_(foreign) {}

  DiskMetadata& metadata() { return store_; }

  // The newest signed time seen, for a clock that must not step back; epoch when there is none.
  WallTime signed_time();

  // Refreshes the metadata, then checks the director's document: signature, device, version, nonce, expiry.
  boost::asio::awaitable<Result<Accepted>> accept(std::string document, std::int64_t last_version, std::string nonce,
                                                  WallTime now);

  // Refreshes the metadata, then looks whether the release managers list what `accepted` assigns as `target`, alike in
  // length, hashes, kind and counter, and the counter not below `floor`. Codes of tuf::check_agreement.
  boost::asio::awaitable<Status> agree(Accepted accepted, update::Target target, std::int64_t floor, WallTime now);

 private:
  Result<tuf::Refresh> begin(WallTime now);
  boost::asio::awaitable<Status> walk(tuf::Refresh& refresh);
  boost::asio::awaitable<Result<Bytes>> get(tuf::NeedFile need);

  DiskMetadata store_;
  net::HttpClient& client_;
  DeviceIdentity device_;
  tuf::ForeignVerify foreign_;
};

// The life-cycle's targets out of a director's document that has been verified. malformed for a target without SHA-256.
Result<std::vector<update::Target>> targets_of(const tuf::Assignment& assignment);

}  // namespace drover::agent
