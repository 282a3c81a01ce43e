// The free half of the validator: it starts the confined half, keeps its deadline and its memory, and turns whatever
// becomes of it into a verdict.
#pragma once

#include "agent/validators/onnx/probe.h"
#include "common/process/process.h"

namespace drover::validators {

// The argument, first on the command line, that makes this program the confined half.
inline constexpr const char* kConfinedFlag = "--confined";

// Never takes longer than the timeout of the package's policy and the time to end a process.
Verdict supervise(const Request& request);

// What an ended probe means. A crash, a deadline and too much memory have their codes, also when the kernel ended it.
Verdict judge(const process::Outcome& outcome);

}  // namespace drover::validators
