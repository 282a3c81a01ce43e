#include "server/cli/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace drover::cli {
namespace {

namespace fs = std::filesystem;

class OwnedFd {
 public:
  explicit OwnedFd(int fd) : fd_(fd) {}
  ~OwnedFd() {
    if (fd_ > STDERR_FILENO) ::close(fd_);
  }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Error file_error(const fs::path& path, int error) {
  const Code code = error == ENOENT ? Code::not_found : error == ENOSPC ? Code::disk_full : Code::io;
  return Error(code, path.string() + ": " + std::strerror(error));
}

Status write_all(int fd, std::string_view content, const fs::path& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return file_error(path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Result<std::string> read_file(const fs::path& path, std::size_t limit) {
  const OwnedFd file(path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return file_error(path, errno);
  std::string content;
  char chunk[16384];
  for (;;) {
    const ssize_t got = ::read(file.get(), chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error(path, errno);
    if (got == 0) return content;
    content.append(chunk, static_cast<std::size_t>(got));
    if (content.size() > limit)
      return Error(Code::too_large, path.string() + ": has more than " + std::to_string(limit) + " bytes");
  }
}

Status write_file(const fs::path& path, std::string_view content, unsigned mode) {
  const fs::path beside = path.string() + "." + std::to_string(::getpid()) + ".new";
  {
    const OwnedFd file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
    if (file.get() < 0) return file_error(path, errno);
    Status written = write_all(file.get(), content, path);
    if (written && (::fchmod(file.get(), mode) != 0 || ::fsync(file.get()) != 0)) written = file_error(path, errno);
    if (!written) {
      ::unlink(beside.c_str());
      return written;
    }
  }
  if (::rename(beside.c_str(), path.c_str()) == 0) return {};
  const int error = errno;
  ::unlink(beside.c_str());
  return file_error(path, error);
}

Status make_folder(const fs::path& path, unsigned mode) {
  std::error_code error;
  if (fs::is_directory(path, error)) return {};
  error.clear();  // that it is not there yet
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  if (error) return file_error(path, error.value());
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return file_error(path, errno);
  return {};
}

}  // namespace drover::cli
