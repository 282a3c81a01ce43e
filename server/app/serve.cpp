#include "server/app/serve.h"

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/async/pool.h"
#include "common/obs/log.h"
#include "server/api/journey/engine.h"
#include "server/api/journey/publish.h"
#include "server/api/resources.h"
#include "server/api/router.h"

namespace drover::server {
namespace {

constexpr unsigned kDiskThreads = 2;
constexpr std::size_t kDiskQueue = 1024;
constexpr std::chrono::seconds kTick{1};
constexpr int kFlushEvery = 5;            // ticks
constexpr int kRefreshEvery = 60;         // ticks between two looks at the online roles' expiry
constexpr int kCleanEvery = 600;          // and at forgotten uploads
constexpr int kWarnEvery = 24 * 3600;     // and lines on what expires
constexpr std::chrono::seconds kUploadLife{7 * 24 * 3600};
constexpr std::size_t kCleanAtOnce = 100;

class RunningServer final : public Server {
 public:
  RunningServer(const ServeOptions& options, api::Keys keys, std::unique_ptr<store::Store> store,
                std::unique_ptr<store::Blobs> blobs, std::unique_ptr<deltas::Deltas> deltas, const Clock& clock, Rng& rng)
      : stop_within_(options.stop_within), keys_(std::move(keys)), store_(std::move(store)), blobs_(std::move(blobs)),
        deltas_(std::move(deltas)), disk_("disk", kDiskThreads, kDiskQueue),
        api_{*store_, *blobs_, disk_, keys_, options.api, clock, rng, metrics_} {
    std::string idle = "{\"poll_seconds\":";
    idle += std::to_string(options.api.poll.count());
    idle += '}';
    api_.deltas = deltas_.get();
    api_.idle_answer = std::make_shared<const std::string>(std::move(idle));
    add_metrics();
  }
  ~RunningServer() override { stop(); }

  Status load_trust() {
    store::ReadFn<void> read = [this](const store::Reader& reader) { return api_.trust.reload(reader); };
    return store_->read_now(read).within("the published metadata");
  }
  Status bind(const net::HttpServerOptions& options) {
    TRY_ASSIGN(http_, net::HttpServer::create(options, api::make_handler(api_), api::make_fast_path(api_),
                                              api::make_body_planner()));
    return {};
  }

  void start() override;
  void stop() override;
  store::Store& store() override { return *store_; }
  net::HttpServer& http() override { return *http_; }

 private:
  void add_metrics();
  void add_delta_metrics();
  static boost::asio::awaitable<void> keep_time(RunningServer& self);
  static boost::asio::awaitable<void> tick(RunningServer& self);
  static boost::asio::awaitable<void> refresh(RunningServer& self);
  static boost::asio::awaitable<void> clean_uploads(RunningServer& self);

  std::chrono::milliseconds stop_within_;
  const api::Keys keys_;
  metrics::Registry metrics_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Blobs> blobs_;
  std::unique_ptr<deltas::Deltas> deltas_;
  async::Pool disk_;
  api::Api api_;
  std::unique_ptr<net::HttpServer> http_;
  std::atomic<bool> stopping_{false};
};

void RunningServer::add_metrics() {
  metrics_.counter_reader("drover_store_commits_total", "Transactions committed",
                          [this] { return static_cast<double>(store_->stats().commits); });
  metrics_.counter_reader("drover_store_writes_total", "Writes in those transactions",
                          [this] { return static_cast<double>(store_->stats().writes); });
  metrics_.gauge_reader("drover_store_waiting", "Writes that wait for the writer",
                        [this] { return static_cast<double>(store_->stats().waiting); });
  metrics_.gauge_reader("drover_control_revision", "Revision of the control plane",
                        [this] { return static_cast<double>(store_->revision()); });
  add_delta_metrics();
  metrics_.gauge_reader("drover_connections", "Open connections",
                        [this] { return static_cast<double>(http_->stats().open.load()); });
  metrics_.gauge_reader("drover_certificate_expires_timestamp_seconds", "When the certificate in use ends; 0: no TLS",
                        [this] {
                          const WallTime ends = http_->certificate_expires();
                          return ends == WallTime::max() ? 0.0 : static_cast<double>(ends.time_since_epoch().count());
                        });
  metrics_.counter_reader("drover_requests_total", "Requests answered",
                          [this] { return static_cast<double>(http_->stats().requests.load()); });
}

void RunningServer::add_delta_metrics() {
  using deltas::Stats;
  const auto gauge = [this](const char* name, const char* help, std::uint64_t Stats::*value) {
    metrics_.gauge_reader(name, help, [this, value] { return static_cast<double>(deltas_->stats().*value); });
  };
  const auto counter = [this](const char* name, const char* help, std::uint64_t Stats::*value) {
    metrics_.counter_reader(name, help, [this, value] { return static_cast<double>(deltas_->stats().*value); });
  };
  gauge("drover_deltas_ready", "Deltas that can be served", &Stats::ready);
  gauge("drover_deltas_bytes", "Bytes that they take on the disk", &Stats::bytes);
  gauge("drover_deltas_waiting", "Releases whose deltas wait to be made", &Stats::waiting);
  gauge("drover_deltas_pending", "Deltas to be made for the releases under way, and releases that wait", &Stats::pending);
  gauge("drover_deltas_pending_bytes", "Bytes of files still to be encoded for the releases under way",
        &Stats::pending_bytes);
  counter("drover_deltas_made_total", "Deltas made", &Stats::made);
  counter("drover_deltas_useless_total", "Deltas that were hardly smaller than their file, not kept", &Stats::useless);
  counter("drover_deltas_failed_total", "Deltas that could not be made or found no room", &Stats::failed);
  counter("drover_deltas_removed_total", "Deltas removed to keep the budget", &Stats::removed);
}

// --- what happens as time goes by ------------------------------------------------------------------------------------

boost::asio::awaitable<void> RunningServer::tick(RunningServer& self) {
  bool any = false;
  const auto control = self.store_->control();
  for (const store::RolloutEntry& entry : control->rollouts) any = any || entry.ticks;
  if (!any) co_return;
  store::WriteFn<void> write = [now = self.api_.clock.wall()](store::Writer& writer) {
    return api::tick_rollouts(writer, now);
  };
  const Status status = co_await self.store_->write(std::move(write));
  if (!status) log::failure("a tick of the rollouts failed", status.error());
}

boost::asio::awaitable<void> RunningServer::refresh(RunningServer& self) {
  store::WriteFn<bool> write = [&api = self.api_](store::Writer& writer) {
    return api::refresh_online_roles(api, writer, api.clock.wall());
  };
  const Result<bool> renewed = co_await self.store_->write(std::move(write));
  if (!renewed) log::failure("snapshot and timestamp were not signed anew", renewed.error());
  if (renewed && *renewed) co_await api::reload_trust(self.api_);
}

boost::asio::awaitable<void> RunningServer::clean_uploads(RunningServer& self) {
  store::WriteFn<std::vector<store::UploadRow>> write =
      [before = self.api_.clock.wall() - kUploadLife](store::Writer& writer) -> Result<std::vector<store::UploadRow>> {
    TRY_ASSIGN(const std::vector<store::UploadRow> old, writer.uploads.older_than(before, kCleanAtOnce));
    for (const store::UploadRow& upload : old) TRY(writer.uploads.remove(upload.id));
    return old;
  };
  const auto old = co_await self.store_->write(std::move(write));
  if (!old) co_return log::failure("forgotten uploads were not removed", old.error());
  for (const store::UploadRow& upload : *old) self.blobs_->drop(upload.id);
}

boost::asio::awaitable<void> RunningServer::keep_time(RunningServer& self) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
  for (int i = 0; !self.stopping_; ++i) {
    co_await tick(self);
    if (i % kFlushEvery == 0) self.store_->flush_seen();
    if (i % kRefreshEvery == 0) co_await refresh(self);
    if (i % kCleanEvery == 0) co_await clean_uploads(self);
    if (i % kWarnEvery == 0) api::log_expiry(self.api_);
    timer.expires_after(kTick);
    co_await timer.async_wait(boost::asio::use_awaitable);
  }
}

void RunningServer::start() {
  deltas_->resume();
  http_->start();
  boost::asio::co_spawn(http_->executors().front(), keep_time(*this), boost::asio::detached);
}

void RunningServer::stop() {
  if (stopping_.exchange(true)) return;
  if (http_ && !http_->stop(stop_within_)) log::warn("requests were cut off at the stop");
  disk_.stop();
  deltas_->stop();
  store_->stop();
  http_.reset();
}

}  // namespace

Result<std::unique_ptr<Server>> Server::open(const ServeOptions& given, const Clock& clock, Rng& rng) {
  ServeOptions options = given;
  TRY(prepare(options.data, rng));
  // One that people keep elsewhere is never made anew: a file that is not there now is not a wish for another key.
  if (options.api.wrapping_key.empty()) {
    options.api.wrapping_key = options.data.wrapping_key();
    TRY(make_wrapping_key(options.api.wrapping_key, rng));
  }
  TRY_ASSIGN(api::Keys keys, load_keys(options.data, rng).within("the server's keys"));
  store::StoreOptions store_options;
  store_options.file = options.data.database();
  store_options.readers = options.readers;
  TRY_ASSIGN(auto store, store::open_sqlite(store_options, clock));
  TRY_ASSIGN(auto blobs, store::open_blob_folder(options.data.blobs()));
  const deltas::DeltasOptions making{options.data.deltas().string(), options.delta_budget, options.delta_threads};
  TRY_ASSIGN(auto deltas, deltas::Deltas::open(*store, *blobs, fs::system_files(), making));
  auto server = std::make_unique<RunningServer>(options, std::move(keys), std::move(store), std::move(blobs),
                                                std::move(deltas), clock, rng);
  TRY(server->load_trust());
  TRY(server->bind(options.http));
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace drover::server
