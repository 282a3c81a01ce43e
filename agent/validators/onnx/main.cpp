// drover-validate-onnx: a validator for ONNX models. The contract is docs/reference/validator.md.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "agent/validators/onnx/ort.h"
#include "agent/validators/onnx/supervise.h"

int main(int argc, char** argv) {
  using namespace drover::validators;
  CLI::App app(
      "Validates the ONNX model of an unpacked package on this device and prints a verdict as one JSON object.",
      "drover-validate-onnx");
  app.footer(
      "Exit status: 0 pass, 1 fail, 2 wrong usage, 3 cannot validate here.\n"
      "The model is loaded in a child that has no files, no network and bounded memory and time.");
  std::string package, incumbent, runtime;
  bool confined = false;
  app.add_option("--package", package, "folder of the package, with its drover.json")->required();
  app.add_option("--incumbent", incumbent, "folder of the package that runs now; latency is compared with it");
  app.add_option("--onnxruntime", runtime,
                 "path of libonnxruntime.so.1; otherwise DROVER_ONNXRUNTIME, otherwise where the system looks");
  app.add_flag(kConfinedFlag, confined, "be the child")->group("");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  Request request{
      .package = package, .incumbent = {}, .runtime = runtime.empty() ? drover::onnx::runtime_path() : runtime};
  if (!incumbent.empty()) request.incumbent = incumbent;
  // The child starts in another folder.
  std::error_code ignored;
  if (!confined) {
    request.package = std::filesystem::absolute(request.package, ignored);
    if (request.incumbent) request.incumbent = std::filesystem::absolute(*request.incumbent, ignored);
    if (request.runtime.find('/') != std::string::npos)
      request.runtime = std::filesystem::absolute(request.runtime, ignored).string();
  }
  const Verdict verdict = confined ? probe(request) : supervise(request);
  const std::string line = print_verdict(verdict) + "\n";
  std::fputs(line.c_str(), stdout);
  std::fflush(stdout);
  // Without the destructors of a runtime that has just held hostile input.
  std::_Exit(exit_status(verdict));
}
