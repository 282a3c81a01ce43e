// The seam for waiting in programs without an event loop (the tool). Coroutines wait on timers instead.
#pragma once

#include <chrono>

namespace drover {

// Blocks the calling thread.
void pause_for(std::chrono::milliseconds time);

}  // namespace drover
