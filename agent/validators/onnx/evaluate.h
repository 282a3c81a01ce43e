// Runs a model over samples and says how good it is: for people who build releases. Nothing on a device uses it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace drover::validators {

inline constexpr std::int64_t kMaxEvaluationSamples = 1'000'000;

struct EvaluationRequest {
  std::filesystem::path model;
  std::filesystem::path inputs;     // raw little-endian float32, sample after sample
  std::filesystem::path labels;     // raw uint8, one a sample; empty: no accuracy
  std::filesystem::path reference;  // outputs to agree with, like those that are written; empty: no agreement
  bool keep_outputs = false;
  std::int64_t samples = 0;
  std::vector<std::int64_t> input_shape;  // of one sample
  std::string runtime;                    // path of ONNX Runtime's library
};

struct Evaluation {
  std::int64_t samples = 0;
  std::int64_t output_size = 0;     // floats of one sample
  std::optional<double> accuracy;   // share of samples whose greatest output is the label's
  std::optional<double> agreement;  // with the reference, likewise
  double max_abs_diff = 0;          // from the reference
  std::string runtime;
  std::vector<float> outputs;  // when they are to be kept
};

// Opens everything, confines this process for good, then loads and runs the model. To be called once, in a process with
// one thread. Errors: not_found, io, validate_load, validate_golden (a file that does not fit), validator_missing.
Result<Evaluation> evaluate(const EvaluationRequest& request);

// One JSON object, a line without its end.
std::string print_evaluation(const Evaluation& evaluation);

}  // namespace drover::validators
