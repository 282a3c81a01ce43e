// The one seam for what the server keeps. Behind it stands SQLite today; PostgreSQL fits the same interface, and the suite
// in tests/contract holds for both.
//
// Reading: read(fn) runs `fn` on a reader thread, in one consistent state of the database.
// Writing: write(fn) queues `fn` for the one writer thread, which runs what is queued together in one transaction, each
// in a savepoint of its own, and answers only when the transaction is durable. `fn` that returns an error leaves nothing behind
// and does not disturb the others. Closures must be quick: no network, no waiting.
//
// Both end with `unavailable` when too much is queued. Awaitable from any executor; in a coroutine name the closure on
// the line above:
//   store::ReadFn<Device> find = [id](const store::Reader& in) { return ...; };
//   auto device = co_await store.read(find);
#pragma once

#include <boost/asio/awaitable.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "common/async/suspend.h"
#include "common/base/result.h"
#include "common/time/clock.h"
#include "server/store/control.h"
#include "server/store/devices.h"
#include "server/store/groups.h"
#include "server/store/people.h"
#include "server/store/releases.h"
#include "server/store/rollouts.h"

namespace drover::store {

struct Reader {
  const Devices& devices;
  const Groups& groups;
  const Releases& releases;
  const Metadata& metadata;
  const Rollouts& rollouts;
  const Deployments& deployments;
  const Tokens& tokens;
  const EnrolmentTokens& enrolment_tokens;
  const AuditLog& audit;
  const Answers& answers;
  const Uploads& uploads;
};

class Writer {
 public:
  virtual ~Writer() = default;
  Devices& devices;
  Groups& groups;
  Releases& releases;
  Metadata& metadata;
  Rollouts& rollouts;
  Deployments& deployments;
  Tokens& tokens;
  EnrolmentTokens& enrolment_tokens;
  AuditLog& audit;
  Answers& answers;
  Uploads& uploads;

  Reader reader() const {
    return {devices, groups,           releases, metadata, rollouts, deployments,
            tokens,  enrolment_tokens, audit,    answers,  uploads};
  }
  // The control plane with all that this transaction has changed so far.
  virtual Result<std::shared_ptr<const Control>> control() = 0;
  // Something of the control plane has changed: a new revision is published with the commit, before the answer.
  virtual void control_changed() = 0;

 protected:
  Writer(Devices& d, Groups& g, Releases& r, Metadata& m, Rollouts& ro, Deployments& de, Tokens& t, EnrolmentTokens& e,
         AuditLog& au, Answers& an, Uploads& u)
      : devices(d), groups(g), releases(r), metadata(m), rollouts(ro), deployments(de), tokens(t), enrolment_tokens(e),
        audit(au), answers(an), uploads(u) {}
};

template <class T>
using ReadFn = std::function<Result<T>(const Reader&)>;
template <class T>
using WriteFn = std::function<Result<T>(Writer&)>;

struct StoreStats {
  std::uint64_t commits = 0;
  std::uint64_t writes = 0;  // closures, in those commits
  std::size_t waiting = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  template <class T>
  boost::asio::awaitable<Result<T>> read(ReadFn<T> fn) {
    auto result = std::make_shared<std::optional<Result<T>>>();
    ReadJob job;
    job.run = [result, fn = std::move(fn)](const Reader& reader) { result->emplace(fn(reader)); };
    job.fail = [result](Error error) { result->emplace(std::move(error)); };
    async::Start start = [this, job = std::move(job)](async::Resume resume) mutable {
      job.done = std::move(resume);
      submit(std::move(job));
    };
    co_await async::suspend(std::move(start));
    co_return std::move(**result);
  }
  template <class T>
  boost::asio::awaitable<Result<T>> write(WriteFn<T> fn) {
    auto result = std::make_shared<std::optional<Result<T>>>();
    async::Start start = [this, job = write_job<T>(result, std::move(fn))](async::Resume resume) mutable {
      job.done = std::move(resume);
      submit(std::move(job));
    };
    co_await async::suspend(std::move(start));
    co_return std::move(**result);
  }
  // The same for start-up, shutdown and tests: waits for the answer. Never on an event loop.
  template <class T>
  Result<T> write_now(WriteFn<T> fn) {
    auto result = std::make_shared<std::optional<Result<T>>>();
    WriteJob job = write_job<T>(result, std::move(fn));
    submit_and_wait(std::move(job));
    return std::move(**result);
  }
  template <class T>
  Result<T> read_now(ReadFn<T> fn) {
    auto result = std::make_shared<std::optional<Result<T>>>();
    ReadJob job;
    job.run = [result, fn = std::move(fn)](const Reader& reader) { result->emplace(fn(reader)); };
    job.fail = [result](Error error) { result->emplace(std::move(error)); };
    submit_and_wait(std::move(job));
    return std::move(**result);
  }

  // The newest published control plane. Never null; thread-safe.
  virtual std::shared_ptr<const Control> control() const = 0;
  // Its revision, without touching a reference count.
  virtual std::int64_t revision() const = 0;
  // Notes that a device was heard from. Never blocks; bounded: under a flood some are dropped, and noted the next time.
  virtual void seen(DeviceNo device) = 0;
  // Queues the writing of what seen() noted. To be called every few seconds; stop() does it too.
  virtual void flush_seen() = 0;
  virtual StoreStats stats() const = 0;
  // Writes what is buffered and ends the threads; every write that was taken is answered. Idempotent.
  virtual void stop() = 0;

 protected:
  struct ReadJob {
    std::function<void(const Reader&)> run;
    std::function<void(Error)> fail;
    std::function<void()> done;
  };
  struct WriteJob {
    std::function<Status(Writer&)> run;  // an error undoes the savepoint; the result is kept by the closure
    std::function<void(Error)> fail;     // the transaction was lost: replaces the result
    std::function<void()> done;
  };
  virtual void submit(ReadJob job) = 0;
  virtual void submit(WriteJob job) = 0;
  virtual void submit_and_wait(ReadJob job) = 0;
  virtual void submit_and_wait(WriteJob job) = 0;

 private:
  template <class T>
  static WriteJob write_job(std::shared_ptr<std::optional<Result<T>>> result, WriteFn<T> fn) {
    WriteJob job;
    job.run = [result, fn = std::move(fn)](Writer& writer) -> Status {
      result->emplace(fn(writer));
      if (!(*result)->has_value()) return (*result)->error();
      return {};
    };
    job.fail = [result](Error error) { result->emplace(std::move(error)); };
    return job;
  }
};

struct StoreOptions {
  std::filesystem::path file;
  unsigned readers = 2;
};

// Opens or creates the database and brings it to the newest form.
Result<std::unique_ptr<Store>> open_sqlite(const StoreOptions& options, const Clock& clock);

}  // namespace drover::store
