// A few threads for blocking work (hashing a file, syncing it), awaited from coroutines.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/async/suspend.h"
#include "common/async/workers.h"
#include "common/base/result.h"

namespace drover::async {

template <class T>
using BlockingFn = std::function<Result<T>()>;

class Pool {
 public:
  Pool(std::string name, unsigned threads, std::size_t max_queue);

  // Runs `fn` on one of the threads. unavailable when too much waits. Name `fn` on the line above the co_await.
  template <class T>
  boost::asio::awaitable<Result<T>> run(BlockingFn<T> fn) {
    auto result = std::make_shared<std::optional<Result<T>>>();
    Start start = [this, result, fn = std::move(fn)](Resume resume) {
      submit([result, fn] { result->emplace(fn()); }, [result](Error error) { result->emplace(std::move(error)); },
             std::move(resume));
    };
    co_await suspend(std::move(start));
    co_return std::move(**result);
  }
  // Ends the threads after what is queued.
  void stop() { workers_.stop(); }

 private:
  void submit(std::function<void()> run, std::function<void(Error)> fail, Resume resume);
  Workers workers_;
};

}  // namespace drover::async
