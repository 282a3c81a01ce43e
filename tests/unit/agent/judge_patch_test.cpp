// What the end of a decoder means, and what it is started with. That it runs and is killed is seen in
// tests/integration/decoder.
#include <gtest/gtest.h>

#include "agent/fetch/patch.h"

namespace drover::agent {
namespace {

process::Outcome ended(int exit_code, std::string out = "") {
  process::Outcome outcome;
  outcome.exit_code = exit_code;
  outcome.out = std::move(out);
  return outcome;
}

Code code_of(const Status& status) { return status ? Code::ok : status.error().code(); }

TEST(JudgePatch, nothing_but_a_clean_end_is_a_success) {
  EXPECT_TRUE(judge_patch(ended(0)));
  EXPECT_EQ(code_of(judge_patch(ended(7))), Code::malformed);
  process::Outcome outcome = ended(-1);
  outcome.signal = 11;
  EXPECT_EQ(code_of(judge_patch(outcome)), Code::malformed);
  EXPECT_NE(judge_patch(outcome).error().message().find("signal 11"), std::string::npos);
}

TEST(JudgePatch, a_failure_is_what_the_decoder_says) {
  const Status status = judge_patch(ended(1, "digest_mismatch the delta is for another base\n"));
  EXPECT_EQ(code_of(status), Code::digest_mismatch);
  EXPECT_EQ(status.error().message(), "the delta is for another base");
  EXPECT_EQ(code_of(judge_patch(ended(1, "disk_full /s/out: No space left on device\n"))), Code::disk_full);
}

TEST(JudgePatch, a_decoder_cannot_say_what_would_steer_the_agent) {
  for (const char* word :
       {"ok", "unauthenticated", "gone", "cancelled", "unavailable", "superseded", "unsupported", "", "nonsense here"})
    EXPECT_EQ(code_of(judge_patch(ended(1, word))), Code::malformed) << word;
  EXPECT_LE(judge_patch(ended(1, "io " + std::string(100'000, 'x'))).error().message().size(), 600u);
}

TEST(JudgePatch, a_kernel_that_cannot_confine_is_no_fault_of_the_delta) {
  EXPECT_EQ(code_of(judge_patch(ended(3, "unsupported the kernel refuses the seccomp filter\n"))), Code::unsupported);
}

TEST(PatchSpec, bounds_time_memory_and_what_may_be_written_by_the_signed_size) {
  Patch patch;
  patch.program = "/bin/drover-patch";
  patch.base_file = "/base";
  patch.size = 10 * kPatchLeastRate;
  const process::Spec spec = patch_spec(patch, 1000);
  EXPECT_EQ(spec.argv[0], "/bin/drover-patch");
  EXPECT_TRUE(spec.env.empty());
  EXPECT_EQ(spec.deadline, kPatchGrace + std::chrono::seconds(10));
  EXPECT_EQ(spec.max_resident, 1000 + kPatchMemory);
  EXPECT_EQ(spec.limits.file_size, patch.size);
  patch.base = "sha256:b";
  patch.target = "sha256:t";
  const std::vector<std::string> argv = patch_spec(patch, 1000).argv;
  const auto behind = [&](const std::string& option) {
    const auto at = std::find(argv.begin(), argv.end(), option);
    return at == argv.end() ? "" : *(at + 1);
  };
  EXPECT_EQ(behind("--target-digest"), "sha256:t");
  EXPECT_EQ(behind("--base-digest"), "sha256:b");
  patch.size = UINT64_MAX / 2;
  EXPECT_EQ(patch_spec(patch, 0).deadline, process::kMaxDeadline);
}

}  // namespace
}  // namespace drover::agent
