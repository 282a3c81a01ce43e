// Threads that take jobs from one bounded queue. For what blocks (a database, a disk), beside an event loop.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace drover::async {

class Job {
 public:
  virtual ~Job() = default;
};
using Batch = std::vector<std::unique_ptr<Job>>;

struct WorkersOptions {
  std::string name;  // of the threads, as `top` shows it; at most 15 bytes of it
  unsigned threads = 1;
  std::size_t max_queue = 1024;  // jobs that wait; more are refused
  std::size_t max_batch = 1;     // jobs handed over at once
  int niceness = 0;              // 1 to 19: the threads yield to all others of the machine
};

class Workers {
 public:
  // `run` is called on thread `i` with 1 to max_batch jobs in the order of their submission. It must not throw.
  using Run = std::function<void(unsigned thread, Batch batch)>;
  Workers(WorkersOptions options, Run run);
  ~Workers();  // stop()

  // Takes the job only when it returns ok. Thread-safe. unavailable: the queue is full, or stop() was called.
  Status submit(std::unique_ptr<Job>& job);
  // Runs what is queued, then ends the threads. Not from one of them.
  void stop();
  std::size_t queued() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace drover::async
