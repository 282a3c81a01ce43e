// The SQLite store: one writer thread with group commit, a few reader threads, and the published control plane.
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "common/async/workers.h"
#include "common/db/transaction.h"
#include "common/obs/log.h"
#include "server/rollout/bucket.h"
#include "server/store/seen.h"
#include "server/store/sqlite/schema.h"
#include "server/store/sqlite/tables.h"

namespace drover::store {
namespace sqlite {
namespace {

constexpr std::size_t kMaxBatch = 256;     // closures in one commit: bounds how long the first of them waits
constexpr std::size_t kMaxWaiting = 4096;  // beyond it devices are told to come again
constexpr std::int64_t kWriterCache = 16 << 20;
constexpr std::int64_t kReaderCache = 4 << 20;
constexpr std::int64_t kReaderWork = 500'000'000;  // instructions of one query: some seconds
constexpr std::size_t kTouchChunk = 2000;          // devices in one transaction, so that others are not held up

Status define_functions(db::Connection& connection) {
  return connection.define("drover_bucket", 2, [](std::span<const std::string_view> in) {
    return static_cast<std::int64_t>(rollout::bucket(in[0], in[1]));
  });
}

// Waits for one job from a thread that may block.
class Latch {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    wake_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool open_ = false;
};

// The open transaction as closures see it.
class SqliteWriter final : public Writer {
 public:
  explicit SqliteWriter(Tables& tables)
      : Writer(tables.devices, tables.groups, tables.releases, tables.metadata, tables.rollouts, tables.deployments,
               tables.tokens, tables.enrolment_tokens, tables.audit, tables.answers, tables.uploads) {}

  Result<std::shared_ptr<const Control>> control() override {
    if (changed_ && !fresh_) {
      TRY_ASSIGN(current_, load_control(reader(), published_->revision + 1, published_.get()));
      fresh_ = true;
    }
    return current_;
  }
  void control_changed() override {
    changed_ = true;
    fresh_ = false;
  }

  void begin(std::shared_ptr<const Control> published) {
    published_ = std::move(published);
    current_ = published_;
    changed_ = fresh_ = false;
  }
  // What a closure that failed has changed is undone, and what was loaded meanwhile is no longer true.
  struct Mark {
    bool changed;
  };
  Mark mark() const { return {changed_}; }
  void undo(Mark mark) {
    if (changed_) fresh_ = false;
    changed_ = changed_ || mark.changed;
  }
  bool changed() const { return changed_; }

 private:
  std::shared_ptr<const Control> published_, current_;
  bool changed_ = false;
  bool fresh_ = false;
};

class SqliteStore final : public Store {
 public:
  SqliteStore(const Clock& clock, db::Connection writer, std::vector<db::Connection> readers)
      : clock_(clock), writer_db_(std::move(writer)), reader_dbs_(std::move(readers)), tables_(writer_db_),
        writer_(tables_) {
    for (db::Connection& connection : reader_dbs_) reader_tables_.emplace_back(connection);
  }
  ~SqliteStore() override { stop(); }

  Status start();
  std::shared_ptr<const Control> control() const override { return std::atomic_load(&control_); }
  std::int64_t revision() const override { return revision_.load(std::memory_order_acquire); }
  void seen(DeviceNo device) override { seen_.note(device); }
  void flush_seen() override;
  StoreStats stats() const override;
  void stop() override;

 protected:
  void submit(ReadJob job) override;
  void submit(WriteJob job) override;
  void submit_and_wait(ReadJob job) override;
  void submit_and_wait(WriteJob job) override;

 private:
  struct Reading : async::Job {
    ReadJob job;
  };
  struct Writing : async::Job {
    WriteJob job;
  };

  void run_read(unsigned thread, async::Batch batch);
  void run_writes(async::Batch batch);
  Status run_batch(async::Batch& batch);
  Status run_one(Writing& writing);
  Status save_revision(const std::shared_ptr<const Control>& next);
  void publish(std::shared_ptr<const Control> next);

  const Clock& clock_;
  db::Connection writer_db_;
  std::vector<db::Connection> reader_dbs_;
  Tables tables_;
  SqliteWriter writer_;
  std::vector<Tables> reader_tables_;
  SeenBuffer seen_;
  std::shared_ptr<const Control> control_;
  std::atomic<std::int64_t> revision_{0};
  std::atomic<std::uint64_t> commits_{0}, writes_{0};
  std::unique_ptr<async::Workers> write_workers_, read_workers_;
  std::atomic<bool> stopped_{false};
};

Status SqliteStore::start() {
  TRY_ASSIGN(const std::int64_t revision, writer_db_.number("SELECT revision FROM control", 1));
  TRY_ASSIGN(std::shared_ptr<const Control> control, load_control(tables_.reader(), revision, nullptr));
  publish(std::move(control));
  write_workers_ = std::make_unique<async::Workers>(
      async::WorkersOptions{"db-writer", 1, kMaxWaiting, kMaxBatch},
      [this](unsigned, async::Batch batch) { run_writes(std::move(batch)); });
  read_workers_ = std::make_unique<async::Workers>(
      async::WorkersOptions{"db-reader", static_cast<unsigned>(reader_dbs_.size()), kMaxWaiting, 1},
      [this](unsigned thread, async::Batch batch) { run_read(thread, std::move(batch)); });
  return {};
}

void SqliteStore::publish(std::shared_ptr<const Control> next) {
  const std::int64_t revision = next->revision;
  std::atomic_store(&control_, std::move(next));
  revision_.store(revision, std::memory_order_release);
}

// --- reading ---------------------------------------------------------------------------------------------------------

void SqliteStore::submit(ReadJob job) {
  auto reading = std::make_unique<Reading>();
  reading->job = std::move(job);
  std::unique_ptr<async::Job> generic = std::move(reading);
  if (Status status = read_workers_->submit(generic); !status) {
    auto& refused = static_cast<Reading&>(*generic).job;
    refused.fail(std::move(status).error());
    refused.done();
  }
}

void SqliteStore::submit_and_wait(ReadJob job) {
  Latch latch;
  job.done = [&latch] { latch.open(); };
  submit(std::move(job));
  latch.wait();
}

void SqliteStore::run_read(unsigned thread, async::Batch batch) {
  for (auto& generic : batch) {
    ReadJob& job = static_cast<Reading&>(*generic).job;
    db::Connection& connection = reader_dbs_[thread];
    // One transaction, so that all of the closure's statements see the same state.
    if (Status begun = connection.run("BEGIN"); !begun) job.fail(std::move(begun).error());
    else job.run(reader_tables_[thread].reader());
    (void)connection.run("ROLLBACK").has_value();
    job.done();
  }
}

// --- writing ---------------------------------------------------------------------------------------------------------

void SqliteStore::submit(WriteJob job) {
  auto writing = std::make_unique<Writing>();
  writing->job = std::move(job);
  std::unique_ptr<async::Job> generic = std::move(writing);
  if (Status status = write_workers_->submit(generic); !status) {
    auto& refused = static_cast<Writing&>(*generic).job;
    refused.fail(std::move(status).error());
    refused.done();
  }
}

void SqliteStore::submit_and_wait(WriteJob job) {
  Latch latch;
  job.done = [&latch] { latch.open(); };
  submit(std::move(job));
  latch.wait();
}

Status SqliteStore::run_one(Writing& writing) {
  const SqliteWriter::Mark mark = writer_.mark();
  TRY_ASSIGN(db::Savepoint savepoint, db::Savepoint::begin(writer_db_));
  const Status status = writing.job.run(writer_);
  if (status) return savepoint.release();
  // Without a transaction the next savepoint would commit by itself.
  if (!writer_db_.in_transaction()) return status;
  writer_.undo(mark);
  return {};
}

Status SqliteStore::save_revision(const std::shared_ptr<const Control>& next) {
  return writer_db_.run("UPDATE control SET revision = ?", next->revision);
}

Status SqliteStore::run_batch(async::Batch& batch) {
  TRY_ASSIGN(db::Transaction transaction, db::Transaction::begin(writer_db_));
  writer_.begin(control());
  for (auto& generic : batch) TRY(run_one(static_cast<Writing&>(*generic)));
  std::shared_ptr<const Control> next;
  if (writer_.changed()) {
    TRY_ASSIGN(next, writer_.control());
    TRY(save_revision(next));
  }
  TRY(transaction.commit());
  if (next) publish(std::move(next));
  commits_.fetch_add(1, std::memory_order_relaxed);
  writes_.fetch_add(batch.size(), std::memory_order_relaxed);
  return {};
}

void SqliteStore::run_writes(async::Batch batch) {
  if (Status status = run_batch(batch); !status) {
    log::failure("a transaction was lost", status.error(), {{"writes", batch.size()}});
    const Error error = std::move(status).error().within("storing");
    for (auto& generic : batch) static_cast<Writing&>(*generic).job.fail(error);
  }
  for (auto& generic : batch) static_cast<Writing&>(*generic).job.done();
}

void SqliteStore::flush_seen() {
  auto devices = std::make_shared<const std::vector<DeviceNo>>(seen_.take());
  const WallTime now = clock_.wall();
  for (std::size_t from = 0; from < devices->size(); from += kTouchChunk) {
    WriteJob job;
    job.run = [devices, from, now](Writer& writer) -> Status {
      const std::span<const DeviceNo> all(*devices);
      return writer.devices.touch(all.subspan(from, std::min(kTouchChunk, all.size() - from)), now);
    };
    job.fail = [](const Error& error) { log::failure("last_seen was not written", error); };
    job.done = [] {};
    submit(std::move(job));
  }
}

StoreStats SqliteStore::stats() const {
  return {commits_.load(), writes_.load(), write_workers_ ? write_workers_->queued() : 0};
}

void SqliteStore::stop() {
  if (stopped_.exchange(true) || !write_workers_) return;
  flush_seen();
  read_workers_->stop();
  write_workers_->stop();
}

}  // namespace
}  // namespace sqlite

Result<std::unique_ptr<Store>> open_sqlite(const StoreOptions& options, const Clock& clock) {
  db::OpenOptions writing;
  writing.cache_bytes = sqlite::kWriterCache;
  TRY_ASSIGN(db::Connection writer, db::Connection::open(options.file, writing));
  TRY(sqlite::define_functions(writer));
  TRY(db::migrate(writer, sqlite::kApplicationId, sqlite::kMigrations));
  std::vector<db::Connection> readers;
  for (unsigned i = 0; i < options.readers; ++i) {
    db::OpenOptions reading;
    reading.read_only = true;
    reading.cache_bytes = sqlite::kReaderCache;
    TRY_ASSIGN(db::Connection reader, db::Connection::open(options.file, reading));
    TRY(sqlite::define_functions(reader));
    reader.limit_work(sqlite::kReaderWork);
    readers.push_back(std::move(reader));
  }
  auto store = std::make_unique<sqlite::SqliteStore>(clock, std::move(writer), std::move(readers));
  TRY(store->start());
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace drover::store
