// Virtual time: what happens next, in order of time, and among equals in the order in which it was asked for.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

namespace drover::sim {

using Time = std::chrono::milliseconds;  // since the world began
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class EventQueue {
 public:
  Time now() const { return now_; }
  bool empty() const { return heap_.empty(); }
  // Times in the past mean now.
  void at(Time time, std::function<void()> what) {
    heap_.push_back({std::max(time, now_), order_++, std::move(what)});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  void after(Time delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  // Lets time run to the next event and has it happen.
  void step() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Entry next = std::move(heap_.back());
    heap_.pop_back();
    now_ = next.time;
    next.what();
  }

 private:
  struct Entry {
    Time time;
    std::uint64_t order;
    std::function<void()> what;
  };
  static bool later(const Entry& a, const Entry& b) { return a.time != b.time ? a.time > b.time : a.order > b.order; }

  std::vector<Entry> heap_;
  Time now_{0};
  std::uint64_t order_ = 0;
};

}  // namespace drover::sim
