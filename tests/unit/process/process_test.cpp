#include "common/process/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <filesystem>

#include "common/process/environment.h"

namespace drover::process {
namespace {

using namespace std::chrono_literals;

Spec shell(std::string script) {
  Spec spec;
  spec.argv = {"/bin/sh", "-c", std::move(script)};
  spec.env = {"PATH=/usr/bin:/bin"};
  return spec;
}

// Tells when the last process that holds it has ended: `exec 3><path>` in a script takes hold.
class Leash {
 public:
  Leash() {
    char folder[] = "/tmp/drover-process-XXXXXX";
    folder_ = ::mkdtemp(folder);
    EXPECT_EQ(::mkfifo(path().c_str(), 0600), 0);
    fd_ = ::open(path().c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    EXPECT_GE(fd_, 0);
  }
  ~Leash() {
    ::close(fd_);
    std::filesystem::remove_all(folder_);
  }
  std::string path() const { return folder_ + "/leash"; }
  // Whether somebody writes "held" into it soon.
  bool was_taken() const {
    char text[8];
    return wait_for(POLLIN) && ::read(fd_, text, sizeof text) > 0;
  }
  bool was_let_go() const { return wait_for(POLLHUP); }

 private:
  bool wait_for(short what) const {
    pollfd wait{fd_, POLLIN, 0};
    return ::poll(&wait, 1, 10'000) == 1 && (wait.revents & what) != 0;
  }
  std::string folder_;
  int fd_ = -1;
};

TEST(Process, GivesExitStatusAndBothOutputs) {
  const auto outcome = run_process(shell("echo out; echo err >&2; exit 3"));
  ASSERT_TRUE(outcome) << outcome.error().message();
  EXPECT_TRUE(outcome->exited(3));
  EXPECT_EQ(outcome->out, "out\n");
  EXPECT_EQ(outcome->err, "err\n");
  EXPECT_FALSE(outcome->timed_out || outcome->over_memory || outcome->truncated);
  EXPECT_GT(outcome->peak_rss_bytes, 100'000U);
  EXPECT_EQ(describe(*outcome), "ended with exit status 3");
}

TEST(Process, InheritsNoEnvironmentAndNoDescriptor) {
  // tidy: allow environment because that a child does not inherit it is what is tested
  ::setenv("DROVER_PROCESS_TEST", "leaks", 1);
  const int leak = ::dup2(STDERR_FILENO, 200);
  Spec spec = shell("echo \"[$DROVER_PROCESS_TEST][$GIVEN]\"; [ -e /proc/self/fd/200 ] && echo leaked; pwd");
  spec.env.emplace_back("GIVEN=yes");
  spec.working_dir = "/tmp";
  const auto outcome = run_process(spec);
  ::close(leak);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->out, "[][yes]\n/tmp\n");
  EXPECT_EQ(environment("DROVER_PROCESS_TEST"), "leaks");
  EXPECT_EQ(environment("DROVER_PROCESS_TEST_UNSET"), std::nullopt);
}

TEST(Process, SaysWhyAProgramCannotStart) {
  Spec spec;
  EXPECT_EQ(run_process(spec).error().code(), Code::invalid_argument);
  spec.argv = {"/nowhere/at/all"};
  const auto missing = run_process(spec);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Code::not_found);
  EXPECT_EQ(missing.error().message(), "running /nowhere/at/all: No such file or directory");
  spec.argv = {"/etc/passwd"};
  EXPECT_EQ(run_process(spec).error().code(), Code::permission_denied);
  spec = shell("true");
  spec.working_dir = "/nowhere";
  EXPECT_EQ(run_process(spec).error().message(), "entering /nowhere: No such file or directory");
  spec = shell("true");
  spec.deadline = 0ms;
  EXPECT_EQ(run_process(spec).error().code(), Code::invalid_argument);
}

TEST(Process, KeepsABoundedPartOfTheOutputAndReadsTheRest) {
  Spec spec = shell("head -c 3000000 /dev/zero | tr '\\0' x; echo done >&2");
  spec.max_output = 1000;
  const auto outcome = run_process(spec);
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->exited(0));
  EXPECT_TRUE(outcome->truncated);
  EXPECT_EQ(outcome->out, std::string(1000, 'x'));
  EXPECT_EQ(outcome->err, "done\n");
}

TEST(Process, KillsTheWholeGroupAtTheDeadline) {
  const Leash leash;
  Spec spec = shell("exec 3>" + leash.path() + "; echo held >&3; sh -c 'kill -STOP $$' & kill -STOP $$");
  spec.deadline = 100ms;
  const auto outcome = run_process(spec);
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->timed_out);
  EXPECT_EQ(outcome->signal, SIGKILL);
  EXPECT_EQ(describe(*outcome), "did not end before its deadline");
  EXPECT_TRUE(leash.was_taken());
  EXPECT_TRUE(leash.was_let_go());
}

TEST(Process, EndsWhatAChildLeavesBehind) {
  const Leash leash;
  const auto outcome = run_process(shell("exec 3>" + leash.path() + "; echo held >&3; sh -c 'kill -STOP $$' & exit 0"));
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->exited(0));
  EXPECT_TRUE(leash.was_taken());
  EXPECT_TRUE(leash.was_let_go());
}

TEST(Process, ReportsTheSignalThatEndedIt) {
  const auto outcome = run_process(shell("kill -SEGV $$"));
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->signal, SIGSEGV);
  EXPECT_EQ(outcome->exit_code, -1);
  EXPECT_FALSE(outcome->timed_out);
  EXPECT_EQ(describe(*outcome), "was ended by signal 11 (Segmentation fault)");
}

TEST(Process, KillsAChildThatEatsMemory) {
  Spec spec;
  spec.argv = {"/usr/bin/sort", "--buffer-size=2G", "/dev/zero"};  // a line without an end
  spec.max_resident = 64 << 20;
  const auto outcome = run_process(spec);
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->over_memory);
  EXPECT_FALSE(outcome->timed_out);
  EXPECT_EQ(outcome->signal, SIGKILL);
  EXPECT_GT(outcome->peak_rss_bytes, 60U << 20);  // the kernel counts pages in batches
}

TEST(Process, SetsTheLimitsAsked) {
  Spec spec = shell("ulimit -n; ulimit -t; ulimit -c; ulimit -f");
  spec.limits.open_files = 17;
  spec.limits.cpu_seconds = 5;
  spec.limits.file_size = 1024 * 512;
  const auto outcome = run_process(spec);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->out, "17\n5\n0\n1024\n");
}

TEST(Process, EndsWithItsOwner) {
  const Leash leash;
  {
    const auto child = start(shell("exec 3>" + leash.path() + "; echo held >&3; kill -STOP $$"));
    ASSERT_TRUE(child);
    EXPECT_TRUE(leash.was_taken());
  }
  EXPECT_TRUE(leash.was_let_go());
}

TEST(Process, KillIsSeenAsTheEnd) {
  const Leash leash;
  auto child = start(shell("exec 3>" + leash.path() + "; echo held >&3; kill -STOP $$"));
  ASSERT_TRUE(child);
  EXPECT_TRUE(leash.was_taken());
  EXPECT_FALSE(child->advance());
  child->kill();
  pollfd wait{child->fd(), POLLIN, 0};
  while (!child->advance()) ASSERT_EQ(::poll(&wait, 1, 10'000), 1);
  EXPECT_EQ(child->take_outcome().signal, SIGKILL);
}

// One descriptor carries output, end and deadline; Asio's edge-triggered reactor must not miss any of them.
TEST(Process, AnEventLoopAwaitsItThroughOneDescriptor) {
  boost::asio::io_context loop;
  Spec spec = shell("for i in 1 2 3 4 5 6 7 8; do echo line $i; done; head -c 200000 /dev/zero; exit 4");
  spec.max_output = 300'000;
  auto child = start(spec);
  ASSERT_TRUE(child);
  boost::asio::posix::stream_descriptor events(loop, ::dup(child->fd()));
  bool ended = false;
  std::function<void(boost::system::error_code)> on_event = [&](boost::system::error_code error) {
    ASSERT_FALSE(error);
    ended = child->advance();
    if (!ended) events.async_wait(events.wait_read, on_event);
  };
  events.async_wait(events.wait_read, on_event);
  loop.run_for(10s);
  ASSERT_TRUE(ended);
  const Outcome outcome = child->take_outcome();
  EXPECT_TRUE(outcome.exited(4));
  EXPECT_EQ(outcome.out.size(), 8 * 7 + 200'000U);
}

TEST(Process, AnEventLoopSeesTheDeadlineToo) {
  boost::asio::io_context loop;
  Spec spec = shell("kill -STOP $$");
  spec.deadline = 50ms;
  auto child = start(spec);
  ASSERT_TRUE(child);
  boost::asio::posix::stream_descriptor events(loop, ::dup(child->fd()));
  std::function<void(boost::system::error_code)> on_event = [&](boost::system::error_code) {
    if (!child->advance()) events.async_wait(events.wait_read, on_event);
  };
  events.async_wait(events.wait_read, on_event);
  loop.run_for(10s);
  EXPECT_TRUE(child->take_outcome().timed_out);
}

}  // namespace
}  // namespace drover::process
