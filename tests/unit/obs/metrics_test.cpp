#include "common/obs/metrics.h"

#include <gtest/gtest.h>

#include <thread>

namespace drover::metrics {
namespace {

TEST(Metrics, TextFormListsFamiliesInOrderWithHelpAndType) {
  Registry registry;
  registry.gauge("b_open", "Open connections.").set(-2);
  registry.counter("a_total", "Requests.", {{"code", "200"}}).add(3);
  registry.counter("a_total", "Requests.", {{"code", "404"}}).add();
  registry.gauge_reader("c_age", "Age.", [] { return 1.5; });
  EXPECT_EQ(registry.expose(),
            "# HELP a_total Requests.\n# TYPE a_total counter\na_total{code=\"200\"} 3\na_total{code=\"404\"} 1\n"
            "# HELP b_open Open connections.\n# TYPE b_open gauge\nb_open -2\n"
            "# HELP c_age Age.\n# TYPE c_age gauge\nc_age 1.5\n");
}

TEST(Metrics, HistogramBucketsAreCumulativeAndTheirBoundsInclusive) {
  Registry registry;
  Histogram& histogram = registry.histogram("h", "H.", {0.1, 1}, {{"x", "y"}});
  for (double value : {0.05, 0.1, 0.5, 7.0}) histogram.observe(value);
  EXPECT_EQ(registry.expose(),
            "# HELP h H.\n# TYPE h histogram\nh_bucket{x=\"y\",le=\"0.1\"} 2\nh_bucket{x=\"y\",le=\"1\"} 3\n"
            "h_bucket{x=\"y\",le=\"+Inf\"} 4\nh_sum{x=\"y\"} 7.65\nh_count{x=\"y\"} 4\n");
}

TEST(Metrics, TheSameNameAndLabelsAreTheSameSeries) {
  Registry registry;
  EXPECT_EQ(&registry.counter("a", "A."), &registry.counter("a", "A."));
  EXPECT_NE(&registry.counter("a", "A."), &registry.counter("a", "A.", {{"k", "v"}}));
}

TEST(Metrics, LabelValuesAreEscaped) {
  Registry registry;
  registry.counter("a", "A.", {{"k", "x\"\\\ny"}}).add();
  EXPECT_NE(registry.expose().find(R"(a{k="x\"\\\ny"} 1)"), std::string::npos) << registry.expose();
}

TEST(Metrics, TooManySeriesFlowIntoOne) {
  Registry registry;
  for (std::size_t i = 0; i < kMaxSeries + 50; ++i) registry.counter("a", "A.", {{"k", std::to_string(i)}}).add();
  EXPECT_NE(registry.expose().find("a{overflow=\"true\"} 50\n"), std::string::npos);
}

TEST(Metrics, NothingIsLostBetweenThreads) {
  Registry registry;
  constexpr int kTimes = 20000;
  auto work = [&registry] {
    Counter& counter = registry.counter("a", "A.");
    Histogram& histogram = registry.histogram("h", "H.", {1});
    for (int i = 0; i < kTimes; ++i) {
      counter.add();
      histogram.observe(1);
    }
  };
  // tidy: allow thread because it is threads that this is about
  std::thread one(work), two(work);
  one.join();
  two.join();
  EXPECT_EQ(registry.counter("a", "A.").value(), 2u * kTimes);
  EXPECT_EQ(registry.histogram("h", "H.", {1}).count(), 2u * kTimes);
  EXPECT_EQ(registry.histogram("h", "H.", {1}).sum(), 2.0 * kTimes);
}

}  // namespace
}  // namespace drover::metrics
