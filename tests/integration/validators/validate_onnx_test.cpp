// drover-validate-onnx as the agent runs it, on real ONNX Runtime and on models that mean harm.
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>

#include "agent/validators/verdict.h"
#include "tests/integration/validators/fixtures.h"

namespace drover::validators {
namespace {

using process::Outcome;

class ValidateOnnx : public test::WithModels {
 protected:
  // Runs the validator and checks that exit status and object belong together.
  static Verdict validate(const std::string& name, const std::string& incumbent = "") {
    std::vector<std::string> argv = {DROVER_BIN_DIR "/drover-validate-onnx", "--package", package(name)};
    if (!incumbent.empty()) argv.insert(argv.end(), {"--incumbent", package(incumbent)});
    const Outcome outcome = test::run_tool(argv, runtime_);
    const auto verdict = parse_verdict(outcome.out);
    EXPECT_OK(verdict) << outcome.out << outcome.err;
    if (!verdict) return {};
    EXPECT_TRUE(outcome.exited(exit_status(*verdict))) << process::describe(outcome);
    EXPECT_EQ(outcome.err, "");
    return *verdict;
  }

  static void expect_failure(const std::string& name, Code code, const std::string& part_of_detail) {
    const Verdict verdict = validate(name);
    EXPECT_EQ(code_name(verdict.code), code_name(code)) << verdict.detail;
    EXPECT_NE(verdict.detail.find(part_of_detail), std::string::npos) << verdict.detail;
  }
};

TEST_F(ValidateOnnx, AGoodModelPassesWithItsFigures) {
  const Verdict verdict = validate("good");
  EXPECT_TRUE(verdict.pass()) << verdict.detail;
  EXPECT_EQ(verdict.samples, 8);
  EXPECT_DOUBLE_EQ(verdict.agreement, 1);
  EXPECT_DOUBLE_EQ(verdict.max_abs_diff, 0);
  EXPECT_DOUBLE_EQ(verdict.accuracy.value_or(0), 1);
  EXPECT_GT(verdict.load_us, 0);
  EXPECT_GT(verdict.peak_rss_bytes, 10U << 20);
  EXPECT_FALSE(verdict.incumbent_latency_p50_us);
  EXPECT_EQ(verdict.runtime.substr(0, 13), "onnxruntime 1");
}

TEST_F(ValidateOnnx, TheIncumbentIsMeasuredInTheSameRun) {
  const Verdict same = validate("good", "heavy");
  EXPECT_TRUE(same.pass()) << same.detail;
  ASSERT_TRUE(same.incumbent_latency_p50_us);
  EXPECT_GT(*same.incumbent_latency_p50_us, same.latency_p50_us);
}

TEST_F(ValidateOnnx, AModelMuchSlowerThanTheIncumbentFails) {
  const Verdict slower = validate("heavy", "good");
  EXPECT_EQ(slower.code, Code::validate_latency) << slower.detail;
  EXPECT_TRUE(validate("heavy").pass()) << "alone it is within its budget";
}

TEST_F(ValidateOnnx, AnIncumbentThatCannotBeMeasuredIsLeftOut) {
  const Verdict verdict = validate("good", "truncated");
  EXPECT_TRUE(verdict.pass()) << verdict.detail;
  EXPECT_FALSE(verdict.incumbent_latency_p50_us);
  EXPECT_TRUE(validate("good", "not-there").pass());
}

TEST_F(ValidateOnnx, APackageWithoutGoldenSetIsOnlyLoadedAndRun) {
  const Verdict verdict = validate("no-golden-set");
  EXPECT_TRUE(verdict.pass()) << verdict.detail;
  EXPECT_EQ(verdict.samples, 0);
}

TEST_F(ValidateOnnx, OutputsThatDifferFromTheGoldenSetFail) {
  expect_failure("off-by-half", Code::validate_golden, "differs from the golden set by 0.5, more than 0.01");
  expect_failure("another-answer", Code::validate_golden, "0.0 % of the samples agree");
  expect_failure("wrong-labels", Code::validate_golden, "the accuracy is 0.0 %, 90.0 % is needed");
  expect_failure("no-number", Code::validate_golden, "NaN");
}

TEST_F(ValidateOnnx, AModelThatTakesSomethingElseFailsToLoad) {
  expect_failure("other-shape", Code::validate_load, "[-1,4]");
  expect_failure("two-inputs", Code::validate_load, "2 inputs");
  expect_failure("whole-numbers", Code::validate_load, "not float32");
}

TEST_F(ValidateOnnx, ATruncatedOrGarbledModelFailsToLoad) {
  expect_failure("truncated", Code::validate_load, "protobuf");
  expect_failure("garbage", Code::validate_load, "");
  expect_failure("empty", Code::validate_load, "");
  expect_failure("not-there", Code::validate_load, "drover.json");
}

TEST_F(ValidateOnnx, AModelGetsNoFileOfTheDevice) {
  expect_failure("reads-files", Code::validate_load, "Permission denied");
  expect_failure("reads-relative-files", Code::validate_load, "Permission denied");
}

TEST_F(ValidateOnnx, AModelOverItsLatencyBudgetFails) {
  expect_failure("over-latency", Code::validate_latency, "its budget is 2 us");
}

TEST_F(ValidateOnnx, AModelOverItsMemoryBudgetFails) {
  expect_failure("over-memory", Code::validate_memory, "its budget is 8.0 MiB");
}

TEST_F(ValidateOnnx, AModelThatAsksForAllMemoryIsRefusedIt) {
  expect_failure("eats-all", Code::validate_memory, "bad_alloc");
}

TEST_F(ValidateOnnx, AModelThatEatsMemoryIsStopped) {
  // Seen by the watch while it eats, or by the look at its peak afterwards.
  expect_failure("eats-more", Code::validate_memory, "budget");
  // This one never ends by itself, so it was the watch.
  const Verdict verdict = validate("eats-and-spins");
  EXPECT_EQ(verdict.code, Code::validate_memory) << verdict.detail;
  EXPECT_EQ(verdict.detail, "the model took more memory than its budget");
}

TEST_F(ValidateOnnx, AModelThatNeverEndsIsStoppedAtItsDeadline) {
  expect_failure("spins", Code::validate_timeout, "did not end before its deadline of 1 s");
}

// The only child of a process; 0 when there is none within the test's patience.
pid_t only_child(pid_t parent) {
  const std::string id = std::to_string(parent);
  for (int tries = 0; tries < 1000; ++tries) {
    pid_t child = 0;
    if (std::ifstream("/proc/" + id + "/task/" + id + "/children") >> child) return child;
    ::poll(nullptr, 0, 10);
  }
  return 0;
}

TEST_F(ValidateOnnx, TheConfinedHalfEndsWithTheOtherOne) {
  auto validator = process::start(
      test::tool_spec({DROVER_BIN_DIR "/drover-validate-onnx", "--package", package("spins-on")}, runtime_));
  ASSERT_OK(validator);
  const pid_t confined = only_child(validator->pid());
  ASSERT_GT(confined, 0);
  const int end = static_cast<int>(::syscall(SYS_pidfd_open, confined, 0));
  ASSERT_GE(end, 0);
  validator->kill();
  pollfd wait{end, POLLIN, 0};
  EXPECT_EQ(::poll(&wait, 1, 10'000), 1);
  ::close(end);
}

TEST_F(ValidateOnnx, WithoutARuntimeItSaysThatItCannotValidateHere) {
  const std::string program = DROVER_BIN_DIR "/drover-validate-onnx";
  for (const char* runtime : {"/nowhere/libonnxruntime.so.1", "/etc/passwd", "libz.so.1"}) {
    const Outcome outcome = test::run_tool({program, "--package", package("good"), "--onnxruntime", runtime}, "");
    EXPECT_TRUE(outcome.exited(kExitMissing)) << runtime << ": " << process::describe(outcome);
    const auto verdict = parse_verdict(outcome.out);
    ASSERT_OK(verdict) << outcome.out;
    EXPECT_EQ(verdict->code, Code::validator_missing);
  }
}

TEST_F(ValidateOnnx, WrongUsageIsNoVerdict) {
  const std::string program = DROVER_BIN_DIR "/drover-validate-onnx";
  EXPECT_TRUE(test::run_tool({program}, runtime_).exited(kExitUsage));
  EXPECT_TRUE(test::run_tool({program, "--package", package("good"), "--nonsense"}, runtime_).exited(kExitUsage));
  EXPECT_TRUE(test::run_tool({program, "--help"}, runtime_).exited(0));
}

}  // namespace
}  // namespace drover::validators
