// The device's conversation with its server: session and check-in. Coroutines on the agent's one thread; one at a time.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <string>

#include "agent/app/settings.h"
#include "agent/store/store.h"
#include "common/base/result.h"
#include "common/crypto/signer.h"
#include "common/net/http_client.h"
#include "common/time/clock.h"

namespace drover::agent {

// A token is replaced when it has less than this left, so that it does not end in the middle of a download.
inline constexpr std::chrono::seconds kSessionMargin{300};
inline constexpr std::chrono::seconds kMaxRetryAfter{3600};

class ServerLink {
 public:
  // All must outlive the object.
  ServerLink(net::HttpClient& client, Store& store, crypto::Signer& key, const Settings& settings, const Clock& clock)
      : client_(client), store_(store), key_(key), settings_(settings), clock_(clock) {}

  // Sees to it that there is a session token: pending (waits for an operator), gone, unauthenticated, unavailable, ...
  boost::asio::awaitable<Status> ensure_session();
  void drop_session();
  boost::asio::awaitable<Result<wire::CheckinAnswer>> check_in(wire::CheckinRequest request);
  // The content key of a package, sealed to `box_key`, in bytes. pending: the server has none to give.
  boost::asio::awaitable<Result<Bytes>> content_key(std::string package, std::string box_key);
  // What the server asked for with its last refusal (Retry-After); 0: nothing.
  std::chrono::seconds retry_after() const { return retry_after_; }

  // Name, kind and attributes, and their digest.
  wire::SessionRequest identity() const;
  std::string identity_digest() const;

 private:
  boost::asio::awaitable<Result<std::string>> post(std::string target, std::string body, bool authorised);

  net::HttpClient& client_;
  Store& store_;
  crypto::Signer& key_;
  const Settings& settings_;
  const Clock& clock_;
  std::chrono::seconds retry_after_{0};
};

}  // namespace drover::agent
