#include "agent/fetch/patch.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <vector>

#include "common/async/workers.h"
#include "common/delta/delta.h"
#include "common/fs/mapped_file.h"

namespace drover::agent {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kBuffer = 64 * 1024;
constexpr std::uint64_t kSyncEvery = 16u << 20;          // bounds dirty memory
constexpr std::chrono::milliseconds kLookAtStop{200};

class FileSource final : public delta::ByteSource {
 public:
  explicit FileSource(fs::Reader& file) : file_(file) {}

  Status read(std::span<std::uint8_t> out) override {
    while (!out.empty()) {
      if (used_ == held_) TRY(refill());
      const std::size_t now = std::min(out.size(), held_ - used_);
      std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(used_), now, out.begin());
      used_ += now;
      out = out.subspan(now);
    }
    return {};
  }

 private:
  Status refill() {
    TRY_ASSIGN(held_, file_.read(offset_, buffer_));
    if (held_ == 0) return Error(Code::malformed, "the delta ends early");
    offset_ += held_;
    used_ = 0;
    return {};
  }

  fs::Reader& file_;
  std::vector<char> buffer_ = std::vector<char>(kBuffer);
  std::size_t used_ = 0, held_ = 0;
  std::uint64_t offset_ = 0;
};

class FileSink final : public delta::ByteSink {
 public:
  FileSink(fs::Appender& file, const std::atomic<bool>& stop) : file_(file), stop_(stop) {}

  Status write(ByteView bytes) override {
    if (stop_) return Error(Code::cancelled, "stopped while a delta was applied");
    buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return buffer_.size() < kBuffer ? Status() : flush();
  }
  Status finish() {
    TRY(flush());
    return file_.sync();
  }

 private:
  Status flush() {
    TRY(file_.append(buffer_));
    buffer_.clear();
    if (file_.size() - synced_ < kSyncEvery) return {};
    synced_ = file_.size();
    return file_.sync();
  }

  fs::Appender& file_;
  const std::atomic<bool>& stop_;
  std::string buffer_;
  std::uint64_t synced_ = 0;
};

Status apply(fs::Files& files, const Patch& patch, const std::atomic<bool>& stop) {
  delta::ApplyLimits limits;
  limits.max_target = patch.size;
  TRY_ASSIGN(limits.base, crypto::Digest::parse(patch.base));
  TRY_ASSIGN(limits.target, crypto::Digest::parse(patch.target));
  TRY_ASSIGN(const fs::MappedFile base, fs::MappedFile::open(patch.base_file));
  TRY_ASSIGN(const std::unique_ptr<fs::Reader> reader, files.open(patch.delta, fs::Cache::use));
  TRY_ASSIGN(const std::unique_ptr<fs::Appender> out, files.append(patch.out, 0));
  FileSource source(*reader);
  FileSink sink(*out, stop);
  TRY(delta::apply_delta(source, base.bytes(), limits, sink));
  return sink.finish();
}

// What the thread and the coroutine share. The thread ends before it does.
struct Work {
  std::atomic<bool> stop{false};
  bool done = false;  // of the coroutine's thread
  Status status;
};

struct OneJob final : async::Job {};

// Ends the work with the coroutine: then its thread is waited for.
struct StopAtEnd {
  explicit StopAtEnd(Work& ending) : work(ending) {}
  Work& work;
  ~StopAtEnd() { work.stop = true; }
};

}  // namespace

asio::awaitable<Status> apply_patch(fs::Files& files, Patch patch, std::function<bool()> stop) {
  const auto executor = co_await asio::this_coro::executor;
  const auto work = std::make_shared<Work>();
  const auto timer = std::make_shared<asio::steady_timer>(executor);
  async::WorkersOptions options;
  options.name = "delta";
  async::Workers worker(options, [&files, &patch, work, timer, executor](unsigned, async::Batch) {
    work->status = apply(files, patch, work->stop);
    asio::post(executor, [work, timer] {
      work->done = true;
      timer->cancel();
    });
  });
  const StopAtEnd stop_at_end(*work);  // destroyed before the worker, whose thread uses what stands above
  std::unique_ptr<async::Job> job = std::make_unique<OneJob>();
  CO_TRY(worker.submit(job));
  constexpr auto token = asio::as_tuple(asio::use_awaitable);
  while (!work->done) {
    if (stop && stop()) work->stop = true;
    timer->expires_after(kLookAtStop);
    co_await timer->async_wait(token);
  }
  co_return std::move(work->status);
}

}  // namespace drover::agent
