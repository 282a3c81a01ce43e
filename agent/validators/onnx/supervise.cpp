#include "agent/validators/onnx/supervise.h"

#include <signal.h>

#include "agent/validators/onnx/limits.h"
#include "agent/validators/onnx/subject.h"

namespace drover::validators {
namespace {

// CPU time beyond the wall-clock deadline: only counts if this process itself is stopped or killed.
constexpr std::uint64_t kMoreCpuSeconds = 5;

Verdict refuse(Code code, std::string detail) {
  Verdict verdict;
  verdict.code = code;
  verdict.detail = std::move(detail);
  return verdict;
}

std::string last_line(std::string_view text) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  return std::string(text.substr(text.rfind('\n') + 1));
}

// From the signal, for an end that we did not bring about.
Verdict judge_signal(const process::Outcome& outcome) {
  const bool no_memory = outcome.err.find("bad_alloc") != std::string::npos;
  if (outcome.signal == SIGXCPU)
    return refuse(Code::validate_timeout, "the validation of the model used more CPU time than its deadline");
  if (outcome.signal == SIGKILL || (outcome.signal == SIGABRT && no_memory))
    return refuse(Code::validate_memory,
                  "the model exhausted the memory: its validation " + process::describe(outcome));
  if (outcome.signal == SIGSYS)
    return refuse(Code::validate_crash, "the model made a system call that it may not make (SIGSYS)");
  std::string detail = "the validation of the model " + process::describe(outcome);
  if (const std::string said = last_line(outcome.err); !said.empty()) detail += ": " + said;
  return refuse(Code::validate_crash, detail);
}

process::Spec probe_spec(const Request& request, const package::PackagePolicy& policy) {
  process::Spec spec;
  spec.argv = {"/proc/self/exe",         kConfinedFlag,   "--package",
               request.package.string(), "--onnxruntime", request.runtime};
  if (request.incumbent) {
    spec.argv.emplace_back("--incumbent");
    spec.argv.push_back(request.incumbent->string());
  }
  std::optional<package::PackagePolicy> incumbent;
  if (request.incumbent)
    if (auto read = read_policy(*request.incumbent)) incumbent = std::move(*read);
  spec.max_output = kMaxVerdictBytes;
  spec.deadline = policy.validation.timeout;
  spec.max_resident = resident_limit(policy, incumbent ? &*incumbent : nullptr);
  spec.limits.cpu_seconds = static_cast<std::uint64_t>(policy.validation.timeout.count()) + kMoreCpuSeconds;
  return spec;
}

}  // namespace

Verdict judge(const process::Outcome& outcome) {
  if (outcome.timed_out)
    return refuse(Code::validate_timeout, "the validation of the model " + process::describe(outcome));
  if (outcome.over_memory) return refuse(Code::validate_memory, "the model took more memory than its budget");
  if (outcome.signal != 0) return judge_signal(outcome);
  auto verdict = parse_verdict(outcome.out);
  if (verdict && outcome.exited(exit_status(*verdict))) return std::move(*verdict);
  std::string detail = "the validation of the model " + process::describe(outcome) + " and gave no verdict";
  if (const std::string said = last_line(outcome.err); !said.empty()) detail += ": " + said;
  return refuse(Code::validate_crash, detail);
}

Verdict supervise(const Request& request) {
  const auto policy = read_policy(request.package);
  if (!policy) return refuse(policy.error().code(), policy.error().message());
  const auto outcome = process::run_process(probe_spec(request, *policy));
  if (!outcome) return refuse(Code::validator_missing, outcome.error().message());
  Verdict verdict = judge(*outcome);
  if (verdict.code == Code::validate_timeout)
    verdict.detail += " of " + std::to_string(policy->validation.timeout.count()) + " s";
  if (verdict.peak_rss_bytes == 0) verdict.peak_rss_bytes = outcome->peak_rss_bytes;
  return verdict;
}

}  // namespace drover::validators
