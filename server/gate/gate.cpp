#include "server/gate/gate.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace drover::gate {
namespace {

constexpr std::int64_t kMillion = 1'000'000;

std::string count(std::int64_t n, std::string_view what) {
  return std::to_string(n) + " " + std::string(what) + (n == 1 ? "" : "s");
}

std::string percent(std::int64_t ppm) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g %%", static_cast<double>(ppm) / 10'000);
  return text;
}

// More members than were foreseen may come: devices that joined since the stage opened.
std::int64_t members_of(const StageEvidence& evidence) { return std::max(evidence.members, evidence.offered); }

std::int64_t failures_of(const GateSpec& spec, const StageEvidence& evidence) {
  return evidence.failed + evidence.rolled_back + (spec.silence_counts_as_failure ? evidence.silent : 0);
}

bool over(std::int64_t part, std::int64_t whole, std::int64_t ppm) { return part * kMillion > ppm * whole; }

std::string tally(const GateSpec& spec, const StageEvidence& evidence, std::int64_t executed) {
  std::string text =
      std::to_string(failures_of(spec, evidence)) + " of " + count(executed, "executed device") + " failed";
  if (spec.silence_counts_as_failure && evidence.silent > 0)
    text += " (" + std::to_string(evidence.silent) + " by silence)";
  return text;
}

// How many must have succeeded: the share of the members, or all that still can, whichever is less.
std::int64_t needed(const GateSpec& spec, const StageEvidence& evidence) {
  const std::int64_t members = members_of(evidence);
  const std::int64_t lost = evidence.failed + evidence.rolled_back + evidence.aborted + evidence.silent;
  const std::int64_t share = (members * spec.success_ppm + kMillion - 1) / kMillion;
  return std::min(share, std::max<std::int64_t>(members - lost, 0));
}

}  // namespace

std::int64_t to_ppm(double percent_value) { return std::llround(percent_value * 10'000); }

GateSpec gate_of(const wire::StageSpec& stage) {
  return {.failure_threshold_ppm = to_ppm(stage.failure_threshold_percent),
          .success_ppm = to_ppm(stage.success_percent),
          .min_sample = stage.min_sample};
}

Verdict judge(const GateSpec& spec, const StageEvidence& evidence) {
  const std::int64_t members = members_of(evidence);
  if (members == 0)
    return evidence.first ? Verdict{Call::hold, "the stage has no devices yet"}
                          : Verdict{Call::promote, "the stage adds no devices to the one before"};
  const std::int64_t failures = failures_of(spec, evidence);
  const std::int64_t executed = evidence.succeeded + failures;
  const std::int64_t sample = std::min(std::max<std::int64_t>(spec.min_sample, 1), members);
  const std::string limit = percent(spec.failure_threshold_ppm);
  if (executed >= sample && over(failures, executed, spec.failure_threshold_ppm))
    return {Call::halt, tally(spec, evidence, executed) + ", more than " + limit};
  if (over(failures, members, spec.failure_threshold_ppm))
    return {Call::halt, tally(spec, evidence, executed) + ", more than " + limit + " of the whole stage of " +
                            count(members, "device")};
  if (executed < sample)
    return {Call::hold,
            count(executed, "executed device") + ", at least " + std::to_string(sample) + " needed for a verdict"};
  const std::int64_t wanted = needed(spec, evidence);
  if (evidence.succeeded < wanted)
    return {Call::hold, std::to_string(evidence.succeeded) + " of " + count(members, "device") + " succeeded, " +
                            std::to_string(wanted) + " needed"};
  return {Call::promote, tally(spec, evidence, executed) + ", " + std::to_string(evidence.succeeded) + " of " +
                             count(members, "device") + " succeeded"};
}

Verdict worst_of(Verdict a, Verdict b) { return a.call >= b.call ? std::move(a) : std::move(b); }

}  // namespace drover::gate
