#include "common/fs/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace drover::fs {
namespace {

Error failed(const std::string& path) {
  return Error(errno == ENOENT ? Code::not_found : Code::io, path + ": " + std::strerror(errno));
}

Result<ByteView> map(int fd, const std::string& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return failed(path);
  if (!S_ISREG(info.st_mode)) return Error(Code::unsafe_path, path + ": not a regular file");
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size == 0) return ByteView{};
  void* at = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (at == MAP_FAILED) return failed(path);
  return ByteView(static_cast<const std::uint8_t*>(at), size);
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failed(path);
  auto bytes = map(fd, path);
  close(fd);
  if (!bytes) return std::move(bytes).error();
  MappedFile file;
  file.bytes_ = *bytes;
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<std::uint8_t*>(bytes_.data()), bytes_.size());
}

}  // namespace drover::fs
