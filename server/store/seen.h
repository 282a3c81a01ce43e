// Who was heard from since the last flush. Bounded, never blocks, no allocation: a fixed table of device numbers.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "server/store/devices.h"

namespace drover::store {

class SeenBuffer {
 public:
  static constexpr std::size_t kSlots = 1 << 16;  // 512 KiB; 13,000 devices a second at a flush each 5 s
  static constexpr std::size_t kProbes = 16;      // then the device is passed over: it is noted the next time

  // Thread-safe. False when it was passed over.
  bool note(DeviceNo device);
  // Takes all; a device that is noted meanwhile is in this flush or the next.
  std::vector<DeviceNo> take();

 private:
  std::array<std::atomic<DeviceNo>, kSlots> slots_{};
};

}  // namespace drover::store
