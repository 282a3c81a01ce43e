#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/fs/files.h"

namespace drover::fs {
namespace {

constexpr std::size_t kMaxNames = 100'000;  // of one folder: a thousand times what a device should have
constexpr std::size_t kMaxLink = 4096;
constexpr std::size_t kFirstRead = 16 * 1024;  // most files read whole are smaller

Error system_error(const std::string& path, std::string_view doing) {
  const int number = errno;
  Code code = Code::io;
  if (number == ENOENT || number == ENOTDIR)
    code = Code::not_found;
  else if (number == EEXIST)
    code = Code::already_exists;
  else if (number == EACCES || number == EPERM || number == EROFS)
    code = Code::permission_denied;
  else if (number == ENOSPC || number == EDQUOT)
    code = Code::disk_full;
  else if (number == EFBIG || number == ENAMETOOLONG)
    code = Code::too_large;
  return Error(code, std::string(doing) + " " + path + ": " + std::strerror(number));
}

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

Result<Fd> open_fd(const std::string& path, int flags, mode_t mode = 0) {
  int fd = -1;
  do fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return system_error(path, "opening");
  return Fd(fd);
}

Result<std::size_t> read_at(int fd, std::uint64_t offset, std::span<char> out, const std::string& path) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(path, "reading");
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

class SystemAppender final : public Appender {
 public:
  SystemAppender(Fd fd, std::string path, std::uint64_t size)
      : fd_(std::move(fd)), path_(std::move(path)), size_(size) {}

  Status append(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(size_));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return system_error(path_, "writing");
      bytes.remove_prefix(static_cast<std::size_t>(n));
      size_ += static_cast<std::uint64_t>(n);
    }
    return {};
  }
  Status sync() override {
    if (::fdatasync(fd_.get()) != 0) return system_error(path_, "syncing");
    return {};
  }
  std::uint64_t size() const override { return size_; }

 private:
  Fd fd_;
  std::string path_;
  std::uint64_t size_;
};

class SystemReader final : public Reader {
 public:
  SystemReader(Fd fd, std::string path, Cache cache) : fd_(std::move(fd)), path_(std::move(path)), cache_(cache) {}

  Result<std::size_t> read(std::uint64_t offset, std::span<char> out) override {
    auto done = read_at(fd_.get(), offset, out, path_);
    // What was read once to be checked is not worth memory on a small device.
    if (cache_ == Cache::drop && done)
      ::posix_fadvise(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(*done), POSIX_FADV_DONTNEED);
    return done;
  }

 private:
  Fd fd_;
  std::string path_;
  Cache cache_;
};

class SystemLock final : public Lock {
 public:
  explicit SystemLock(Fd fd) : fd_(std::move(fd)) {}

 private:
  Fd fd_;
};

Kind kind_of(mode_t mode) {
  if (S_ISREG(mode)) return Kind::file;
  if (S_ISDIR(mode)) return Kind::folder;
  return S_ISLNK(mode) ? Kind::link : Kind::other;
}

class SystemFiles final : public Files {
 public:
  Result<Info> info(const std::string& path) override {
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0) return system_error(path, "looking at");
    return Info{kind_of(st.st_mode), static_cast<std::uint64_t>(st.st_size), st.st_mode & 07777u, st.st_nlink};
  }

  Result<std::vector<std::string>> list(const std::string& folder) override {
    DIR* dir = ::opendir(folder.c_str());
    if (dir == nullptr) return system_error(folder, "listing");
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(dir)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != ".." && names.size() < kMaxNames) names.emplace_back(name);
    }
    ::closedir(dir);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<std::string> read(const std::string& path, std::size_t limit) override {
    TRY_ASSIGN(const Fd fd, open_fd(path, O_RDONLY));
    // The limit may be megabytes where the file has a few bytes: memory follows what is read. /proc says size 0.
    std::string bytes;
    for (std::size_t room = kFirstRead; bytes.size() <= limit; room = bytes.size()) {
      const std::size_t before = bytes.size();
      bytes.resize(before + std::min(room, limit + 1 - before));
      const std::span<char> fresh(bytes.data() + before, bytes.size() - before);
      TRY_ASSIGN(const std::size_t size, read_at(fd.get(), before, fresh, path));
      const bool whole = size < fresh.size();
      bytes.resize(before + size);
      if (!whole) continue;
      bytes.shrink_to_fit();
      return bytes;
    }
    return Error(Code::too_large, path + " has more than " + std::to_string(limit) + " bytes");
  }

  Result<std::string> read_link(const std::string& path) override {
    std::string target(kMaxLink, '\0');
    const ssize_t n = ::readlink(path.c_str(), target.data(), target.size());
    if (n < 0) return system_error(path, "reading the link");
    target.resize(static_cast<std::size_t>(n));
    return target;
  }

  Result<std::unique_ptr<Reader>> open(const std::string& path, Cache cache) override {
    TRY_ASSIGN(Fd fd, open_fd(path, O_RDONLY));
    if (cache == Cache::drop) {
      ::fdatasync(fd.get());  // dirty pages cannot be dropped
      ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
      ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    return std::unique_ptr<Reader>(new SystemReader(std::move(fd), path, cache));
  }

  Result<std::unique_ptr<Appender>> append(const std::string& path, std::uint64_t keep) override {
    TRY_ASSIGN(Fd fd, open_fd(path, O_WRONLY | O_CREAT, 0600));
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return system_error(path, "looking at");
    std::uint64_t size = static_cast<std::uint64_t>(st.st_size);
    if (size > keep) {
      if (::ftruncate(fd.get(), static_cast<off_t>(keep)) != 0) return system_error(path, "cutting");
      size = keep;
    }
    return std::unique_ptr<Appender>(new SystemAppender(std::move(fd), path, size));
  }

  Status make_folder(const std::string& path) override {
    if (::mkdir(path.c_str(), 0755) == 0) return {};
    if (errno != EEXIST) return system_error(path, "making the folder");
    TRY_ASSIGN(const Info there, info(path));
    if (there.kind != Kind::folder) return Error(Code::already_exists, path + " is there and is no folder");
    return {};
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return system_error(from + " -> " + to, "renaming");
    return {};
  }
  Status hard_link(const std::string& from, const std::string& to) override {
    if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0) != 0)
      return system_error(from + " -> " + to, "linking");
    return {};
  }
  Status symlink(const std::string& target, const std::string& path) override {
    if (::symlink(target.c_str(), path.c_str()) != 0) return system_error(path, "making the link");
    return {};
  }
  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    if (errno == EISDIR || errno == EPERM) {
      if (::rmdir(path.c_str()) == 0) return {};
    }
    return system_error(path, "removing");
  }
  Status set_mode(const std::string& path, std::uint32_t mode) override {
    if (::chmod(path.c_str(), mode) != 0) return system_error(path, "setting the mode of");
    return {};
  }
  Status sync_folder(const std::string& path) override {
    TRY_ASSIGN(const Fd fd, open_fd(path, O_RDONLY | O_DIRECTORY));
    if (::fsync(fd.get()) != 0) return system_error(path, "syncing");
    return {};
  }

  Result<std::uint64_t> free_space(const std::string& path) override {
    struct statvfs st {};
    if (::statvfs(path.c_str(), &st) != 0) return system_error(path, "looking for space on");
    return static_cast<std::uint64_t>(st.f_bavail) * st.f_frsize;
  }

  Result<std::string> boot_id() override {
    TRY_ASSIGN(std::string id, read("/proc/sys/kernel/random/boot_id", 64));
    while (!id.empty() && id.back() == '\n') id.pop_back();
    return id;
  }

  Result<std::unique_ptr<Lock>> lock(const std::string& path) override {
    TRY_ASSIGN(Fd fd, open_fd(path, O_RDWR | O_CREAT, 0600));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return Error(Code::conflict, path + " is locked by another process");
      return system_error(path, "locking");
    }
    return std::unique_ptr<Lock>(new SystemLock(std::move(fd)));
  }

  Result<bool> in_use(const std::string& file) override {
    TRY_ASSIGN(const Fd fd, open_fd(file, O_RDONLY | O_NONBLOCK));
    // A write lease is granted only when nobody else has the file open; a mapping counts, as it holds the open file.
    if (::fcntl(fd.get(), F_SETLEASE, F_WRLCK) == 0) {
      ::fcntl(fd.get(), F_SETLEASE, F_UNLCK);
      return false;
    }
    return errno == EAGAIN;
  }
};

}  // namespace

Files& system_files() {
  static SystemFiles files;
  return files;
}

}  // namespace drover::fs
