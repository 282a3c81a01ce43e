// fork and exec. Internal to common/process.
#pragma once

#include "common/process/fd.h"
#include "common/process/process.h"

namespace drover::process {

struct Spawned {
  pid_t pid = -1;
  Fd out;  // non-blocking
  Fd err;  // non-blocking
};

// Returns when the program runs, or with the error of the step that failed in the child.
Result<Spawned> spawn(const Spec& spec);

Error system_error(int number, std::string_view doing);

}  // namespace drover::process
