#include <gtest/gtest.h>
#include <signal.h>

#include "agent/validators/onnx/supervise.h"

namespace drover::validators {
namespace {

process::Outcome ended(int exit_code, std::string out) {
  process::Outcome outcome;
  outcome.exit_code = exit_code;
  outcome.out = std::move(out);
  return outcome;
}

process::Outcome killed(int signal, std::string err = "") {
  process::Outcome outcome;
  outcome.signal = signal;
  outcome.err = std::move(err);
  return outcome;
}

const std::string kPass = R"({"verdict":"pass","code":"ok"})";
const std::string kFail = R"({"verdict":"fail","code":"validate_golden","detail":"too far"})";

TEST(Judge, TheProbesVerdictStands) {
  EXPECT_EQ(judge(ended(0, kPass)).code, Code::ok);
  const Verdict failed = judge(ended(1, kFail));
  EXPECT_EQ(failed.code, Code::validate_golden);
  EXPECT_EQ(failed.detail, "too far");
}

TEST(Judge, APassCountsOnlyWithItsExitStatus) {
  EXPECT_EQ(judge(ended(1, kPass)).code, Code::validate_crash);
  EXPECT_EQ(judge(ended(0, kFail)).code, Code::validate_crash);
  EXPECT_EQ(judge(ended(0, "")).code, Code::validate_crash);
  process::Outcome after = killed(SIGSEGV);
  after.out = kPass;
  EXPECT_EQ(judge(after).code, Code::validate_crash);
}

TEST(Judge, TimeIsOut) {
  process::Outcome outcome = killed(SIGKILL);
  outcome.timed_out = true;
  EXPECT_EQ(judge(outcome).code, Code::validate_timeout);
  EXPECT_EQ(judge(killed(SIGXCPU)).code, Code::validate_timeout);
}

TEST(Judge, MemoryIsOut) {
  process::Outcome outcome = killed(SIGKILL);
  outcome.over_memory = true;
  EXPECT_EQ(judge(outcome).code, Code::validate_memory);
  EXPECT_EQ(judge(killed(SIGABRT, "terminate called after throwing an instance of 'std::bad_alloc'\n")).code,
            Code::validate_memory);
  EXPECT_EQ(judge(killed(SIGKILL)).code, Code::validate_memory) << "the kernel kills so when it has none left";
}

TEST(Judge, ACrashSaysWhatItSaidLast) {
  const Verdict verdict = judge(killed(SIGABRT, "one\nfree(): invalid pointer\n"));
  EXPECT_EQ(verdict.code, Code::validate_crash);
  EXPECT_EQ(verdict.detail, "the validation of the model was ended by signal 6 (Aborted): free(): invalid pointer");
}

TEST(Judge, AForbiddenSystemCallIsNamedAsSuch) {
  const Verdict verdict = judge(killed(SIGSYS));
  EXPECT_EQ(verdict.code, Code::validate_crash);
  EXPECT_EQ(verdict.detail, "the model made a system call that it may not make (SIGSYS)");
}

}  // namespace
}  // namespace drover::validators
