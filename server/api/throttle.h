// Slows down whoever tries tokens: after some wrong ones an address is refused for a while. And in general a budget for
// each of many names in a window of time. Thread-safe, bounded.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/time/clock.h"

namespace drover::api {

class Throttle {
 public:
  static constexpr int kFree = 20;                        // wrong tokens before the first refusal
  static constexpr std::chrono::seconds kWindow{60};      // and for how long they count
  static constexpr std::size_t kMaxAddresses = 10'000;    // beyond it all are forgotten: nobody fills the memory

  explicit Throttle(int free = kFree, std::chrono::seconds window = kWindow) : free_(free), window_(window) {}

  // False while the address must wait.
  bool allows(std::string_view address, MonoTime now);
  void failed(std::string_view address, MonoTime now);

 private:
  struct Entry {
    MonoTime since{};
    int failures = 0;
  };
  const int free_;
  const std::chrono::seconds window_;
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace drover::api
