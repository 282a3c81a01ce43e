// A running server: store, blobs, API and HTTP wired together. For main(), and for tests in one process.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/net/http_server.h"
#include "common/rng/rng.h"
#include "common/time/clock.h"
#include "server/api/api.h"
#include "server/app/data_folder.h"

namespace drover::server {

struct ServeOptions {
  DataFolder data;
  net::HttpServerOptions http;
  api::Settings api;
  unsigned readers = 2;
  std::uint64_t delta_budget = UINT64_MAX;  // bytes
  unsigned delta_threads = 1;
  std::chrono::milliseconds stop_within{20'000};
};

class Server {
 public:
  // Opens everything and binds; serves nothing before start(). `clock` and `rng` must outlive it.
  static Result<std::unique_ptr<Server>> open(const ServeOptions& options, const Clock& clock, Rng& rng);
  virtual ~Server() = default;  // stops

  virtual void start() = 0;
  // Ends requests in flight, writes what is buffered, closes. Idempotent.
  virtual void stop() = 0;
  virtual store::Store& store() = 0;
  virtual net::HttpServer& http() = 0;
};

}  // namespace drover::server
