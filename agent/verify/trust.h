// What a device may run: the walk through the signed metadata, the director's assignment, and the agreement of the two.
// Coroutines on the agent's one thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <optional>
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

// The time that signed things are judged by.
struct Now {
  WallTime time{};
  bool sure = true;  // false: a clock that is not believed
  WallTime floor{};  // it is at least this
};

class Trust {
 public:
  // `files` and `client` must outlive the object.
  Trust(fs::Files& files, Layout layout, net::HttpClient& client, DeviceIdentity device,
        tuf::ForeignVerify foreign = nullptr, std::chrono::seconds patience = std::chrono::seconds(30))
      : store_(files, std::move(layout)),
        client_(client),
        device_(std::move(device)),
        foreign_(foreign),
        patience_(patience) {}

  DiskMetadata& metadata() { return store_; }

  // The newest signed time seen, for a clock that must not step back; epoch when there is none. An online key says it,
  // so that it counts only up to where the offline ones vouch: the earlier expiry of root and targets. Else a stolen
  // server could set every clock to the year 2100, and no release would be current ever after.
  WallTime signed_time();
  WallTime vouched(WallTime told);
  // When the timestamp that is here ends: a server that is well has signed another one long before. Epoch: there is
  // none.
  WallTime timestamp_expires();
  // The walk to the newest metadata, and nothing else.
  boost::asio::awaitable<Status> refresh(WallTime now);

  // Refreshes the metadata, then checks the director's document: signature, device, version, nonce, expiry. The version
  // must not be below that of `held`, as long as the key that signed `held` is still the director's. A clock that is not
  // believed, and by which all this has expired, gives way to the time in the document: it answers this device's own
  // question (the nonce) and is signed, so that it is of now.
  boost::asio::awaitable<Result<Accepted>> accept(std::string document, Accepted held, std::string nonce, Now now);

  // Refreshes the metadata, then looks whether the release managers list what `accepted` assigns as `target`, alike in
  // length, hashes, kind and counter, and the counter not below `floor`. Codes of tuf::check_agreement.
  boost::asio::awaitable<Status> agree(Accepted accepted, update::Target target, std::int64_t floor, WallTime now);

 private:
  Result<tuf::Refresh> begin(WallTime now);
  boost::asio::awaitable<Result<Accepted>> accept_at(std::string document, Accepted held, std::string nonce,
                                                     WallTime now);
  std::optional<tuf::Timestamp> timestamp();
  boost::asio::awaitable<Status> walk(tuf::Refresh& refresh);
  boost::asio::awaitable<Result<Bytes>> get(tuf::NeedFile need);

  DiskMetadata store_;
  net::HttpClient& client_;
  DeviceIdentity device_;
  tuf::ForeignVerify foreign_;
  std::chrono::seconds patience_;  // with one metadata file, beside what its length takes
};

// The expiry of an accepted document; the end of time for one that does not parse (it was looked at when it came).
WallTime expiry_of(const std::string& document);

// The life-cycle's targets out of a director's document that has been verified. malformed for a target without SHA-256.
Result<std::vector<update::Target>> targets_of(const tuf::Assignment& assignment);

}  // namespace drover::agent
