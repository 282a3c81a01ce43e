// Child processes: started with nothing inherited by accident, watched, and gone when their owner is.
//
// A child runs in a session of its own, reads /dev/null, has no descriptor but 0-2 and dies with the thread that
// started it. Its output is kept up to a bound; a deadline and a memory bound end it, and its whole process group.
// (A grandchild that makes a session of its own escapes the group; what must not is confined, see confine.h.)
//
// Blocking:       TRY_ASSIGN(Outcome outcome, run_process(spec));
// Event loop:     TRY_ASSIGN(Child child, start(spec));
//                 wait until child.fd() is readable, call child.advance(); again until it says true; take_outcome().
//                 With Asio: a posix::stream_descriptor on a dup of fd() and async_wait(wait_read).
// One thread at a time; start() must run on a thread that lives at least as long as the child.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace drover::process {

// Enough for any verdict or error message; a child that writes more is drained, and the rest dropped.
inline constexpr std::size_t kDefaultMaxOutput = 64 * 1024;
inline constexpr std::chrono::milliseconds kDefaultDeadline = std::chrono::minutes(1);
inline constexpr std::chrono::milliseconds kMaxDeadline = std::chrono::hours(24);

// Limits set in the child before it runs (setrlimit); absent means as in this process. Core dumps are always off.
struct Limits {
  std::optional<std::uint64_t> address_space;  // bytes
  std::optional<std::uint64_t> cpu_seconds;
  std::optional<std::uint64_t> open_files;
  std::optional<std::uint64_t> file_size;  // bytes
};

struct Spec {
  std::vector<std::string> argv;  // argv[0] is the path of the program; PATH is not searched
  std::vector<std::string> env;   // "NAME=value"; all there is, nothing is inherited
  std::string working_dir = "/";
  std::size_t max_output = kDefaultMaxOutput;             // bytes kept of each of stdout and stderr
  std::chrono::milliseconds deadline = kDefaultDeadline;  // wall time until the group is killed; at most kMaxDeadline
  std::uint64_t max_resident = 0;                         // bytes resident until it is killed; 0 = not watched
  Limits limits;
};

struct Outcome {
  int exit_code = -1;                // -1 when a signal ended it
  int signal = 0;                    // the signal, or 0
  bool timed_out = false;            // we killed it at the deadline
  bool over_memory = false;          // we killed it over max_resident
  bool truncated = false;            // it wrote more than max_output
  std::uint64_t peak_rss_bytes = 0;  // at least what this process had resident when it started it
  std::string out;
  std::string err;

  bool exited(int code) const { return signal == 0 && exit_code == code; }
};

// "ended with exit status 3", "was ended by signal 11 (Segmentation fault)", "did not end before its deadline".
std::string describe(const Outcome& outcome);

class Child {
 public:
  Child(Child&&) noexcept;
  Child& operator=(Child&&) noexcept;
  // Kills the group of a child that still runs, and reaps it.
  ~Child();

  pid_t pid() const;
  // Readable whenever advance() has something to do: output, the end, the deadline, a look at the memory.
  int fd() const;
  // Does what there is to do; never blocks. True when the child has ended and its output is complete.
  bool advance();
  // Kills the whole group; advance() says true soon after.
  void kill();
  // Once, after advance() said true.
  Outcome take_outcome();

 private:
  friend Result<Child> start(const Spec& spec);
  struct State;
  explicit Child(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Errors: not_found (no such program or working directory), permission_denied, invalid_argument (empty argv, a deadline
// out of bounds), unavailable (no more processes or descriptors), io.
Result<Child> start(const Spec& spec);

// start() and wait for the end, at most the deadline and the time the kernel needs to end the group.
Result<Outcome> run_process(const Spec& spec);

}  // namespace drover::process
