// What the tool's exit status says. Documented in the manual; scripts rely on it, so never renumber.
#pragma once

#include <vector>

#include "common/base/error.h"
#include "proto/wire/rollout.h"

namespace drover::cli {

enum ExitCode : int {
  kOk = 0,
  kFailed = 1,  // tried and did not succeed
  kUsage = 2,   // the command line or a file it names is wrong; nothing was sent
  kNotFound = 3,
  kNoPermission = 4,  // credentials missing, wrong or without the right
  kConflict = 5,      // exists already, or somebody else was faster
  kUnreachable = 6,   // no answer from the server, or not now
  kHalted = 7,        // rollout status: halted
  kAwaiting = 8,      // rollout status: waits for a person's promotion
  kGivenUp = 9,       // rollout status: aborted or rolled back
  kNotYet = 10,       // rollout status --watch: --timeout passed first
  kAttention = 11,    // trust doctor: there are warnings
  kExpired = 12,      // trust doctor: something has expired
};

struct ExitCodeRow {
  ExitCode code;
  const char* meaning;
};
// In the order of the numbers, for the manual.
const std::vector<ExitCodeRow>& exit_code_rows();

int exit_code(Code code);
// For a rollout that is looked at: 0 while it runs, and when it is completed.
int exit_code(wire::RolloutState state);

}  // namespace drover::cli
