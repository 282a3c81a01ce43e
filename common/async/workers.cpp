#include "common/async/workers.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace drover::async {

struct Workers::Impl {
  WorkersOptions options;
  Run run;
  mutable std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::unique_ptr<Job>> queue;
  bool stopping = false;
  std::vector<std::thread> threads;

  // Waits for jobs; empty when there will be none any more.
  Batch take() {
    std::unique_lock lock(mutex);
    wake.wait(lock, [this] { return stopping || !queue.empty(); });
    Batch batch;
    while (!queue.empty() && batch.size() < options.max_batch) {
      batch.push_back(std::move(queue.front()));
      queue.pop_front();
    }
    return batch;
  }

  void loop(unsigned thread) {
    pthread_setname_np(pthread_self(), options.name.substr(0, 15).c_str());
    // Of the thread alone, under Linux. A system that refuses has a thread like the others.
    if (options.niceness > 0) (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), options.niceness);
    for (Batch batch = take(); !batch.empty(); batch = take()) run(thread, std::move(batch));
  }
};

Workers::Workers(WorkersOptions options, Run run) : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
  impl_->run = std::move(run);
  for (unsigned i = 0; i < impl_->options.threads; ++i) impl_->threads.emplace_back([this, i] { impl_->loop(i); });
}

Workers::~Workers() { stop(); }

Status Workers::submit(std::unique_ptr<Job>& job) {
  {
    const std::lock_guard lock(impl_->mutex);
    if (impl_->stopping) return Error(Code::unavailable, "the server is stopping");
    if (impl_->queue.size() >= impl_->options.max_queue)
      return Error(Code::unavailable, "too much waits for " + impl_->options.name + "; try again soon");
    impl_->queue.push_back(std::move(job));
  }
  impl_->wake.notify_one();
  return {};
}

void Workers::stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->wake.notify_all();
  for (std::thread& thread : impl_->threads)
    if (thread.joinable()) thread.join();
}

std::size_t Workers::queued() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->queue.size();
}

}  // namespace drover::async
