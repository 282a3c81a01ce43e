// Real ONNX Runtime and models made for the test, or the reason why there are none.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
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

// Makes the packages of make_fixtures.py, once for each version of the script: they stay in the build folder. Test
// programs that do it at the same time do not disturb each other. Gives why it could not be done, or nothing.
inline std::string make_fixtures(const std::string& script, const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder)) return "";
  std::filesystem::create_directories(folder.parent_path());
  const TempFolder fresh;
  const process::Outcome made = run_tool({"/usr/bin/python3", script, (fresh / "made").string()}, "");
  if (!made.exited(0)) return made.err;
  const std::filesystem::path mine = folder.string() + "." + fresh.path().filename().string();
  std::error_code lost;
  std::filesystem::copy(fresh / "made", mine, std::filesystem::copy_options::recursive);
  std::filesystem::rename(mine, folder, lost);  // fails when another was faster, which is as good
  if (lost) std::filesystem::remove_all(mine);
  return "";
}

// A test that uses the models is skipped when they or ONNX Runtime cannot be had.
class WithModels : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    runtime_ = process::environment("DROVER_ONNXRUNTIME").value_or(kBuiltRuntime);
    if (!std::filesystem::exists(runtime_)) {
      missing_ = "skipped: ONNX Runtime is not at " + runtime_;
      return;
    }
    const std::string script = DROVER_SOURCE_DIR "/tests/integration/validators/make_fixtures.py";
    const auto version = std::filesystem::last_write_time(script).time_since_epoch().count();
    fixtures_ = std::filesystem::path(DROVER_BIN_DIR "/../tests/models") / std::to_string(version);
    const std::string why = make_fixtures(script, fixtures_);
    if (!why.empty()) missing_ = "skipped: the models cannot be made (python3-onnx?): " + why;
  }

  void SetUp() override {
    if (!missing_.empty()) GTEST_SKIP() << missing_;
  }

  static std::string package(const std::string& name) { return (fixtures_ / name).string(); }

  static inline std::string runtime_;
  static inline std::string missing_;
  static inline std::filesystem::path fixtures_;
};

}  // namespace drover::test
