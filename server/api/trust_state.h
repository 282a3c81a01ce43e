// What the server must know of its published metadata at any moment without reading it: whose signature devices take
// for the director's, and when each role expires. Made anew from the store at the start and after each publication.
// Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/obs/metrics.h"
#include "common/time/clock.h"
#include "server/api/online_keys.h"
#include "server/release/expiry.h"
#include "server/store/store.h"

namespace drover::api {

class TrustState {
 public:
  // All three must outlive the object.
  TrustState(OnlineKeys& keys, metrics::Registry& metrics, const Clock& clock)
      : keys_(keys), metrics_(metrics), clock_(clock) {}

  // Reads all metadata; to be called with what is committed. Puts online keys in their place (OnlineKeys::settle).
  Status reload(const store::Reader& reader);

  // The director's key as devices know it from `metadata`, which may hold a publication that is not committed yet.
  Result<OnlineKeys::Held> director(const store::Metadata& metadata) const;

  std::vector<release::RoleExpiry> expiries() const;
  std::vector<release::ExpiryWarning> warnings(const release::LeadTimes& leads) const;

 private:
  void add_gauges(const std::vector<release::RoleExpiry>& roles);
  double seconds_left(const std::string& role) const;

  OnlineKeys& keys_;
  metrics::Registry& metrics_;
  const Clock& clock_;
  mutable std::mutex lock_;
  std::int64_t targets_version_ = 0;
  tuf::RoleKeys director_;
  std::map<std::string, release::RoleExpiry> expiries_;
  std::set<std::string> gauges_;
};

// Of targets.json's bytes; unknown_key when it delegates no director.
Result<tuf::RoleKeys> director_keys(std::string_view targets);

}  // namespace drover::api
