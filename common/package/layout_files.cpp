#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <set>
#include <utility>

#include "common/package/layout_impl.h"
#include "common/package/manifest.h"
#include "common/package/path_rules.h"

namespace drover::package {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kBlock = 256 * 1024;

class OpenFile {
 public:
  explicit OpenFile(int fd) : fd_(fd) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Error system_error(const fs::path& path) {
  const int number = errno;
  const std::string what = path.string() + ": " + std::strerror(number);
  switch (number) {
    case ENOENT:
    case ENOTDIR:
      return {Code::not_found, what};
    case EACCES:
    case EPERM:
      return {Code::permission_denied, what};
    case ENOSPC:
    case EDQUOT:
      return {Code::disk_full, what};
    case ELOOP:
      return {Code::unsafe_path, path.string() + " is a symbolic link"};
    default:
      return {Code::io, what};
  }
}

int open_for_reading(const fs::path& path) {
  return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

Result<std::uint64_t> regular_size(int fd, const fs::path& path) {
  struct stat info {};
  if (fd < 0 || ::fstat(fd, &info) != 0) return system_error(path);
  if (!S_ISREG(info.st_mode)) return Error(Code::unsafe_path, path.string() + " is not a regular file");
  return static_cast<std::uint64_t>(info.st_size);
}

Result<std::size_t> read_some(int fd, std::span<std::uint8_t> into, const fs::path& path) {
  for (;;) {
    const ssize_t got = ::read(fd, into.data(), into.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return system_error(path);
  }
}

Status write_all(int fd, ByteView bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error(path);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

// A file under a name of its own, which disappears unless it is kept.
class NewFile {
 public:
  static Result<NewFile> create(const fs::path& folder) {
    std::string name = (folder / ".new-XXXXXX").string();
    const int fd = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd < 0) return system_error(folder);
    return NewFile(fd, name);
  }
  NewFile(NewFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  ~NewFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  Status write(ByteView bytes) { return write_all(fd_, bytes, path_); }
  Status keep_as(const fs::path& target) {
    if (::fchmod(fd_, 0644) != 0 || ::fsync(fd_) != 0) return system_error(path_);
    if (::rename(path_.c_str(), target.c_str()) != 0) return system_error(target);
    ::close(std::exchange(fd_, -1));
    const OpenFile folder(::open(target.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.get() < 0 || ::fsync(folder.get()) != 0) return system_error(target.parent_path());
    return {};
  }

 private:
  NewFile(int fd, fs::path path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  fs::path path_;
};

struct Walk {
  std::vector<FoundFile> files;
  PathSet paths;
  std::set<std::pair<dev_t, ino_t>> inodes;
};

Status take_entry(Walk& walk, const fs::path& root, const fs::path& full) {
  const std::string path = full.lexically_relative(root).generic_string();
  struct stat info {};
  if (::lstat(full.c_str(), &info) != 0) return system_error(full);
  if (S_ISDIR(info.st_mode)) return {};
  if (S_ISLNK(info.st_mode))
    return Error(Code::unsafe_path, full.string() + " is a symbolic link: put the file itself there");
  if (!S_ISREG(info.st_mode)) return Error(Code::unsafe_path, full.string() + " is not a regular file");
  TRY(walk.paths.add(path));
  if (!walk.inodes.insert({info.st_dev, info.st_ino}).second)
    return Error(Code::unsafe_path, full.string() + " is a hard link to another file of the folder");
  if (walk.files.size() >= kMaxFiles)
    return Error(Code::too_large, root.string() + " holds more than " + std::to_string(kMaxFiles) + " files");
  walk.files.push_back({path, full, static_cast<std::uint64_t>(info.st_size)});
  return {};
}

}  // namespace

Result<std::vector<FoundFile>> list_files(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return Error(Code::not_found, folder.string() + " is not a folder");
  Walk walk;
  // Symbolic links to folders are not followed: they come up as entries and are refused.
  fs::recursive_directory_iterator entry(folder, fs::directory_options::none, error), end;
  for (; !error && entry != end; entry.increment(error)) TRY(take_entry(walk, folder, entry->path()));
  if (error) return Error(Code::io, folder.string() + ": " + error.message());
  std::sort(walk.files.begin(), walk.files.end(),
            [](const FoundFile& a, const FoundFile& b) { return a.path < b.path; });
  return std::move(walk.files);
}

Result<Bytes> read_small_file(const fs::path& path, std::size_t limit) {
  const OpenFile file(open_for_reading(path));
  TRY_ASSIGN(const std::uint64_t size, regular_size(file.get(), path));
  if (size > limit) return Error(Code::too_large, path.string() + " has more than " + std::to_string(limit) + " bytes");
  Bytes bytes(static_cast<std::size_t>(size));
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    TRY_ASSIGN(const std::size_t got, read_some(file.get(), std::span(bytes).subspan(filled), path));
    if (got == 0) break;
    filled += got;
  }
  bytes.resize(filled);
  return bytes;
}

Status write_small_file(const fs::path& path, std::string_view text) {
  TRY_ASSIGN(NewFile file, NewFile::create(path.parent_path()));
  TRY(file.write(as_bytes(text)));
  return file.keep_as(path);
}

Status read_blocks(const fs::path& path, const crypto::StreamOut& out) {
  const OpenFile source(open_for_reading(path));
  TRY_ASSIGN([[maybe_unused]] const std::uint64_t size, regular_size(source.get(), path));
  Bytes block(kBlock);
  for (;;) {
    TRY_ASSIGN(const std::size_t got, read_some(source.get(), block, path));
    if (got == 0) return {};
    TRY(out(ByteView(block).first(got)));
  }
}

namespace {

using Produce = std::function<Status(const crypto::StreamOut&)>;

Result<crypto::HashedFile> store(const fs::path& blobs, const Produce& produce) {
  TRY_ASSIGN(NewFile copy, NewFile::create(blobs));
  crypto::Sha256 hash;
  crypto::HashedFile stored;
  TRY(produce([&](ByteView part) {
    hash.update(part);
    stored.size += part.size();
    return copy.write(part);
  }));
  stored.digest = hash.finish();
  TRY(copy.keep_as(blobs / stored.digest.hex()));
  return stored;
}

Result<EncryptedBlob> encrypt(const fs::path& blobs, const Produce& plain, const crypto::ContentKey& key) {
  EncryptedBlob blob;
  crypto::PlainHash hash(key);
  TRY(plain([&](ByteView part) {
    hash.update(part);
    return Status();
  }));
  blob.plain = hash.finish();
  TRY_ASSIGN(blob.stored, store(blobs, [&](const crypto::StreamOut& out) -> Status {
               crypto::StreamEncryptor encryptor(key, blob.plain, out);
               TRY(plain([&](ByteView part) { return encryptor.write(part); }));
               return encryptor.finish();
             }));
  return blob;
}

}  // namespace

Result<crypto::HashedFile> store_file(const fs::path& blobs, const fs::path& from) {
  return store(blobs, [&](const crypto::StreamOut& out) { return read_blocks(from, out); });
}

Result<EncryptedBlob> store_encrypted(const fs::path& blobs, const fs::path& from, const crypto::ContentKey& key) {
  return encrypt(blobs, [&](const crypto::StreamOut& out) { return read_blocks(from, out); }, key)
      .within(from.string());
}

Result<EncryptedBlob> store_encrypted(const fs::path& blobs, ByteView bytes, const crypto::ContentKey& key) {
  return encrypt(blobs, [&](const crypto::StreamOut& out) { return out(bytes); }, key);
}

Result<crypto::HashedFile> store_bytes(const fs::path& blobs, ByteView bytes) {
  const crypto::HashedFile stored{crypto::sha256(bytes), bytes.size()};
  TRY_ASSIGN(NewFile file, NewFile::create(blobs));
  TRY(file.write(bytes));
  TRY(file.keep_as(blobs / stored.digest.hex()));
  return stored;
}

}  // namespace drover::package
