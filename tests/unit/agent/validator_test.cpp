// What the end of a validator means. That it is run, stopped and killed is seen in the integration tests.
#include "agent/validate/validator.h"

#include <gtest/gtest.h>

namespace drover::agent {
namespace {

process::Outcome ended(int exit_code, std::string out) {
  process::Outcome outcome;
  outcome.exit_code = exit_code;
  outcome.out = std::move(out);
  return outcome;
}

constexpr const char* kPass = R"({"verdict":"pass","code":"ok","detail":"good","load_us":12})";

TEST(Judge, a_pass_carries_its_evidence) {
  const Verdict verdict = judge(ended(0, kPass));
  EXPECT_EQ(verdict.code, Code::ok);
  EXPECT_NE(verdict.evidence.find("load_us"), std::string::npos);
}

TEST(Judge, a_failure_is_what_the_validator_says) {
  const Verdict verdict = judge(ended(1, R"({"verdict":"fail","code":"validate_latency","detail":"90 ms"})"));
  EXPECT_EQ(verdict.code, Code::validate_latency);
  EXPECT_EQ(verdict.detail, "90 ms");
  EXPECT_EQ(judge(ended(3, R"({"verdict":"fail","code":"validator_missing"})")).code, Code::validator_missing);
}

TEST(Judge, nothing_but_a_clean_pass_is_a_pass) {
  EXPECT_EQ(judge(ended(0, "")).code, Code::validate_crash);
  EXPECT_EQ(judge(ended(0, "not json")).code, Code::validate_crash);
  EXPECT_EQ(judge(ended(0, R"({"verdict":"fail","code":"validate_golden"})")).code, Code::validate_crash);
  EXPECT_EQ(judge(ended(1, kPass)).code, Code::validate_crash) << "says pass and ends as if not";
  EXPECT_EQ(judge(ended(1, R"({"verdict":"fail","code":"no_such_code"})")).code, Code::validate_crash);
  EXPECT_EQ(judge(ended(2, kPass)).code, Code::validate_crash);
  EXPECT_EQ(judge(ended(7, kPass)).code, Code::validate_crash);
}

TEST(Judge, tells_apart_how_it_was_ended) {
  process::Outcome outcome = ended(-1, "");
  outcome.signal = 11;
  outcome.err = "loading\nsegments overlap\n";
  EXPECT_EQ(judge(outcome).code, Code::validate_crash);
  EXPECT_NE(judge(outcome).detail.find("loading segments overlap"), std::string::npos);
  outcome.timed_out = true;
  EXPECT_EQ(judge(outcome).code, Code::validate_timeout);
  outcome.timed_out = false;
  outcome.over_memory = true;
  EXPECT_EQ(judge(outcome).code, Code::validate_memory);
}

TEST(SpecOf, gives_the_validator_its_package_its_incumbent_and_its_runtime_only) {
  ValidationJob job;
  job.program = "/bin/validate";
  job.package = "/p/new";
  job.incumbent = "/p/old";
  job.runtime = "/lib/ort.so";
  job.timeout = std::chrono::seconds(9);
  const process::Spec spec = spec_of(job);
  EXPECT_EQ(spec.argv, (std::vector<std::string>{"/bin/validate", "--package", "/p/new", "--incumbent", "/p/old"}));
  EXPECT_EQ(spec.env, std::vector<std::string>{"DROVER_ONNXRUNTIME=/lib/ort.so"});
  EXPECT_EQ(spec.deadline, job.timeout + kValidatorGrace);
  EXPECT_EQ(spec.max_resident, 0u) << "no budget, no bound";
}

}  // namespace
}  // namespace drover::agent
