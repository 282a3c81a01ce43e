// Runs the validator, a program of its own, on a package that is staged, and says in the words of the life-cycle what
// came of it. The contract of such a program stands in docs/reference/validator.md.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/result.h"
#include "common/process/process.h"

namespace drover::agent {

struct ValidationJob {
  std::string program;
  std::string runtime;               // path of the ONNX Runtime library; empty: the program knows where to look
  std::string package;               // folder
  std::string incumbent;             // folder; empty: nothing to compare with
  std::chrono::seconds timeout{60};  // that the package asks for
  std::uint64_t memory_budget = 0;   // that the package asks for; 0: none
};

struct Verdict {
  Code code = Code::ok;
  std::string detail;
  std::string evidence;  // the program's JSON, or empty
};

// What a program's end means.
Verdict judge(const process::Outcome& outcome);
process::Spec spec_of(const ValidationJob& job);

class Validator {
 public:
  // Waits for the end on the event loop. At most job.timeout plus kValidatorGrace.
  boost::asio::awaitable<Verdict> run(ValidationJob job);
  // Ends a run under way at once; its verdict is `cancelled`.
  void stop();

 private:
  std::shared_ptr<process::Child> child_;
  bool stopped_ = false;
};

inline constexpr std::chrono::seconds kValidatorGrace{5};  // for starting, and for telling its own timeout by itself

}  // namespace drover::agent
