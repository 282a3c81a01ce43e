#include "agent/validators/onnx/evaluate.h"

#include <nlohmann/json.hpp>

#include "agent/validators/onnx/golden.h"
#include "agent/validators/onnx/ort.h"
#include "agent/validators/onnx/subject.h"
#include "common/process/confine.h"

namespace drover::validators {
namespace {

// Models of people who build releases are theirs, but come from elsewhere often enough.
constexpr std::uint64_t kMoreAddressSpace = std::uint64_t{8} << 30;
constexpr std::uint64_t kMaxSampleBytes = std::uint64_t{2} << 30;  // of the inputs, and of the outputs; held in memory

Result<Bytes> read(const std::filesystem::path& path, std::uint64_t limit) {
  TRY_ASSIGN(const OpenFile file, OpenFile::open(path, limit).within(path.string()));
  return file.read_all().within(path.string());
}

struct Opened {
  onnx::Runtime runtime;
  Bytes model, labels, reference;
  std::vector<float> inputs;
  std::size_t input_size = 0;
};

Result<Opened> open_all(const EvaluationRequest& request) {
  TRY_ASSIGN(const std::size_t input_size, element_count(request.input_shape, onnx::kMaxElements).within("the shape"));
  const auto samples = static_cast<std::size_t>(request.samples);
  TRY_ASSIGN(const Bytes inputs, read(request.inputs, kMaxSampleBytes));
  TRY_ASSIGN(std::vector<float> numbers, read_floats(inputs, samples * input_size).within(request.inputs.string()));
  Bytes labels, reference;
  if (!request.labels.empty()) {
    TRY_ASSIGN(labels, read(request.labels, kMaxEvaluationSamples));
    if (labels.size() != samples)
      return Error(Code::validate_golden, request.labels.string() + ": it has " + std::to_string(labels.size()) +
                                              " labels for " + std::to_string(samples) + " samples");
  }
  if (!request.reference.empty()) {
    TRY_ASSIGN(reference, read(request.reference, kMaxSampleBytes));
  }
  TRY_ASSIGN(Bytes model, read(request.model, kMaxModelBytes));
  TRY_ASSIGN(onnx::Runtime runtime, onnx::Runtime::open(request.runtime));
  return Opened{std::move(runtime),   std::move(model),   std::move(labels),
                std::move(reference), std::move(numbers), input_size};
}

Status check_shape(const onnx::Session& session, std::span<const std::int64_t> batch) {
  const std::vector<std::int64_t>& declared = session.input_shape();
  bool fits = batch.size() == declared.size();
  for (std::size_t i = 0; fits && i < batch.size(); ++i) fits = declared[i] < 0 || declared[i] == batch[i];
  if (!fits) return Error(Code::validate_golden, "the samples are not of the shape that the model takes");
  return {};
}

}  // namespace

Result<Evaluation> evaluate(const EvaluationRequest& request) {
  TRY_ASSIGN(Opened opened, open_all(request));
  const Status confined = process::confine_self({.more_address_space = kMoreAddressSpace});
  if (!confined) return Error(Code::validator_missing, "no confinement: " + confined.error().message());
  TRY_ASSIGN(onnx::Session session, opened.runtime.load(opened.model));
  std::vector<std::int64_t> shape{1};
  shape.insert(shape.end(), request.input_shape.begin(), request.input_shape.end());
  TRY(check_shape(session, shape));

  const auto samples = static_cast<std::size_t>(request.samples);
  Comparison comparison;
  std::vector<float> output, expected;
  Evaluation result;
  result.samples = request.samples;
  result.runtime = opened.runtime.version();
  for (std::size_t i = 0; i < samples; ++i) {
    TRY(session.run(std::span(opened.inputs).subspan(i * opened.input_size, opened.input_size), shape, output));
    if (i == 0 && !opened.reference.empty()) {
      TRY_ASSIGN(expected, read_floats(opened.reference, samples * output.size()).within(request.reference.string()));
    }
    const auto golden = expected.empty() ? std::span<const float>(output)
                                         : std::span<const float>(expected).subspan(i * output.size(), output.size());
    TRY(comparison.add(output, golden));
    if (!opened.labels.empty()) comparison.add_label(output, opened.labels[i]);
    if (request.keep_outputs) result.outputs.insert(result.outputs.end(), output.begin(), output.end());
  }
  result.output_size = static_cast<std::int64_t>(output.size());
  if (comparison.has_labels()) result.accuracy = comparison.accuracy();
  if (!expected.empty()) result.agreement = comparison.agreement();
  result.max_abs_diff = comparison.max_abs_diff();
  return result;
}

std::string print_evaluation(const Evaluation& e) {
  using Json = nlohmann::json;
  const Json out = {{"samples", e.samples},
                    {"output_size", e.output_size},
                    {"accuracy", e.accuracy ? Json(*e.accuracy) : Json()},
                    {"agreement", e.agreement ? Json(*e.agreement) : Json()},
                    {"max_abs_diff", e.max_abs_diff},
                    {"runtime", e.runtime}};
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace drover::validators
