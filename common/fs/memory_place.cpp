#include "common/fs/memory_place.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace drover::fs {
namespace {

Error failed(const std::string& what) {
  const int number = errno;
  const Code code = number == ENOSPC || number == ENOMEM ? Code::disk_full
                    : number == ENOENT                   ? Code::not_found
                                                         : Code::io;
  return {code, what + ": " + std::strerror(number)};
}

}  // namespace

Result<MemoryFile> MemoryFile::create(const std::string& name) {
  const int fd = ::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return failed("making a file in memory");
  return MemoryFile(fd);
}

MemoryFile::MemoryFile(MemoryFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), size_(std::exchange(other.size_, 0)) {}

MemoryFile& MemoryFile::operator=(MemoryFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  return *this;
}

MemoryFile::~MemoryFile() {
  if (fd_ >= 0) ::close(fd_);
}

Status MemoryFile::append(ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("writing a file in memory");
    size_ += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Status MemoryFile::seal() {
  constexpr int kAll = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (::fcntl(fd_, F_ADD_SEALS, kAll) != 0) return failed("sealing a file in memory");
  return {};
}

std::string MemoryFile::path() const { return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_); }

Result<bool> is_memory_folder(const std::string& folder) {
  struct statfs info {};
  if (::statfs(folder.c_str(), &info) != 0) return failed(folder);
  return info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC;
}

std::string disk_swap(std::string_view text) {
  bool title = true;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (std::exchange(title, false)) continue;
    const std::string_view name = line.substr(0, line.find_first_of(" \t"));
    if (!name.empty() && !name.starts_with("/dev/zram")) return std::string(name);
  }
  return "";
}

}  // namespace drover::fs
