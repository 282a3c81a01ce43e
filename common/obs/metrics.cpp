#include "common/obs/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <map>

namespace drover::metrics {
namespace {

using Reader = std::function<double()>;

std::string label_text(const Labels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    out += out.empty() ? "" : ",";
    out += name + "=\"";
    for (char c : value) {
      if (c == '\\' || c == '"') out += '\\';
      if (c == '\n')
        out += "\\n";
      else
        out += c;
    }
    out += '"';
  }
  return out;
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

void line(std::string& out, std::string_view name, std::string_view suffix, std::string_view labels,
          std::string_view extra, std::string_view value) {
  out += name;
  out += suffix;
  if (!labels.empty() || !extra.empty()) {
    out += '{';
    out += labels;
    if (!labels.empty() && !extra.empty()) out += ',';
    out += extra;
    out += '}';
  }
  out += ' ';
  out += value;
  out += '\n';
}

void expose_histogram(std::string& out, std::string_view name, std::string_view labels, const Histogram& histogram) {
  std::uint64_t total = 0;
  const auto& bounds = histogram.upper_bounds();
  for (std::size_t i = 0; i <= bounds.size(); ++i) {
    total += histogram.bucket(i);
    const std::string bound = i < bounds.size() ? number(bounds[i]) : "+Inf";
    line(out, name, "_bucket", labels, "le=\"" + bound + "\"", std::to_string(total));
  }
  line(out, name, "_sum", labels, "", number(histogram.sum()));
  line(out, name, "_count", labels, "", std::to_string(total));
}

struct Series {
  std::unique_ptr<Counter> counter;
  std::unique_ptr<Gauge> gauge;
  std::unique_ptr<Histogram> histogram;
  Reader read;
};

struct Family {
  std::string type, help;
  std::map<std::string, Series, std::less<>> series;
};

}  // namespace

Histogram::Histogram(std::vector<double> upper_bounds) : bounds_(std::move(upper_bounds)), buckets_(bounds_.size() + 1) {
  if (!std::is_sorted(bounds_.begin(), bounds_.end())) std::abort();
}

void Histogram::observe(double value) {
  const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  buckets_[static_cast<std::size_t>(at)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

std::uint64_t Histogram::count() const {
  std::uint64_t total = 0;
  for (const auto& bucket : buckets_) total += bucket.load(std::memory_order_relaxed);
  return total;
}

std::vector<double> latency_buckets() {
  return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
}

struct Registry::Impl {
  mutable std::mutex mutex;
  std::map<std::string, Family, std::less<>> families;

  // With the lock held.
  Series& find(std::string_view name, std::string_view help, std::string_view type, const Labels& labels) {
    Family& family = families[std::string(name)];
    if (family.type.empty()) {
      family.type = type;
      family.help = help;
    }
    if (family.type != type) std::abort();
    std::string key = label_text(labels);
    if (family.series.size() >= kMaxSeries && !family.series.contains(key)) key = "overflow=\"true\"";
    return family.series[key];
  }
};

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

Counter& Registry::counter(std::string_view name, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(impl_->mutex);
  auto& counter = impl_->find(name, help, "counter", labels).counter;
  if (!counter) counter = std::make_unique<Counter>();
  return *counter;
}

Gauge& Registry::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(impl_->mutex);
  auto& gauge = impl_->find(name, help, "gauge", labels).gauge;
  if (!gauge) gauge = std::make_unique<Gauge>();
  return *gauge;
}

Histogram& Registry::histogram(std::string_view name, std::string_view help, std::vector<double> upper_bounds,
                               const Labels& labels) {
  const std::lock_guard lock(impl_->mutex);
  auto& histogram = impl_->find(name, help, "histogram", labels).histogram;
  if (!histogram) histogram = std::make_unique<Histogram>(std::move(upper_bounds));
  return *histogram;
}

void Registry::gauge_reader(std::string_view name, std::string_view help, Reader read, const Labels& labels) {
  const std::lock_guard lock(impl_->mutex);
  impl_->find(name, help, "gauge", labels).read = std::move(read);
}

void Registry::counter_reader(std::string_view name, std::string_view help, Reader read, const Labels& labels) {
  const std::lock_guard lock(impl_->mutex);
  impl_->find(name, help, "counter", labels).read = std::move(read);
}

std::string Registry::expose() const {
  const std::lock_guard lock(impl_->mutex);
  std::string out;
  for (const auto& [name, family] : impl_->families) {
    fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", name, family.help, name, family.type);
    for (const auto& [labels, series] : family.series) {
      if (series.counter) line(out, name, "", labels, "", std::to_string(series.counter->value()));
      if (series.gauge) line(out, name, "", labels, "", std::to_string(series.gauge->value()));
      if (series.read) line(out, name, "", labels, "", number(series.read()));
      if (series.histogram) expose_histogram(out, name, labels, *series.histogram);
    }
  }
  return out;
}

}  // namespace drover::metrics
