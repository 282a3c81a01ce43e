// Counters, gauges and histograms, and their Prometheus text form (exposition format 0.0.4).
// Updating is one relaxed atomic operation; creating takes a lock, so keep the reference that creation gives.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace drover::metrics {

// Label names and values of one series. Never a device id or another unbounded set: each series lives for ever.
using Labels = std::vector<std::pair<std::string, std::string>>;

// Series of one name. More are folded into one series labelled {overflow="true"}, so that memory is bounded.
inline constexpr std::size_t kMaxSeries = 1000;

class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  void set(std::int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void add(std::int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// Cumulative buckets by upper bound, as Prometheus wants them; the last, +Inf, is implied.
class Histogram {
 public:
  explicit Histogram(std::vector<double> upper_bounds);
  void observe(double value);
  std::uint64_t count() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }
  const std::vector<double>& upper_bounds() const { return bounds_; }
  // Observations in bucket i alone (not cumulative), 0 <= i <= upper_bounds().size().
  std::uint64_t bucket(std::size_t i) const { return buckets_[i].load(std::memory_order_relaxed); }

 private:
  std::vector<double> bounds_;
  std::vector<std::atomic<std::uint64_t>> buckets_;
  std::atomic<double> sum_{0};
};

// Seconds, from 100 microseconds to 10 s: fits requests and database commits.
std::vector<double> latency_buckets();

// Owns every series; references stay good for its whole life. The same name and labels give the same object;
// the same name with another type is a bug and ends the process.
class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, std::vector<double> upper_bounds,
                       const Labels& labels = {});
  // A value that is read when it is asked for. `read` runs in the thread that calls expose().
  void gauge_reader(std::string_view name, std::string_view help, std::function<double()> read,
                    const Labels& labels = {});
  void counter_reader(std::string_view name, std::string_view help, std::function<double()> read,
                      const Labels& labels = {});

  // The whole registry as text/plain; version=0.0.4, names in order.
  std::string expose() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace drover::metrics
