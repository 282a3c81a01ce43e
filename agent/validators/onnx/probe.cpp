#include "agent/validators/onnx/probe.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include "agent/validators/onnx/golden.h"
#include "agent/validators/onnx/limits.h"
#include "agent/validators/onnx/ort.h"
#include "agent/validators/onnx/subject.h"
#include "common/process/confine.h"
#include "common/time/clock.h"

namespace drover::validators {
namespace {

using std::chrono::nanoseconds;

// Runs before times are taken: the first ones fault pages in and fill caches.
constexpr int kWarmUp = 5;
// On a busy device one measurement may be spoilt; the model is refused when it misses its budget every time.
constexpr int kLatencyRounds = 3;

std::int64_t microseconds(nanoseconds time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
}

std::uint64_t peak_rss() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

// A loaded model with the inputs that it is run on.
struct Runner {
  onnx::Session session;
  std::vector<std::int64_t> shape;
  std::vector<float> zeros;  // for a package without golden set
  const Subject& subject;
  std::vector<float> output;

  std::span<const float> input(std::size_t run) const {
    if (subject.inputs.empty()) return zeros;
    return subject.input(run % static_cast<std::size_t>(subject.policy.validation.golden->samples));
  }
  Status run(std::size_t index) { return session.run(input(index), shape, output); }
  Result<nanoseconds> time(std::size_t index) {
    const MonoTime start = system_clock().mono();
    TRY(run(index));
    return system_clock().mono() - start;
  }
};

std::string print_shape(std::span<const std::int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ",")); }

// A batch of one golden sample, if the model takes it; without golden set what the model itself declares.
Result<std::vector<std::int64_t>> input_shape(const onnx::Session& session, const Subject& subject) {
  const std::vector<std::int64_t>& declared = session.input_shape();
  std::vector<std::int64_t> shape{1};
  if (subject.policy.validation.golden) {
    const auto& sample = subject.policy.validation.golden->input_shape;
    shape.insert(shape.end(), sample.begin(), sample.end());
  } else {
    shape = declared;
    for (std::int64_t& dimension : shape) dimension = dimension < 0 ? 1 : dimension;
  }
  bool fits = shape.size() == declared.size();
  for (std::size_t i = 0; fits && i < shape.size(); ++i) fits = declared[i] < 0 || declared[i] == shape[i];
  if (!fits)
    return Error(Code::validate_load, "the model takes an input of shape " + print_shape(declared) +
                                          ", the golden set would give " + print_shape(shape));
  return shape;
}

Result<Runner> load(const onnx::Runtime& runtime, const Subject& subject) {
  auto bytes = subject.model.read_all();
  if (!bytes) return Error(Code::validate_load, subject.policy.model_file + ": " + bytes.error().message());
  TRY_ASSIGN(onnx::Session session, runtime.load(*bytes));
  TRY_ASSIGN(std::vector<std::int64_t> shape, input_shape(session, subject));
  auto count = element_count(shape, onnx::kMaxElements);
  if (!count) return Error(Code::validate_load, "the model's input: " + count.error().message());
  std::vector<float> zeros(subject.inputs.empty() ? *count : 0);
  return Runner{std::move(session), std::move(shape), std::move(zeros), subject, {}};
}

Status judge_golden(const package::GoldenPolicy& golden, const Comparison& comparison) {
  if (comparison.max_abs_diff() > golden.atol)
    return Error(
        Code::validate_golden,
        fmt::format("an output of sample {} differs from the golden set by {:.4g}, more "
                    "than {:.4g}; {:.1f} % of the samples agree",
                    comparison.worst_sample(), comparison.max_abs_diff(), golden.atol, 100 * comparison.agreement()));
  if (comparison.agreement() < golden.min_agreement)
    return Error(Code::validate_golden, fmt::format("{:.1f} % of the samples agree with the golden set, {:.1f} % must",
                                                    100 * comparison.agreement(), 100 * golden.min_agreement));
  if (comparison.has_labels() && comparison.accuracy() < golden.min_accuracy)
    return Error(Code::validate_golden, fmt::format("the accuracy is {:.1f} %, {:.1f} % is needed",
                                                    100 * comparison.accuracy(), 100 * golden.min_accuracy));
  return {};
}

Status check_golden(Runner& runner, Verdict& verdict) {
  const Subject& subject = runner.subject;
  if (!subject.policy.validation.golden) return runner.run(0);
  Comparison comparison;
  const auto samples = static_cast<std::size_t>(subject.policy.validation.golden->samples);
  for (std::size_t sample = 0; sample < samples; ++sample) {
    TRY(runner.run(sample));
    TRY(comparison.add(runner.output, subject.output(sample)));
    if (!subject.labels.empty()) comparison.add_label(runner.output, subject.labels[sample]);
  }
  verdict.samples = comparison.samples();
  verdict.agreement = comparison.agreement();
  verdict.max_abs_diff = comparison.max_abs_diff();
  if (comparison.has_labels()) verdict.accuracy = comparison.accuracy();
  return judge_golden(*subject.policy.validation.golden, comparison);
}

Status check_memory(const Subject& subject, Verdict& verdict) {
  verdict.peak_rss_bytes = peak_rss();
  if (!subject.policy.validation.memory) return {};
  const std::uint64_t budget = subject.policy.validation.memory->budget_bytes;
  if (verdict.peak_rss_bytes <= budget) return {};
  return Error(Code::validate_memory, fmt::format("the model needs {:.1f} MiB, its budget is {:.1f} MiB",
                                                  static_cast<double>(verdict.peak_rss_bytes) / (1 << 20),
                                                  static_cast<double>(budget) / (1 << 20)));
}

struct Latency {
  nanoseconds candidate{};
  std::optional<nanoseconds> incumbent;
};

// Both in turn, so that whatever else the device does slows both alike.
Result<Latency> measure(Runner& candidate, Runner* incumbent, std::size_t runs) {
  std::vector<nanoseconds> mine, theirs;
  mine.reserve(runs);
  theirs.reserve(runs);
  for (std::size_t i = 0; i < runs + kWarmUp; ++i) {
    TRY_ASSIGN(const nanoseconds time, candidate.time(i));
    if (i >= kWarmUp) mine.push_back(time);
    if (incumbent == nullptr) continue;
    auto other = incumbent->time(i);
    if (!other)
      incumbent = nullptr;
    else if (i >= kWarmUp)
      theirs.push_back(*other);
  }
  Latency latency{.candidate = median(mine), .incumbent = {}};
  if (incumbent != nullptr) latency.incumbent = median(theirs);
  return latency;
}

Status judge_latency(const package::LatencyPolicy& policy, const Latency& latency) {
  if (latency.candidate > policy.budget)
    return Error(Code::validate_latency, fmt::format("an inference takes {} us, its budget is {} us",
                                                     microseconds(latency.candidate), policy.budget.count()));
  if (!latency.incumbent) return {};
  const double ratio = static_cast<double>(latency.candidate.count()) /
                       static_cast<double>(std::max<std::int64_t>(latency.incumbent->count(), 1));
  if (ratio <= policy.max_ratio_to_incumbent) return {};
  return Error(
      Code::validate_latency,
      fmt::format("an inference takes {} us, {:.1f} times the {} us of the model that runs now; {:.1f} is allowed",
                  microseconds(latency.candidate), ratio, microseconds(*latency.incumbent),
                  policy.max_ratio_to_incumbent));
}

Status check_latency(Runner& candidate, Runner* incumbent, Verdict& verdict) {
  const auto& policy = candidate.subject.policy.validation.latency;
  if (!policy) return {};
  Status judged;
  for (int round = 0; round < kLatencyRounds; ++round) {
    TRY_ASSIGN(const Latency latency, measure(candidate, incumbent, static_cast<std::size_t>(policy->runs)));
    verdict.latency_p50_us = microseconds(latency.candidate);
    verdict.incumbent_latency_p50_us.reset();
    if (latency.incumbent) verdict.incumbent_latency_p50_us = microseconds(*latency.incumbent);
    judged = judge_latency(*policy, latency);
    if (judged) break;
  }
  return judged;
}

std::string describe_pass(const Verdict& verdict) {
  std::string text =
      fmt::format("loads and runs in {:.1f} MiB", static_cast<double>(verdict.peak_rss_bytes) / (1 << 20));
  if (verdict.samples > 0)
    text += fmt::format(", within {:.4g} of the golden set on {} samples", verdict.max_abs_diff, verdict.samples);
  if (verdict.accuracy) text += fmt::format(", accuracy {:.1f} %", 100 * *verdict.accuracy);
  if (verdict.latency_p50_us > 0) text += fmt::format(", {} us an inference", verdict.latency_p50_us);
  if (verdict.incumbent_latency_p50_us) text += fmt::format(" (now {} us)", *verdict.incumbent_latency_p50_us);
  return text;
}

// Everything that must be open before the process is confined.
struct Opened {
  Subject subject;
  std::optional<Subject> incumbent;
  onnx::Runtime runtime;
};

Result<Opened> open_all(const Request& request) {
  TRY_ASSIGN(Subject subject, open_subject(request.package));
  std::optional<Subject> incumbent;
  if (request.incumbent)
    if (auto opened = open_subject(*request.incumbent)) incumbent.emplace(std::move(*opened));
  // After the files: what is wrong with the package is found without the runtime, too.
  TRY_ASSIGN(onnx::Runtime runtime, onnx::Runtime::open(request.runtime));
  return Opened{std::move(subject), std::move(incumbent), std::move(runtime)};
}

Status examine(const Request& request, Verdict& verdict) {
  TRY_ASSIGN(const Opened opened, open_all(request));
  verdict.runtime = opened.runtime.version();
  const package::PackagePolicy* incumbent_policy = opened.incumbent ? &opened.incumbent->policy : nullptr;
  const Status confined =
      process::confine_self({.more_address_space = address_space(opened.subject.policy, incumbent_policy)});
  if (!confined) return Error(Code::validator_missing, "no confinement: " + confined.error().message());

  const MonoTime start = system_clock().mono();
  TRY_ASSIGN(Runner candidate, load(opened.runtime, opened.subject));
  verdict.load_us = microseconds(system_clock().mono() - start);
  TRY(check_golden(candidate, verdict));
  TRY(check_memory(opened.subject, verdict));
  // The incumbent comes only now, so that the peak above is the candidate's own.
  std::optional<Runner> incumbent;
  if (opened.incumbent)
    if (auto loaded = load(opened.runtime, *opened.incumbent)) incumbent.emplace(std::move(*loaded));
  return check_latency(candidate, incumbent ? &*incumbent : nullptr, verdict);
}

}  // namespace

Verdict probe(const Request& request) {
  Verdict verdict;
  const Status examined = examine(request, verdict);
  verdict.code = examined ? Code::ok : examined.error().code();
  verdict.detail = examined ? describe_pass(verdict) : examined.error().message();
  if (verdict.peak_rss_bytes == 0) verdict.peak_rss_bytes = peak_rss();
  return verdict;
}

}  // namespace drover::validators
