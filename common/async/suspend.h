// The bridge from a coroutine to another thread and back.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>

namespace drover::async {

// Goes on with the coroutine, on its own executor. Call it exactly once, from any thread; calling it never blocks.
using Resume = std::function<void()>;
using Start = std::function<void(Resume)>;

// Suspends the calling coroutine, then calls `start`, which sees to it that Resume is called. The executor must live
// until then: end the other threads before the event loop.
boost::asio::awaitable<void> suspend(Start start);

}  // namespace drover::async
