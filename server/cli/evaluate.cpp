#include "server/cli/evaluate.h"

#include <fmt/format.h>

#include "common/process/process.h"
#include "proto/json/reader.h"
#include "server/cli/files.h"

namespace drover::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMaxSamples = 1'000'000;  // as the program allows
constexpr std::size_t kMaxDimensions = 16;
constexpr std::int64_t kMaxSide = 1 << 26;
constexpr std::size_t kMaxPathLength = 4096;
constexpr std::chrono::minutes kDeadline{30};  // a million samples at a millisecond each take half of it
constexpr int kProgramMissing = 3;

// Beside this program, as it is installed and built.
std::string program_path(const Context& context) {
  if (context.environment)
    if (auto named = context.environment("DROVER_EVALUATOR")) return *named;
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return (self.parent_path() / "drover-evaluate-onnx").string();
}

std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

Error failure(const process::Outcome& outcome, const std::string& program) {
  std::string said = last_line(outcome.err);
  if (said.empty()) said = fs::path(program).filename().string() + " " + process::describe(outcome);
  if (!outcome.exited(kProgramMissing)) return Error(Code::invalid_argument, said);
  return Error(Code::validator_missing,
               said + "; set DROVER_ONNXRUNTIME to a libonnxruntime.so.1, or give a fixed --snap without sets");
}

std::string shape_text(const std::vector<std::int64_t>& shape) { return fmt::format("{}", fmt::join(shape, ",")); }

void read_shape(json::Reader& in, std::vector<std::int64_t>& shape) {
  const json::Value& sides = in.raw("input_shape");
  const bool fine = sides.is_array() && !sides.empty() && sides.size() <= kMaxDimensions;
  for (std::size_t i = 0; fine && i < sides.size(); ++i)
    if (sides[i].is_number_integer()) shape.push_back(sides[i].get<std::int64_t>());
  const bool sound = fine && shape.size() == sides.size() &&
                     std::all_of(shape.begin(), shape.end(), [](std::int64_t s) { return s >= 1 && s <= kMaxSide; });
  if (!sound) in.fail("input_shape", "must be the sides of one sample, like [1, 28, 28]");
}

}  // namespace

Result<SampleSet> read_sample_set(const fs::path& file, std::string name) {
  TRY_ASSIGN(const std::string text, read_file(file));
  TRY_ASSIGN(const json::Value document, json::parse(text, kMaxDocument).within(file.string()));
  json::Reader in(document);
  SampleSet set{.name = std::move(name), .inputs = {}, .labels = {}, .samples = 0, .input_shape = {}};
  const fs::path folder = file.parent_path();
  set.inputs = folder / in.text("inputs", kMaxPathLength);
  const std::string labels = in.text_or("labels", "", kMaxPathLength);
  if (!labels.empty()) set.labels = folder / labels;
  set.samples = in.integer("samples", 1, kMaxSamples);
  read_shape(in, set.input_shape);
  TRY(in.finish().within(file.string()));
  return set;
}

SampleSet golden_set(const fs::path& package, const package::GoldenPolicy& golden) {
  SampleSet set{.name = "golden",
                .inputs = package / golden.inputs,
                .labels = {},
                .samples = golden.samples,
                .input_shape = golden.input_shape};
  if (!golden.labels.empty()) set.labels = package / golden.labels;
  return set;
}

Result<double> Evaluator::score(const fs::path& model, const SampleSet& set, const fs::path& reference,
                                const fs::path& outputs) const {
  process::Spec spec;
  const std::string program = program_path(context);
  std::error_code error;
  const auto add = [&](const char* option, const fs::path& path) {
    if (path.empty()) return;
    spec.argv.emplace_back(option);
    spec.argv.push_back(fs::absolute(path, error).string());
  };
  spec.argv = {program, "--samples", std::to_string(set.samples), "--input-shape", shape_text(set.input_shape)};
  add("--model", model);
  add("--inputs", set.inputs);
  add("--labels", set.labels);
  add("--reference", reference);
  add("--outputs", outputs);
  if (context.environment)
    if (auto runtime = context.environment("DROVER_ONNXRUNTIME")) add("--onnxruntime", *runtime);
  spec.deadline = kDeadline;
  const auto outcome = process::run_process(spec);
  if (!outcome) return Error(Code::validator_missing, program + ": " + outcome.error().message());
  if (!outcome->exited(0)) return failure(*outcome, program).within("the " + set.name + " set");
  TRY_ASSIGN(const json::Value document, json::parse(outcome->out, process::kDefaultMaxOutput).within(program));
  for (const char* field : {"accuracy", "agreement"})
    if (document.is_object() && document.contains(field) && document[field].is_number())
      return document[field].get<double>();
  return 1.0;
}

}  // namespace drover::cli
