#include "agent/fetch/sealed_patch.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <vector>

#include "common/async/workers.h"
#include "common/crypto/secret.h"
#include "common/delta/delta.h"
#include "common/fs/mapped_file.h"
#include "common/fs/memory_place.h"

namespace drover::agent {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kBuffer = 64 * 1024;
constexpr std::uint64_t kSyncEvery = 16u << 20;  // bounds dirty memory
constexpr std::chrono::milliseconds kLookAtStop{200};

// The delta, decrypted as it is asked for.
class SealedSource final : public delta::ByteSource {
 public:
  SealedSource(fs::Reader& file, const SealedPatch& patch)
      : file_(file), decryptor_(patch.key, patch.delta, [this](ByteView part) {
          plain_.insert(plain_.end(), part.begin(), part.end());
          return Status();
        }) {}
  ~SealedSource() override { crypto::wipe(plain_); }

  Status read(std::span<std::uint8_t> out) override {
    while (!out.empty()) {
      if (used_ == plain_.size()) TRY(refill());
      const std::size_t now = std::min(out.size(), plain_.size() - used_);
      std::copy_n(plain_.begin() + static_cast<std::ptrdiff_t>(used_), now, out.begin());
      used_ += now;
      out = out.subspan(now);
    }
    return {};
  }

 private:
  Status refill() {
    if (ended_) return Error(Code::malformed, "the delta ends early");
    plain_.clear();
    used_ = 0;
    TRY_ASSIGN(const std::size_t got, file_.read(offset_, buffer_));
    offset_ += got;
    ended_ = got == 0;
    return ended_ ? decryptor_.finish() : decryptor_.write(as_bytes(std::string_view(buffer_.data(), got)));
  }

  fs::Reader& file_;
  Bytes plain_;  // at most two chunks
  crypto::StreamDecryptor decryptor_;
  std::vector<char> buffer_ = std::vector<char>(kBuffer);
  std::size_t used_ = 0;
  std::uint64_t offset_ = 0;
  bool ended_ = false;
};

// The target, encrypted as it is made.
class SealedSink final : public delta::ByteSink {
 public:
  SealedSink(fs::Appender& file, const SealedPatch& patch, const std::atomic<bool>& stop)
      : file_(file), stop_(stop), encryptor_(patch.key, patch.target, [this](ByteView part) { return append(part); }) {}

  Status write(ByteView bytes) override {
    if (stop_) return Error(Code::cancelled, "stopped while a delta was applied");
    return encryptor_.write(bytes);
  }
  Status finish() {
    TRY(encryptor_.finish());
    return file_.sync();
  }

 private:
  Status append(ByteView bytes) {
    TRY(file_.append(as_text(bytes)));
    if (file_.size() - synced_ < kSyncEvery) return {};
    synced_ = file_.size();
    return file_.sync();
  }

  fs::Appender& file_;
  const std::atomic<bool>& stop_;
  std::uint64_t synced_ = 0;
  crypto::StreamEncryptor encryptor_;
};

Result<fs::MappedFile> open_base(fs::Files& files, const SealedPatch& patch) {
  if (!patch.base_key) return fs::MappedFile::open(patch.base_file);
  TRY_ASSIGN(fs::MemoryFile memory, fs::MemoryFile::create("drover-base"));
  crypto::StreamDecryptor decryptor(*patch.base_key, patch.base, [&](ByteView part) { return memory.append(part); });
  TRY_ASSIGN(const std::unique_ptr<fs::Reader> reader, files.open(patch.base_file, fs::Cache::use));
  std::vector<char> block(kBuffer);
  for (std::uint64_t at = 0;;) {
    TRY_ASSIGN(const std::size_t got, reader->read(at, block));
    if (got == 0) break;
    TRY(decryptor.write(as_bytes(std::string_view(block.data(), got))));
    at += got;
  }
  TRY(decryptor.finish());
  return fs::MappedFile::open(memory.path());  // the mapping keeps the memory
}

Status apply(fs::Files& files, const SealedPatch& patch, const std::atomic<bool>& stop) {
  delta::ApplyLimits limits;
  limits.max_target = patch.target.size;
  TRY_ASSIGN(const fs::MappedFile base, open_base(files, patch).within("the base"));
  TRY_ASSIGN(const std::unique_ptr<fs::Reader> reader, files.open(patch.delta_file, fs::Cache::use));
  TRY_ASSIGN(const std::unique_ptr<fs::Appender> out, files.append(patch.out, 0));
  SealedSource source(*reader, patch);
  SealedSink sink(*out, patch, stop);
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

asio::awaitable<Status> apply_sealed_patch(fs::Files& files, std::shared_ptr<const SealedPatch> patch,
                                           std::function<bool()> stop) {
  const auto executor = co_await asio::this_coro::executor;
  const auto work = std::make_shared<Work>();
  const auto timer = std::make_shared<asio::steady_timer>(executor);
  async::WorkersOptions options;
  options.name = "delta";
  async::Workers worker(options, [&files, patch, work, timer, executor](unsigned, async::Batch) {
    work->status = apply(files, *patch, work->stop);
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
