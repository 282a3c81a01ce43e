#include "common/process/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace drover::process {
namespace {

enum class Step : int { prepare, limits, working_dir, exec };

// What the child writes when it cannot become the program.
struct Failure {
  Step step;
  int error;
};

struct Pipe {
  Fd read;
  Fd write;
};

// Never a descriptor of 0-2, even if this process has those closed: dup2 in the child would overwrite it.
Result<Fd> above_standard(Fd fd) {
  if (fd.get() > STDERR_FILENO) return fd;
  Fd moved(::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!moved) return system_error(errno, "moving a descriptor");
  return moved;
}

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_error(errno, "making a pipe");
  Fd read(ends[0]), write(ends[1]);
  Pipe pipe;
  TRY_ASSIGN(pipe.read, above_standard(std::move(read)));
  TRY_ASSIGN(pipe.write, above_standard(std::move(write)));
  return pipe;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

// Everything below until spawn() runs between fork and exec: only calls that are safe there, no allocation.

struct Plan {
  const Spec& spec;
  char* const* argv;
  char* const* env;
  int null, out, err, failure;
  pid_t parent;
};

[[noreturn]] void give_up(const Plan& plan, Step step) {
  const Failure failure{step, errno};
  [[maybe_unused]] const auto written = ::write(plan.failure, &failure, sizeof failure);
  ::_exit(127);
}

bool limit(int resource, const std::optional<std::uint64_t>& value) {
  if (!value) return true;
  const rlimit both{static_cast<rlim_t>(*value), static_cast<rlim_t>(*value)};
  return ::setrlimit(static_cast<__rlimit_resource>(resource), &both) == 0;
}

bool set_limits(const Limits& limits) {
  return limit(RLIMIT_CORE, 0) && limit(RLIMIT_AS, limits.address_space) && limit(RLIMIT_CPU, limits.cpu_seconds) &&
         limit(RLIMIT_NOFILE, limits.open_files) && limit(RLIMIT_FSIZE, limits.file_size);
}

void default_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void become(const Plan& plan) {
  if (::setsid() < 0) give_up(plan, Step::prepare);
  // The parent may have died before prctl took effect; then nobody would end this child.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != plan.parent) give_up(plan, Step::prepare);
  default_signals();
  if (::chdir(plan.spec.working_dir.c_str()) != 0) give_up(plan, Step::working_dir);
  if (::dup2(plan.null, 0) < 0 || ::dup2(plan.out, 1) < 0 || ::dup2(plan.err, 2) < 0) give_up(plan, Step::prepare);
  // Descriptors that some library opened without O_CLOEXEC. Kernels before 5.11 lack it; then O_CLOEXEC must do.
  ::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  if (!set_limits(plan.spec.limits)) give_up(plan, Step::limits);
  ::execve(plan.argv[0], plan.argv, plan.env);
  give_up(plan, Step::exec);
}

Error explain(const Failure& failure, const Spec& spec) {
  switch (failure.step) {
    case Step::exec:
      return system_error(failure.error, "running " + spec.argv[0]);
    case Step::working_dir:
      return system_error(failure.error, "entering " + spec.working_dir);
    case Step::limits:
      return system_error(failure.error, "setting the limits of " + spec.argv[0]);
    case Step::prepare:
      break;
  }
  return system_error(failure.error, "preparing " + spec.argv[0]);
}

Status await_exec(int fd, const Spec& spec, pid_t pid) {
  Failure failure{};
  ssize_t count = 0;
  do count = ::read(fd, &failure, sizeof failure);
  while (count < 0 && errno == EINTR);
  if (count == 0) return {};  // closed by exec
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (count != sizeof failure) return Error(Code::io, "starting " + spec.argv[0] + ": the child ended early");
  return explain(failure, spec);
}

}  // namespace

Error system_error(int number, std::string_view doing) {
  Code code = Code::io;
  if (number == ENOENT || number == ENOTDIR) code = Code::not_found;
  if (number == EACCES || number == EPERM) code = Code::permission_denied;
  if (number == EAGAIN || number == ENOMEM || number == EMFILE || number == ENFILE) code = Code::unavailable;
  if (number == E2BIG || number == ENOEXEC) code = Code::invalid_argument;
  return Error(code, std::string(doing) + ": " + std::strerror(number));
}

Result<Spawned> spawn(const Spec& spec) {
  TRY_ASSIGN(Fd null, above_standard(Fd(::open("/dev/null", O_RDWR | O_CLOEXEC))));
  if (!null) return system_error(errno, "opening /dev/null");
  TRY_ASSIGN(Pipe out, make_pipe());
  TRY_ASSIGN(Pipe err, make_pipe());
  TRY_ASSIGN(Pipe failure, make_pipe());
  const std::vector<char*> argv = pointers(spec.argv), env = pointers(spec.env);
  const Plan plan{spec,      argv.data(), env.data(), null.get(), out.write.get(), err.write.get(), failure.write.get(),
                  ::getpid()};
  const pid_t pid = ::fork();
  if (pid < 0) return system_error(errno, "starting " + spec.argv[0]);
  if (pid == 0) become(plan);
  failure.write.reset();
  TRY(await_exec(failure.read.get(), spec, pid));
  ::fcntl(out.read.get(), F_SETFL, O_NONBLOCK);
  ::fcntl(err.read.get(), F_SETFL, O_NONBLOCK);
  return Spawned{pid, std::move(out.read), std::move(err.read)};
}

}  // namespace drover::process
