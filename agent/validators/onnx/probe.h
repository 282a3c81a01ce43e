// The confined half of the validator: it loads the model and measures it, after it has given up nearly everything.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "agent/validators/verdict.h"

namespace drover::validators {

struct Request {
  std::filesystem::path package;
  std::optional<std::filesystem::path> incumbent;  // what runs now, to be measured beside it
  std::string runtime;                             // path of ONNX Runtime's library
};

// Opens files and runtime, confines this process for good, then: load, golden set, memory, latency. The first step that
// fails gives the code. An incumbent that cannot be measured is left out. To be called once, in a process with one
// thread, that only prints the verdict and ends.
Verdict probe(const Request& request);

}  // namespace drover::validators
