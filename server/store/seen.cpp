#include "server/store/seen.h"

namespace drover::store {

bool SeenBuffer::note(DeviceNo device) {
  // Fibonacci hashing: neighbours go far apart.
  const auto hash = static_cast<std::uint64_t>(device) * 0x9e3779b97f4a7c15;
  for (std::size_t i = 0; i < kProbes; ++i) {
    auto& slot = slots_[((hash >> 48) + i) & (kSlots - 1)];
    DeviceNo held = slot.load(std::memory_order_relaxed);
    if (held == device) return true;
    if (held == 0 && slot.compare_exchange_strong(held, device, std::memory_order_relaxed)) return true;
    if (held == device) return true;
  }
  return false;
}

std::vector<DeviceNo> SeenBuffer::take() {
  std::vector<DeviceNo> all;
  for (auto& slot : slots_)
    if (slot.load(std::memory_order_relaxed) != 0)
      if (const DeviceNo device = slot.exchange(0, std::memory_order_relaxed); device != 0) all.push_back(device);
  return all;
}

}  // namespace drover::store
