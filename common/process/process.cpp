#include "common/process/process.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "common/process/spawn.h"

namespace drover::process {
namespace {

// How often memory is looked at: in that time an eager child writes some tens of MiB, far below what a device keeps
// free.
constexpr std::chrono::milliseconds kTick{10};
// Reads a call of advance() does on one stream, so that a child that never stops writing does not hold the caller.
constexpr int kMaxReads = 16;

Result<Fd> timer(std::chrono::milliseconds first, std::chrono::milliseconds interval) {
  Fd fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd) return system_error(errno, "making a timer");
  const auto spec = [](std::chrono::milliseconds span) {
    return timespec{span.count() / 1000, (span.count() % 1000) * 1'000'000};
  };
  const itimerspec when{spec(interval), spec(first)};
  if (::timerfd_settime(fd.get(), 0, &when, nullptr) != 0) return system_error(errno, "setting a timer");
  return fd;
}

bool expired(const Fd& fd) {
  std::uint64_t count = 0;
  return fd && ::read(fd.get(), &count, sizeof count) == sizeof count;
}

// Bytes resident now; 0 for a process that is gone.
std::uint64_t resident(pid_t pid) {
  std::array<char, 32> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/statm", static_cast<int>(pid));
  std::FILE* file = std::fopen(path.data(), "re");
  if (file == nullptr) return 0;
  unsigned long long total = 0, pages = 0;
  const int fields = std::fscanf(file, "%llu %llu", &total, &pages);
  std::fclose(file);
  return fields == 2 ? pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

// Reads what is there; at the end of the stream closes it (which also takes it out of the epoll set).
void drain(Fd& fd, std::string& kept, std::size_t bound, bool& truncated) {
  std::array<char, 16 * 1024> buffer;
  for (int reads = 0; fd && reads < kMaxReads; ++reads) {
    const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return fd.reset();
    const std::size_t room = bound - kept.size(), size = static_cast<std::size_t>(count);
    kept.append(buffer.data(), std::min(room, size));
    truncated = truncated || size > room;
  }
}

}  // namespace

struct Child::State {
  pid_t pid = -1;
  bool running = true;
  std::size_t max_output = 0;
  std::uint64_t max_resident = 0;
  Fd events, end, out, err, deadline, tick;
  Outcome outcome;

  State() = default;
  State(const State&) = delete;
  ~State() {
    if (!running) return;
    kill_group();
    reap();
  }

  Status watch(const Fd& fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (fd && ::epoll_ctl(events.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0)
      return system_error(errno, "watching a child");
    return {};
  }

  Status watch_all(const Spec& spec) {
    events = Fd(::epoll_create1(EPOLL_CLOEXEC));
    if (!events) return system_error(errno, "watching a child");
    end = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    TRY_ASSIGN(deadline, timer(spec.deadline, {}));
    // Kernels before 5.3 have no pidfd: there the tick notices the end.
    if (!end || max_resident > 0) {
      TRY_ASSIGN(tick, timer(kTick, kTick));
    }
    for (const Fd* fd : {&end, &out, &err, &deadline, &tick}) TRY(watch(*fd));
    return {};
  }

  void kill_group() const { ::kill(-pid, SIGKILL); }

  void look_at_limits() {
    if (expired(deadline)) {
      outcome.timed_out = true;
      kill_group();
    }
    if (expired(tick) && max_resident > 0 && !outcome.over_memory && resident(pid) > max_resident) {
      outcome.over_memory = true;
      kill_group();
    }
  }

  void drain_both() {
    drain(out, outcome.out, max_output, outcome.truncated);
    drain(err, outcome.err, max_output, outcome.truncated);
  }

  // The number is ours until it is reaped, so the group is killed before: later it could name somebody else's.
  bool ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
  }

  void reap() {
    int status = 0;
    rusage usage{};
    while (::wait4(pid, &status, 0, &usage) < 0 && errno == EINTR) {
    }
    running = false;
    if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
    outcome.peak_rss_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  }
};

std::string describe(const Outcome& outcome) {
  if (outcome.timed_out) return "did not end before its deadline";
  if (outcome.over_memory) return "took more memory than it may";
  if (outcome.signal != 0)
    return "was ended by signal " + std::to_string(outcome.signal) + " (" + ::strsignal(outcome.signal) + ")";
  return "ended with exit status " + std::to_string(outcome.exit_code);
}

Child::Child(std::unique_ptr<State> state) : state_(std::move(state)) {}
Child::Child(Child&&) noexcept = default;
Child& Child::operator=(Child&&) noexcept = default;
Child::~Child() = default;

pid_t Child::pid() const { return state_->pid; }
int Child::fd() const { return state_->events.get(); }

bool Child::advance() {
  State& state = *state_;
  if (!state.running) return true;
  state.look_at_limits();
  state.drain_both();
  if (!state.ended()) return false;
  state.kill_group();
  state.reap();
  state.drain_both();  // what it wrote between the first look and its end
  return true;
}

void Child::kill() {
  if (state_->running) state_->kill_group();
}

Outcome Child::take_outcome() { return std::move(state_->outcome); }

Result<Child> start(const Spec& spec) {
  if (spec.argv.empty() || spec.argv[0].empty()) return Error(Code::invalid_argument, "no program to start");
  if (spec.deadline <= spec.deadline.zero() || spec.deadline > kMaxDeadline)
    return Error(Code::invalid_argument, "the deadline of " + spec.argv[0] + " is out of bounds");
  TRY_ASSIGN(Spawned spawned, spawn(spec));
  auto state = std::make_unique<Child::State>();
  state->pid = spawned.pid;
  state->max_output = spec.max_output;
  state->max_resident = spec.max_resident;
  state->out = std::move(spawned.out);
  state->err = std::move(spawned.err);
  TRY(state->watch_all(spec));
  return Child(std::move(state));
}

Result<Outcome> run_process(const Spec& spec) {
  TRY_ASSIGN(Child child, start(spec));
  do {
    pollfd wait{child.fd(), POLLIN, 0};
    ::poll(&wait, 1, -1);  // the deadline's timer is in the set, so this ends
  } while (!child.advance());
  return child.take_outcome();
}

}  // namespace drover::process
