// Running models over samples, through drover-evaluate-onnx: the tool itself holds no runtime.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/package/policy.h"
#include "server/cli/context.h"

namespace drover::cli {

// Inputs and what is right for them.
struct SampleSet {
  std::string name;                      // "golden", "held-out"
  std::filesystem::path inputs, labels;  // labels: may be empty
  std::int64_t samples = 0;
  std::vector<std::int64_t> input_shape;
};

// A description in JSON: {"inputs": "x.f32", "labels": "y.u8", "samples": 2000, "input_shape": [1, 28, 28]}, paths
// beside it, labels optional. Errors: not_found, malformed with the place.
Result<SampleSet> read_sample_set(const std::filesystem::path& file, std::string name);
SampleSet golden_set(const std::filesystem::path& package, const package::GoldenPolicy& golden);

// How a model does on a set: accuracy where there are labels, else how often it agrees with the reference.
struct Evaluator {
  Context& context;
  // `reference`: outputs to agree with, or empty (then a set without labels has the score 1). `outputs`: where to write
  // the model's own, or empty. Errors: validator_missing with what to do; invalid_argument with what the program says.
  Result<double> score(const std::filesystem::path& model, const SampleSet& set, const std::filesystem::path& reference,
                       const std::filesystem::path& outputs) const;
};

}  // namespace drover::cli
