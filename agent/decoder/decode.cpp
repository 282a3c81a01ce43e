#include "agent/decoder/decode.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <vector>

#include "common/delta/delta.h"
#include "common/fs/mapped_file.h"
#include "common/process/confine.h"

namespace drover::decoder {
namespace {

constexpr std::size_t kBuffer = 64 * 1024;
constexpr std::uint64_t kSyncEvery = 16u << 20;  // bounds dirty memory
// The decoder's bound is 4 MiB; allocators reserve more than they touch.
constexpr std::uint64_t kAddressSpace = 16u << 20;

Error failed(const std::string& path) {
  const Code code = errno == ENOENT ? Code::not_found : errno == ENOSPC || errno == EDQUOT ? Code::disk_full : Code::io;
  return Error(code, path + ": " + std::strerror(errno));
}

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

class Source final : public delta::ByteSource {
 public:
  explicit Source(int fd) : fd_(fd) {}

  Status read(std::span<std::uint8_t> out) override {
    while (!out.empty()) {
      if (used_ == held_) TRY(refill());
      const std::size_t now = std::min(out.size(), held_ - used_);
      std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(used_), now, out.begin());
      used_ += now;
      out = out.subspan(now);
    }
    return {};
  }

 private:
  Status refill() {
    ssize_t count = 0;
    do count = ::read(fd_, buffer_.data(), buffer_.size());
    while (count < 0 && errno == EINTR);
    if (count < 0) return failed("reading the delta");
    if (count == 0) return Error(Code::malformed, "the delta ends early");
    held_ = static_cast<std::size_t>(count);
    used_ = 0;
    return {};
  }

  int fd_;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(kBuffer);
  std::size_t used_ = 0, held_ = 0;
};

class Sink final : public delta::ByteSink {
 public:
  explicit Sink(int fd) : fd_(fd) { buffer_.reserve(2 * kBuffer); }

  Status write(ByteView bytes) override {
    if (bytes.size() >= kBuffer) {
      TRY(flush());
      return put(bytes);
    }
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    return buffer_.size() < kBuffer ? Status() : flush();
  }
  Status finish() {
    TRY(flush());
    return sync();
  }

 private:
  Status flush() {
    const Status written = put(buffer_);
    buffer_.clear();
    return written;
  }
  Status put(ByteView bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return failed("writing the result");
      bytes = bytes.subspan(static_cast<std::size_t>(count));
      unsynced_ += static_cast<std::uint64_t>(count);
    }
    return unsynced_ < kSyncEvery ? Status() : sync();
  }
  Status sync() {
    unsynced_ = 0;
    if (::fdatasync(fd_) != 0) return failed("writing the result");
    return {};
  }

  int fd_;
  Bytes buffer_;
  std::uint64_t unsynced_ = 0;
};

// What is made on first use and reads files for it: the provider of the digest.
void warm_up() { (void)crypto::sha256(std::string_view()); }

Error complain(const std::string& name, const std::string& why) {
  return Error(Code::invalid_argument, name + " " + why);
}

Status set(Job& job, const std::string& name, const std::string& value) {
  if (name == "--delta" || name == "--base" || name == "--out") {
    (name == "--delta" ? job.delta : name == "--base" ? job.base : job.out) = value;
    return {};
  }
  if (name == "--base-digest" || name == "--target-digest") {
    TRY_ASSIGN(const crypto::Digest digest, crypto::Digest::parse(value));
    (name == "--base-digest" ? job.base_digest : job.target_digest) = digest;
    return {};
  }
  if (name != "--size") return complain(name, "is no option");
  const char* end = value.data() + value.size();
  const auto [at, fault] = std::from_chars(value.data(), end, job.size);
  return fault == std::errc() && at == end ? Status() : Status(complain(name, "takes a number of bytes"));
}

}  // namespace

Result<Job> parse_job(std::span<const std::string> arguments) {
  Job job;
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    if (i + 1 == arguments.size()) return complain(arguments[i], "needs a value");
    TRY(set(job, arguments[i], arguments[i + 1]).within(arguments[i]));
  }
  if (job.delta.empty() || job.out.empty() || job.size == 0)
    return Error(Code::invalid_argument, "--delta, --out and --size are needed");
  return job;
}

Status decode(const Job& job) {
  fs::MappedFile base;
  if (!job.base.empty()) {
    TRY_ASSIGN(base, fs::MappedFile::open(job.base));
  }
  const Descriptor from(job.delta, O_RDONLY);
  if (!from) return failed(job.delta);
  const Descriptor to(job.out, O_WRONLY | O_CREAT | O_TRUNC);
  if (!to) return failed(job.out);
  delta::ApplyLimits limits;
  limits.max_target = job.size;
  limits.base = job.base_digest;
  limits.target = job.target_digest;
  Source source(from.get());
  Sink sink(to.get());
  warm_up();
  TRY(process::confine_self({.more_address_space = kAddressSpace, .file_size = job.size}));
  Status applied = delta::apply_delta(source, base.bytes(), limits, sink);
  // The delta's fault, be it by age or by damage; not this device's.
  if (!applied && applied.error().code() == Code::unsupported) return Error(Code::malformed, applied.error().message());
  TRY(std::move(applied));
  return sink.finish();
}

}  // namespace drover::decoder
