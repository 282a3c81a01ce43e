// drover-evaluate-onnx: runs a model over samples and prints how good it is. `drover release build --base` calls it.
// Like the validator it starts itself a second time: the second half is confined, and writes the outputs to its
// standard output and what came of it to standard error, since it can open nothing.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "agent/validators/onnx/evaluate.h"
#include "agent/validators/onnx/ort.h"
#include "agent/validators/onnx/supervise.h"
#include "agent/validators/verdict.h"
#include "common/process/process.h"

namespace drover::validators {
namespace {

constexpr std::size_t kMaxOutputs = std::size_t{2} << 30;

int confined_half(const EvaluationRequest& request) {
  const auto result = evaluate(request);
  const std::string line = result ? print_evaluation(*result) : result.error().message();
  if (result) std::fwrite(result->outputs.data(), sizeof(float), result->outputs.size(), stdout);
  std::fflush(stdout);
  std::fprintf(stderr, "%s\n", line.c_str());
  if (result) return kExitPass;
  return result.error().code() == Code::validator_missing ? kExitMissing : kExitFail;
}

process::Spec spec_of(const EvaluationRequest& request) {
  process::Spec spec;
  std::string shape;
  for (std::int64_t side : request.input_shape) shape += (shape.empty() ? "" : ",") + std::to_string(side);
  spec.argv = {"/proc/self/exe", kConfinedFlag, "--samples", std::to_string(request.samples), "--input-shape", shape};
  const auto add = [&](const char* option, const std::filesystem::path& path) {
    std::error_code error;
    if (path.empty()) return;
    spec.argv.emplace_back(option);
    spec.argv.push_back(std::filesystem::absolute(path, error).string());
  };
  add("--model", request.model);
  add("--inputs", request.inputs);
  add("--labels", request.labels);
  add("--reference", request.reference);
  if (request.runtime.find('/') == std::string::npos)
    spec.argv.insert(spec.argv.end(), {"--onnxruntime", request.runtime});  // the linker looks for it
  else
    add("--onnxruntime", request.runtime);
  if (request.keep_outputs) spec.argv.emplace_back("--keep-outputs");
  spec.max_output = kMaxOutputs;
  spec.deadline = process::kMaxDeadline;
  return spec;
}

int free_half(const EvaluationRequest& request, const std::string& outputs) {
  const auto outcome = process::run_process(spec_of(request));
  if (!outcome) return std::fprintf(stderr, "%s\n", outcome.error().message().c_str()), kExitMissing;
  if (outcome->signal != 0 || outcome->exit_code < 0) {
    std::fprintf(stderr, "%srunning the model %s\n", outcome->err.c_str(), process::describe(*outcome).c_str());
    return kExitFail;
  }
  if (outcome->exit_code != kExitPass) return std::fputs(outcome->err.c_str(), stderr), outcome->exit_code;
  if (!outputs.empty() && !(std::ofstream(outputs, std::ios::binary) << outcome->out).flush())
    return std::fprintf(stderr, "%s: cannot be written\n", outputs.c_str()), kExitFail;
  const std::size_t end = outcome->err.find_last_not_of('\n') + 1;  // a runtime may have written lines before
  const std::size_t begin = outcome->err.rfind('\n', end - 1);
  std::puts(outcome->err.substr(begin == std::string::npos ? 0 : begin + 1, end - (begin + 1)).c_str());
  return kExitPass;
}

}  // namespace
}  // namespace drover::validators

int main(int argc, char** argv) {
  using namespace drover::validators;
  CLI::App app("Runs an ONNX model over samples and prints its accuracy and agreement as one JSON object.",
               "drover-evaluate-onnx");
  app.footer("Exit status: 0 done, 1 the model or the samples are wrong, 2 wrong usage, 3 cannot run models here.");
  EvaluationRequest request;
  request.runtime = drover::onnx::runtime_path();
  std::string outputs;
  bool confined = false;
  app.add_option("--model", request.model, "the model")->required();
  app.add_option("--inputs", request.inputs, "raw float32, one sample after another")->required();
  app.add_option("--samples", request.samples, "how many")
      ->required()
      ->check(CLI::Range(std::int64_t{1}, kMaxEvaluationSamples));
  app.add_option("--input-shape", request.input_shape, "of one sample: 1,28,28")->required()->delimiter(',');
  app.add_option("--labels", request.labels, "raw uint8, one a sample");
  app.add_option("--reference", request.reference, "raw float32: outputs that the model should agree with");
  app.add_option("--outputs", outputs, "where to write the model's outputs, as raw float32");
  app.add_option("--onnxruntime", request.runtime,
                 "path of libonnxruntime.so.1; otherwise DROVER_ONNXRUNTIME, otherwise where the system looks");
  app.add_flag("--keep-outputs", request.keep_outputs)->group("");
  app.add_flag(kConfinedFlag, confined, "be the child")->group("");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  request.keep_outputs = request.keep_outputs || !outputs.empty();
  const int status = confined ? confined_half(request) : free_half(request, outputs);
  std::fflush(stdout);
  // Without the destructors of a runtime that may have held a hostile model.
  std::_Exit(status);
}
