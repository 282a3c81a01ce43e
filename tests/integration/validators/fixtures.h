// Real ONNX Runtime and models made for the test, or the reason why there are none.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/process/environment.h"
#include "common/process/process.h"
#include "tests/support/expect.h"
#include "tests/support/temp_folder.h"

namespace drover::test {

#if defined(__aarch64__)
inline constexpr const char* kBuiltRuntime = DROVER_BIN_DIR "/../onnxruntime/arm64/libonnxruntime.so.1";
#else
inline constexpr const char* kBuiltRuntime = DROVER_BIN_DIR "/../onnxruntime/x64/libonnxruntime.so.1";
#endif

inline process::Spec tool_spec(std::vector<std::string> argv, const std::string& runtime) {
  process::Spec spec;
  spec.argv = std::move(argv);
  spec.env = {"PATH=/usr/bin:/bin"};
  if (!runtime.empty()) spec.env.push_back("DROVER_ONNXRUNTIME=" + runtime);
  return spec;
}

inline process::Outcome run_tool(std::vector<std::string> argv, const std::string& runtime) {
  auto outcome = process::run_process(tool_spec(std::move(argv), runtime));
  EXPECT_OK(outcome);
  return outcome ? std::move(*outcome) : process::Outcome{};
}

// The packages of make_fixtures.py, made once a test program. A test that uses them is skipped when they cannot be had.
class WithModels : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    runtime_ = process::environment("DROVER_ONNXRUNTIME").value_or(kBuiltRuntime);
    if (!std::filesystem::exists(runtime_)) {
      missing_ = "skipped: ONNX Runtime is not at " + runtime_;
      return;
    }
    fixtures_ = std::make_unique<TempFolder>();
    const process::Outcome made =
        run_tool({"/usr/bin/python3", DROVER_SOURCE_DIR "/tests/integration/validators/make_fixtures.py",
                  fixtures_->path().string()},
                 "");
    if (!made.exited(0)) missing_ = "skipped: the models cannot be made (python3-onnx?): " + made.err;
  }
  static void TearDownTestSuite() { fixtures_.reset(); }

  void SetUp() override {
    if (!missing_.empty()) GTEST_SKIP() << missing_;
  }

  static std::string package(const std::string& name) { return (*fixtures_ / name).string(); }

  static inline std::string runtime_;
  static inline std::string missing_;
  static inline std::unique_ptr<TempFolder> fixtures_;
};

}  // namespace drover::test
