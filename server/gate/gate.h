// The gate between two stages: evidence in, one of three verdicts out. Pure; the engine asks after every input.
//
// Today's evidence is the outcome of each deployment. Validation reports, telemetry against a control group and drift
// take their seat here: a further member of StageEvidence and a further judge, whose verdicts combine as in worst_of.
#pragma once

#include <cstdint>
#include <string>

#include "proto/wire/rollout.h"

namespace drover::gate {

struct GateSpec {
  std::int64_t failure_threshold_ppm = 100'000;  // of executed devices, in millionths; above it: halt
  std::int64_t success_ppm = 1'000'000;          // of the members that can still succeed, in millionths
  std::int64_t min_sample = 1;                   // executed devices; a stage with fewer members needs all of them
  bool silence_counts_as_failure = true;         // else a silent device counts neither way
};

// Percents become millionths, so that 0.1 % of 1000 is 1 and not 1.0000000000000002.
std::int64_t to_ppm(double percent);
GateSpec gate_of(const wire::StageSpec& stage);

// One stage's devices. offered = in_flight + succeeded + failed + rolled_back + aborted + silent.
struct StageEvidence {
  bool first = true;         // the rollout's first stage: an empty one promotes nothing
  std::int64_t members = 0;  // of this stage and no earlier one; an estimate for large groups
  std::int64_t offered = 0;
  std::int64_t in_flight = 0;
  std::int64_t succeeded = 0;
  std::int64_t failed = 0;       // refused before activation
  std::int64_t rolled_back = 0;  // activated, then went back by itself
  std::int64_t aborted = 0;      // superseded or taken back: no evidence either way
  std::int64_t silent = 0;       // said nothing final before the deadline
};

enum class Call : std::uint8_t { promote, hold, halt };

struct Verdict {
  Call call = Call::hold;
  std::string why;  // a sentence for people, with the numbers
};

// halt     when executed >= min_sample and failures / executed > threshold; and at once when failures > threshold *
// members,
//          since then no further success can bring the whole stage under the threshold
// promote  when executed >= min_sample, failures / executed <= threshold and enough of the members that can still
// succeed did
//          (a tolerated failure does not hold the stage for ever); an empty stage behind the first promotes
// hold     otherwise
// executed = succeeded + failures; failures = failed + rolled_back, + silent when silence counts.
Verdict judge(const GateSpec& spec, const StageEvidence& evidence);

// halt before hold before promote.
Verdict worst_of(Verdict a, Verdict b);

}  // namespace drover::gate
