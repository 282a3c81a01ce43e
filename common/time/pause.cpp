#include "common/time/pause.h"

#include <thread>

namespace drover {

void pause_for(std::chrono::milliseconds time) { std::this_thread::sleep_for(time); }

}  // namespace drover
