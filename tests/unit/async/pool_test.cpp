#include "common/async/pool.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "tests/support/expect.h"

namespace drover::async {
namespace {

boost::asio::awaitable<void> ask(Pool& pool, int value, std::vector<Result<int>>& answers) {
  BlockingFn<int> fn = [value]() -> Result<int> {
    if (value < 0) return Error(Code::io, "no such number");
    return value * 2;
  };
  Result<int> answer = co_await pool.run(std::move(fn));
  answers.push_back(std::move(answer));
}

TEST(Pool, AnswersComeBackOnTheEventLoop) {
  boost::asio::io_context io;
  Pool pool("test", 2, 100);
  std::vector<Result<int>> answers;
  for (int i = 1; i <= 20; ++i) boost::asio::co_spawn(io, ask(pool, i, answers), boost::asio::detached);
  io.run();  // ends only when all have come back
  int sum = 0;
  for (const auto& answer : answers) sum += *answer;
  EXPECT_EQ(sum, 420);
}

TEST(Pool, ErrorsComeBackAsTheyAre) {
  boost::asio::io_context io;
  Pool pool("test", 1, 100);
  std::vector<Result<int>> answers;
  boost::asio::co_spawn(io, ask(pool, -1, answers), boost::asio::detached);
  io.run();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_CODE(answers.front(), Code::io);
}

TEST(Pool, AStoppedPoolAnswersThatItIsUnavailable) {
  boost::asio::io_context io;
  Pool pool("test", 1, 100);
  pool.stop();
  std::vector<Result<int>> answers;
  boost::asio::co_spawn(io, ask(pool, 1, answers), boost::asio::detached);
  io.run();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_CODE(answers.front(), Code::unavailable);
}

}  // namespace
}  // namespace drover::async
