#include "agent/decoder/decode.h"

#include <fcntl.h>
#include <sys/mman.h>
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
constexpr std::uint64_t kWindow = std::uint64_t{1} << delta::kWindowLog, kLeaveEvery = 2u << 20;
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

// The result as memory, in which a stretch is decoded: mapped before this process is confined, and before the file has
// any bytes. Where that cannot be (address space is scarce), there is no place, and the decoder makes do.
class Place {
 public:
  Place(int fd, std::uint64_t size) : size_(static_cast<std::size_t>(size)) {
    if (size_ != size) return;
    void* at = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED) at_ = static_cast<std::uint8_t*>(at);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    if (at_ != nullptr) ::munmap(at_, size_);
  }
  std::span<std::uint8_t> range(std::uint64_t from, std::uint64_t size) const {
    if (at_ == nullptr || from > size_ || size > size_ - from) return {};
    return {at_ + from, static_cast<std::size_t>(size)};
  }
  // What lies before is not looked at again: its pages need not stay in this process.
  void leave(std::uint64_t from, std::uint64_t end) const {
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const std::uint64_t begin = from / page * page, until = end / page * page;
    if (until > begin) ::madvise(at_ + begin, static_cast<std::size_t>(until - begin), MADV_DONTNEED);
  }

 private:
  std::size_t size_;
  std::uint8_t* at_ = nullptr;
};

class Sink final : public delta::ByteSink {
 public:
  // `fd` appends: behind a stretch, for which the file has been extended, the next bytes go to its end.
  Sink(int fd, const Place& place) : fd_(fd), place_(place) { buffer_.reserve(2 * kBuffer); }

  Status write(ByteView bytes) override {
    if (bytes.size() >= kBuffer) {
      TRY(flush());
      return put(bytes);
    }
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    return buffer_.size() < kBuffer ? Status() : flush();
  }
  // Its room is taken first: a full disk must be an error, not the end of this process.
  std::span<std::uint8_t> place(std::uint64_t size) override {
    if (!flush()) return {};
    const std::span<std::uint8_t> range = place_.range(written_, size);
    if (range.empty() || ::fallocate(fd_, 0, static_cast<off_t>(written_), static_cast<off_t>(size)) != 0) return {};
    return range;
  }
  Status filled(std::size_t bytes) override {
    written_ += bytes;
    if (written_ - left_ >= kWindow + kLeaveEvery) {
      place_.leave(left_, written_ - kWindow);
      left_ = written_ - kWindow;
    }
    return note(bytes);
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
      written_ += static_cast<std::uint64_t>(count);
      TRY(note(static_cast<std::uint64_t>(count)));
    }
    return {};
  }
  Status note(std::uint64_t bytes) {
    unsynced_ += bytes;
    return unsynced_ < kSyncEvery ? Status() : sync();
  }
  Status sync() {
    unsynced_ = 0;
    if (::fdatasync(fd_) != 0) return failed("writing the result");
    return {};
  }

  int fd_;
  const Place& place_;
  Bytes buffer_;
  std::uint64_t written_ = 0, unsynced_ = 0;
  std::uint64_t left_ = 0;  // behind which pages of the place may be resident
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
  const Descriptor to(job.out, O_RDWR | O_CREAT | O_TRUNC | O_APPEND);
  if (!to) return failed(job.out);
  const Place place(to.get(), job.size);
  delta::ApplyLimits limits;
  limits.max_target = job.size;
  limits.base = job.base_digest;
  limits.target = job.target_digest;
  Source source(from.get());
  Sink sink(to.get(), place);
  warm_up();
  TRY(process::confine_self({.more_address_space = kAddressSpace, .file_size = job.size}));
  Status applied = delta::apply_delta(source, base.bytes(), limits, sink);
  // The delta's fault, be it by age or by damage; not this device's.
  if (!applied && applied.error().code() == Code::unsupported) return Error(Code::malformed, applied.error().message());
  TRY(std::move(applied));
  return sink.finish();
}

}  // namespace drover::decoder
