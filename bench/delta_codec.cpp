// The codec alone, without the start of a program around it: bytes, CPU seconds and memory of one pair.
//   delta_codec BASE NEW [RUNS]      BASE may be "-". One line: new bytes, delta bytes, MB/s of making and of applying
//                                    (best of RUNS), KiB of memory that applying took beyond the mapped base.
#include <malloc.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "common/delta/delta.h"

namespace {

using drover::Bytes;
using drover::ByteView;
using drover::Status;

Bytes content(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return double(t.tv_sec) + double(t.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// A line of /proc/self/status, in KiB.
long status_of(const char* name) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(name)) return std::atol(line.c_str() + std::strlen(name));
  return 0;
}

// Compares instead of keeping: memory counts the decoder alone.
class Compare final : public drover::delta::ByteSink {
 public:
  explicit Compare(ByteView wanted) : wanted_(wanted) {}
  Status write(ByteView bytes) override {
    right = right && at_ + bytes.size() <= wanted_.size() &&
            std::memcmp(bytes.data(), wanted_.data() + at_, bytes.size()) == 0;
    at_ += bytes.size();
    return {};
  }
  bool right = true;

 private:
  ByteView wanted_;
  std::size_t at_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const Bytes base = std::strcmp(argv[1], "-") == 0 ? Bytes{} : content(argv[1]), target = content(argv[2]);
  const int runs = argc > 3 ? std::atoi(argv[3]) : 3;
  drover::delta::MemorySink made;
  const double begin = cpu_seconds();
  if (!drover::delta::make_delta(base, target, made)) return 1;
  const double making = cpu_seconds() - begin;
  malloc_trim(0);
  double applying = 1e9;
  long memory = 0;
  for (int run = 0; run < runs; ++run) {
    drover::delta::MemorySource source(made.bytes);
    Compare sink(target);
    const long before = status_of("VmRSS:");
    std::ofstream("/proc/self/clear_refs") << "5";  // the peak begins anew
    const double start = cpu_seconds();
    const Status status = drover::delta::apply_delta(source, base, {}, sink);
    applying = std::min(applying, cpu_seconds() - start);
    memory = std::max(memory, status_of("VmHWM:") - before);
    if (!status || !sink.right) {
      std::fprintf(stderr, "%s\n", status ? "the result differs" : status.error().message().c_str());
      return 1;
    }
  }
  std::printf("%zu %zu %.1f %.1f %ld\n", target.size(), made.bytes.size(), double(target.size()) / 1e6 / making,
              double(target.size()) / 1e6 / applying, memory);
  return 0;
}
