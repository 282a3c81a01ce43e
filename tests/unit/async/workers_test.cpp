#include "common/async/workers.h"

#include <gtest/gtest.h>

#include <latch>
#include <mutex>

#include "tests/support/expect.h"

namespace drover::async {
namespace {

struct Number : Job {
  explicit Number(int v) : value(v) {}
  int value;
};

std::unique_ptr<Job> number(int value) { return std::make_unique<Number>(value); }

TEST(Workers, OneThreadRunsJobsInTheirOrderAndTheStopLosesNone) {
  std::vector<int> seen;
  Workers workers({"test", 1, 100, 7}, [&](unsigned, Batch batch) {
    EXPECT_LE(batch.size(), 7U);
    for (auto& job : batch) seen.push_back(static_cast<Number&>(*job).value);
  });
  std::vector<int> expected;
  for (int i = 0; i < 50; ++i) {
    auto job = number(i);
    ASSERT_OK(workers.submit(job));
    expected.push_back(i);
  }
  workers.stop();
  EXPECT_EQ(seen, expected);
}

TEST(Workers, AFullQueueRefusesAndLeavesTheJobToItsOwner) {
  std::latch running(1), release(1);
  Workers workers({"test", 1, 2, 1}, [&](unsigned, const Batch& batch) {
    if (static_cast<Number&>(*batch.front()).value != 0) return;
    running.count_down();
    release.wait();
  });
  auto first = number(0), second = number(1), third = number(2), fourth = number(3);
  ASSERT_OK(workers.submit(first));
  running.wait();
  ASSERT_OK(workers.submit(second));
  ASSERT_OK(workers.submit(third));
  EXPECT_EQ(workers.queued(), 2U);
  EXPECT_CODE(workers.submit(fourth), Code::unavailable);
  EXPECT_NE(fourth, nullptr);
  release.count_down();
}

TEST(Workers, NothingIsTakenAfterTheStop) {
  Workers workers({"test", 2, 2, 1}, [](unsigned, const Batch&) {});
  workers.stop();
  auto job = number(1);
  EXPECT_CODE(workers.submit(job), Code::unavailable);
}

}  // namespace
}  // namespace drover::async
