#include "server/app/settings.h"

#include <array>

namespace drover::server {
namespace {

using config::Setting;
using enum Setting::Type;

constexpr std::int64_t kYear = 365LL * 24 * 3600;

constexpr std::array kTable = {
    Setting{"data", text, "the folder of database, keys and blobs; made when it is absent", "", "FOLDER"},
    Setting{"listen", text, "where HTTPS is served; empty: nowhere", "127.0.0.1:8443", "ADDRESS:PORT"},
    Setting{"plain_listen", text, "where HTTP without TLS is served, behind a proxy that ends TLS; empty: nowhere", "",
            "ADDRESS:PORT"},
    Setting{"tls_certificate", text, "the certificate chain, PEM; empty: <data>/tls/certificate.pem", "", "FILE", 0, 0,
            "tls_cert"},
    Setting{"tls_key", text, "its private key, PEM; empty: <data>/tls/key.pem", "", "FILE"},
    Setting{"tls_client_ca", text, "who signs certificates of devices, PEM; empty: devices are asked for none", "",
            "FILE"},
    Setting{"device_certificates", truth, "refuse devices that show no certificate of tls_client_ca", "false", ""},
    Setting{"tls_reload_seconds", number, "how often the TLS files are looked at for a change; 0: on SIGHUP only", "30",
            "SECONDS", 0, 24 * 3600},
    Setting{"trusted_proxies", text, "proxies whose X-Forwarded-For names the client; separated by commas", "",
            "ADDRESS,..."},
    Setting{"proxy_certificates", truth,
            "trusted proxies check devices' certificates and say so in X-Client-Verify and X-Client-Name", "false", ""},
    Setting{"self_signed", truth, "make a self-signed certificate for local use when <data>/tls has none", "false", ""},
    Setting{"admin_token_file", text, "where the first admin's token is written when the data folder is made", "", "FILE"},
    Setting{"wrapping_key", text,
            "the key to which content keys of confidential models are sealed, read for each use; empty: "
            "<data>/keys/wrapping.key",
            "", "FILE"},
    Setting{"threads", number, "threads that serve requests; 0: one a core", "0", "COUNT", 0, 256},
    Setting{"readers", number, "threads that read the database", "2", "COUNT", 1, 64},
    Setting{"max_connections", number, "open connections; more are closed at once", "20000", "COUNT", 10, 10'000'000},
    Setting{"poll_seconds", number, "how often devices ask for news", "60", "SECONDS", 1, 7 * 24 * 3600},
    Setting{"session_seconds", number, "life of a device's session token", "14400", "SECONDS", 60, 30 * 24 * 3600},
    Setting{"assignment_seconds", number, "life of a signed assignment", "604800", "SECONDS", 3600, kYear},
    Setting{"snapshot_seconds", number, "life of snapshot.json; signed anew at half of it", "2592000", "SECONDS", 3600, kYear},
    Setting{"timestamp_seconds", number, "life of timestamp.json; signed anew at half of it", "86400", "SECONDS", 600, kYear},
    Setting{"expiry_warn_days", number, "warn so long before root, targets or a model's role expires", "30", "DAYS", 1, 365},
    Setting{"expiry_urgent_days", number, "and call it urgent so long before", "7", "DAYS", 1, 365},
    Setting{"delta_wait_seconds", number, "how long a new rollout's offers wait for its deltas; 0: not at all", "30",
            "SECONDS", 0, 24 * 3600},
    Setting{"delta_budget_mib", number,
            "disk space for deltas; beyond it the least useful go, never those of an open rollout", "10240", "MIB", 0,
            1LL << 40},
    Setting{"delta_threads", number, "threads of low priority that make deltas, a release each", "1", "COUNT", 1, 16},
    Setting{"max_pending", number, "devices that may wait for acceptance at once", "10000", "COUNT", 0, 100'000'000},
    Setting{"stop_seconds", number, "how long requests in flight may take to end at a stop", "20", "SECONDS", 1, 3600},
    Setting{"log_level", text, "debug, info, warn, error or off", "info", "LEVEL"},
    Setting{"log_format", text, "logfmt or json", "logfmt", "FORMAT"},
    Setting{"config", text, "a JSON file with any of these settings", "", "FILE"},
};

}  // namespace

std::span<const config::Setting> settings() { return kTable; }

}  // namespace drover::server
