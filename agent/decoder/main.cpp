// drover-patch: applies one delta, confined. Started by drover-agent; docs/reference/patch.md.
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "agent/decoder/decode.h"

namespace {

using namespace drover;

constexpr const char* kHelp =
    "drover-patch: makes a file from a delta and its base, in a process that can do nothing else.\n\n"
    "  drover-patch --delta FILE --out FILE --size BYTES [--base FILE --base-digest D] [--target-digest D]\n\n"
    "D as sha256:<hex>; a delta for another base or target is refused. At most BYTES are written.\n"
    "Exit status: 0 done, 1 failed (the reason stands on stdout), 2 wrong usage, 3 the kernel cannot confine it.\n";

int say(const Error& error, int status) {
  std::printf("%s %s\n", std::string(code_name(error.code())).c_str(), error.message().c_str());
  std::fflush(stdout);
  return status;
}

// No delta of ours needs what the limit leaves: one that asks for more is at fault.
Status decode_within_memory(const decoder::Job& job) {
  try {
    return decoder::decode(job);
  } catch (const std::bad_alloc&) {
    return Error(Code::too_large, "the delta takes more memory than a decoder may have");
  }
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() == 1 && arguments[0] == "--help") {
    std::fputs(kHelp, stdout);
    std::fflush(stdout);
    return decoder::kExitDone;
  }
  const auto job = decoder::parse_job(arguments);
  if (!job) return say(job.error(), decoder::kExitUsage);
  const Status done = decode_within_memory(*job);
  if (done) return decoder::kExitDone;
  return say(done.error(), done.error().code() == Code::unsupported ? decoder::kExitConfine : decoder::kExitFailed);
}

}  // namespace

// Without destructors: what has held hostile input ends here.
int main(int argc, char** argv) { std::_Exit(run(std::vector<std::string>(argv + 1, argv + argc))); }
