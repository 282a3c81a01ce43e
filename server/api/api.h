// What every resource of the API works with. Made by server/app, lives as long as the HTTP server.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "common/async/pool.h"
#include "common/crypto/ed25519.h"
#include "common/crypto/paseto.h"
#include "common/obs/metrics.h"
#include "common/rng/rng.h"
#include "common/time/clock.h"
#include "server/api/busy.h"
#include "server/api/online_keys.h"
#include "server/api/peer.h"
#include "server/api/refusals.h"
#include "server/api/throttle.h"
#include "server/api/trust_state.h"
#include "server/deltas/deltas.h"
#include "server/store/blobs.h"
#include "server/store/store.h"

namespace drover::api {

// The server's own keys. None of them can make a release: those keys are people's.
struct Keys {
  crypto::LocalKey session;  // session tokens and challenges
  std::unique_ptr<OnlineKeys> online;
};

struct Settings {
  std::chrono::seconds poll{60};                     // how often devices ask
  std::chrono::seconds session{4 * 3600};            // life of a device's session token
  std::chrono::seconds assignment{7 * 24 * 3600};    // life of a director's document
  std::chrono::seconds snapshot{30 * 24 * 3600};     // life of snapshot.json; signed anew at half of it
  std::chrono::seconds timestamp{24 * 3600};         // the same of timestamp.json
  std::chrono::seconds delta_wait{30};               // how long offers of a new rollout wait for its deltas
  std::int64_t max_pending = 10'000;                 // devices that wait for acceptance; more are refused
  std::filesystem::path wrapping_key{};              // to which content keys are sealed; read for each use
  std::chrono::seconds expiry_warn{30 * 24 * 3600};  // before the end of root, targets or a model's role
  std::chrono::seconds expiry_urgent{7 * 24 * 3600};
  bool device_certificates = false;  // devices must show a client certificate
  ProxyTrust proxies{};              // whose word about clients is taken

  release::LeadTimes leads() const { return {expiry_warn, expiry_urgent, snapshot, timestamp}; }
};

struct Counters {
  explicit Counters(metrics::Registry& registry);
  void add(const wire::Savings& savings);
  metrics::Counter& checkins_idle;
  metrics::Counter& checkins_news;
  metrics::Counter& sessions;
  metrics::Counter& events;
  metrics::Counter& report_conflicts;
  metrics::Counter& assignments;
  metrics::Counter& refused;
  metrics::Counter& blobs_served;
  metrics::Counter& deltas_served;
  metrics::Counter& packed_served;
  metrics::Counter& packed_bytes_saved;
  metrics::Counter& updates;
  metrics::Counter& delta_updates;
  metrics::Counter& delta_bytes_saved;
  metrics::Counter& content_keys;
};

struct Api {
  store::Store& store;
  store::Blobs& blobs;
  async::Pool& disk;
  const Keys& keys;
  const Settings settings;
  const Clock& clock;
  Rng& rng;
  metrics::Registry& metrics;
  Counters counters{metrics};
  TrustState trust{*keys.online, metrics, clock};
  Throttle throttle{};
  Refusals refusals{};
  Busy uploads{};
  // {"poll_seconds":n}: what every idle check-in is answered.
  std::shared_ptr<const std::string> idle_answer{};
  deltas::Deltas* deltas = nullptr;  // null: none are made
};

}  // namespace drover::api
