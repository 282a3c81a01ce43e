#include "common/process/confine.h"

#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace drover::process {
namespace {

Error refused(std::string_view what) {
  return Error(Code::unsupported, "the kernel refuses " + std::string(what) + ": " + std::strerror(errno));
}

Status limit(__rlimit_resource resource, rlim_t value, std::string_view name) {
  const rlimit both{value, value};
  if (::setrlimit(resource, &both) != 0) return refused(name);
  return {};
}

Result<std::uint64_t> mapped_now() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return Error(Code::io, "cannot read /proc/self/statm");
  unsigned long long pages = 0;
  const int fields = std::fscanf(file, "%llu", &pages);
  std::fclose(file);
  if (fields != 1) return Error(Code::io, "cannot understand /proc/self/statm");
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kLimitMemory = false;  // its shadow memory is terabytes of address space
#else
constexpr bool kLimitMemory = true;
#endif

Status limit_resources(std::uint64_t address_space, std::uint64_t file_size) {
  if (kLimitMemory) TRY(limit(RLIMIT_AS, address_space, "a limit on memory"));
  TRY(limit(RLIMIT_CORE, 0, "a limit on core files"));
  TRY(limit(RLIMIT_NPROC, 0, "a limit on processes"));
  TRY(limit(RLIMIT_NOFILE, 0, "a limit on open files"));
  // Does not apply to pipes.
  return limit(RLIMIT_FSIZE, file_size, "a limit on file sizes");
}

// The rights of the first version of Landlock, all of them, granted nowhere.
Status forbid_files() {
  landlock_ruleset_attr rights{};
  rights.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
  const long rules = ::syscall(SYS_landlock_create_ruleset, &rights, sizeof rights.handled_access_fs, 0);
  if (rules < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) return {};
  if (rules < 0) return refused("a Landlock rule set");
  const long set = ::syscall(SYS_landlock_restrict_self, static_cast<int>(rules), 0);
  const int error = errno;
  ::close(static_cast<int>(rules));
  errno = error;
  if (set != 0) return refused("Landlock");
  return {};
}

// Allowed without a look at the arguments.
constexpr int kAllowed[] = {
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(lseek),
    SCMP_SYS(exit_group),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(getrusage),
    SCMP_SYS(sched_yield),
    SCMP_SYS(gettid),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getpid),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(getrandom),
    SCMP_SYS(getcpu),
    SCMP_SYS(rt_sigprocmask),  // abort() wants it, and a clean SIGABRT says more than a SIGSYS
    SCMP_SYS(rt_sigaction),
#if defined(__SANITIZE_ADDRESS__)
    SCMP_SYS(sigaltstack),  // before it ends the process
#endif
#if defined(__x86_64__)
    SCMP_SYS(arch_prctl),  // asks for the AMX state before its first use
#endif
};

// Asked for in passing by the C library and by runtimes that cope with a no. newfstatat on an open descriptor is what
// fstat has become, so it is harmless, and refused with the rest.
constexpr int kDenied[] = {
    SCMP_SYS(openat), SCMP_SYS(newfstatat), SCMP_SYS(statx),   SCMP_SYS(readlinkat), SCMP_SYS(faccessat),
    SCMP_SYS(ioctl),  SCMP_SYS(prctl),      SCMP_SYS(sysinfo), SCMP_SYS(uname),      SCMP_SYS(getcwd),
#if defined(__x86_64__)
    SCMP_SYS(open),   SCMP_SYS(stat),       SCMP_SYS(lstat),   SCMP_SYS(access),     SCMP_SYS(readlink),
#endif
};

constexpr int kWriteFiles[] = {SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(fallocate)};

bool add_rules(scmp_filter_ctx filter, bool writes_files) {
  bool good = true;
  const auto add = [&](int result) { good = good && result == 0; };
  for (int call : kAllowed) add(::seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0));
  for (int call : kDenied) add(::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), call, 0));
  if (writes_files)
    for (int call : kWriteFiles) add(::seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0));
  // Memory may not become code.
  for (int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)})
    add(::seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)));
  // Signals to itself only: abort().
  add(::seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                         SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(::getpid()))));
  return good;
}

Status allow_listed_calls(bool writes_files) {
  scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_KILL_PROCESS);
  if (filter == nullptr) return Error(Code::unsupported, "cannot make a seccomp filter");
  const bool made = add_rules(filter, writes_files);
  const int loaded = made ? ::seccomp_load(filter) : -EINVAL;
  ::seccomp_release(filter);
  errno = -loaded;
  if (loaded != 0) return refused("the seccomp filter");
  return {};
}

}  // namespace

Status confine_self(const Confinement& confinement) {
  // Before the limit on open files: it makes a descriptor of its own.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return refused("no_new_privs");
  TRY_ASSIGN(const std::uint64_t mapped, mapped_now());  // opens a file, and so does the rule set: before the limits
  TRY(forbid_files());
  TRY(limit_resources(mapped + confinement.more_address_space, confinement.file_size));
  return allow_listed_calls(confinement.file_size > 0);
}

}  // namespace drover::process
