#include "common/process/confine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>

namespace drover::process {
namespace {

// In a child of the test: confines itself, then ends with what `act` gives. 99: could not be confined.
[[noreturn]] void confined(const std::function<int()>& act) {
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, 100);
  if (!confine_self({.more_address_space = 64 << 20})) ::_exit(99);
  ::_exit(act());
}

using testing::ExitedWithCode;
using testing::KilledBySignal;

TEST(ConfineDeathTest, AConfinedProcessComputesAndAllocatesAndReadsWhatItHolds) {
  EXPECT_EXIT(confined([] {
                char byte = 0;
                void* memory = std::malloc(1 << 20);
                return memory != nullptr && ::read(100, &byte, 1) == 0 ? 42 : 1;
              }),
              ExitedWithCode(42), "");
}

TEST(ConfineDeathTest, ASocketEndsIt) {
  EXPECT_EXIT(confined([] { return ::socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ? 1 : 2; }), KilledBySignal(SIGSYS), "");
}

TEST(ConfineDeathTest, AProcessOrThreadEndsIt) {
  EXPECT_EXIT(confined([] { return ::fork() >= 0 ? 1 : 2; }), KilledBySignal(SIGSYS), "");
  EXPECT_EXIT(confined([] { return ::execl("/bin/true", "true", nullptr) == 0 ? 1 : 2; }), KilledBySignal(SIGSYS), "");
}

TEST(ConfineDeathTest, ASignalToAnotherProcessEndsIt) {
  EXPECT_EXIT(confined([] { return ::kill(::getpid(), 0) == 0 ? 1 : 2; }), KilledBySignal(SIGSYS), "");
}

TEST(ConfineDeathTest, ItsOwnAbortIsSeenAsSuch) {
  EXPECT_EXIT(confined([]() -> int { std::abort(); }), KilledBySignal(SIGABRT), "");
}

TEST(ConfineDeathTest, ExecutableMemoryEndsIt) {
  EXPECT_EXIT(confined([] {
                void* memory =
                    ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                return memory == MAP_FAILED ? 2 : 1;
              }),
              KilledBySignal(SIGSYS), "");
}

TEST(ConfineDeathTest, FilesCannotBeOpened) {
  EXPECT_EXIT(confined([] { return ::open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES ? 7 : 1; }),
              ExitedWithCode(7), "");
}

TEST(ConfineDeathTest, ItWritesNoFileUnlessItIsToAndThenNoFurtherThanItMay) {
  const auto write_with = [](std::uint64_t size) {
    char name[] = "/tmp/drover-confine-XXXXXX";
    const int file = ::mkstemp(name);
    ::unlink(name);
    ::signal(SIGXFSZ, SIG_IGN);
    if (!confine_self({.more_address_space = 64 << 20, .file_size = size})) ::_exit(99);
    const char bytes[100] = {};
    ::_exit(::write(file, bytes, sizeof bytes) == 100 && ::fdatasync(file) == 0 && ::write(file, bytes, 1) < 0 ? 7 : 1);
  };
  EXPECT_EXIT(write_with(100), ExitedWithCode(7), "");
  EXPECT_EXIT(write_with(99), ExitedWithCode(1), "");
  EXPECT_EXIT(write_with(0), ExitedWithCode(1), "");
}

TEST(ConfineDeathTest, WithoutFilesToWriteItMakesNoneDurable) {
  EXPECT_EXIT(confined([] { return ::fsync(100); }), KilledBySignal(SIGSYS), "");
}

#if !defined(__SANITIZE_ADDRESS__)
TEST(ConfineDeathTest, MemoryEndsAtItsBound) {
  EXPECT_EXIT(confined([] {
                const auto map = [](std::size_t size) {
                  return ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
                         MAP_FAILED;
                };
                return map(16 << 20) && !map(64 << 20) ? 7 : 1;
              }),
              ExitedWithCode(7), "");
}
#endif

}  // namespace
}  // namespace drover::process
