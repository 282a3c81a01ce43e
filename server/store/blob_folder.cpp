#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "server/store/blobs.h"

namespace drover::store {
namespace {

namespace fs = std::filesystem;

Error errno_error(std::string_view doing, const fs::path& path) {
  const int error = errno;
  const Code code = error == ENOSPC || error == EDQUOT ? Code::disk_full : error == ENOENT ? Code::not_found : Code::io;
  return Error(code, std::string(doing) + " " + path.filename().string() + ": " + std::strerror(error));
}

class Fd {
 public:
  Fd(const fs::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600)) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  explicit operator bool() const { return fd_ >= 0; }
  int get() const { return fd_; }

 private:
  int fd_;
};

Status sync_folder(const fs::path& folder) {
  const Fd fd(folder, O_RDONLY | O_DIRECTORY);
  if (!fd || ::fsync(fd.get()) != 0) return errno_error("syncing folder", folder);
  return {};
}

class BlobFolder final : public Blobs {
 public:
  explicit BlobFolder(fs::path folder) : blobs_(folder / "sha256"), uploads_(folder / "uploads") {}

  Status prepare() {
    std::error_code error;
    fs::create_directories(blobs_, error);
    if (!error) fs::create_directories(uploads_, error);
    if (error) return Error(Code::io, "making " + blobs_.string() + ": " + error.message());
    return {};
  }

  fs::path path(const crypto::Digest& digest) const override {
    const std::string hex = digest.hex();
    return blobs_ / hex.substr(0, 2) / hex;
  }

  std::optional<std::uint64_t> size(const crypto::Digest& digest) const override {
    struct stat info {};
    if (::lstat(path(digest).c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
    return static_cast<std::uint64_t>(info.st_size);
  }

  Result<Bytes> read(const crypto::Digest& digest, std::uint64_t limit) const override {
    const auto bytes = size(digest);
    if (!bytes) return Error(Code::not_found, "there is no blob " + digest.text());
    if (*bytes > limit) return Error(Code::too_large, "blob " + digest.text() + " is larger than what is read here");
    const Fd fd(path(digest), O_RDONLY);
    if (!fd) return errno_error("opening", path(digest));
    Bytes out(*bytes);
    for (std::size_t done = 0; done < out.size();) {
      const ssize_t n = ::pread(fd.get(), out.data() + done, out.size() - done, static_cast<off_t>(done));
      if (n <= 0) return errno_error("reading", path(digest));
      done += static_cast<std::size_t>(n);
    }
    return out;
  }

  Status append(std::string_view upload, std::uint64_t offset, std::string_view bytes) override {
    const fs::path file = uploads_ / upload;
    const Fd fd(file, O_WRONLY | O_CREAT);
    if (!fd) return errno_error("opening upload", file);
    if (::ftruncate(fd.get(), static_cast<off_t>(offset)) != 0) return errno_error("cutting upload", file);
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return errno_error("writing upload", file);
      offset += static_cast<std::uint64_t>(n);
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
  }

  Status sync(std::string_view upload) override {
    const fs::path file = uploads_ / upload;
    const Fd fd(file, O_WRONLY | O_CREAT);
    if (!fd || ::fsync(fd.get()) != 0) return errno_error("syncing upload", file);
    return {};
  }

  Status finish(std::string_view upload, const crypto::Digest& digest, std::uint64_t expected) override {
    const fs::path file = uploads_ / upload;
    if (expected == 0) TRY(sync(upload));  // nothing was ever appended
    TRY_ASSIGN(const crypto::HashedFile hashed, crypto::sha256_file(file));
    if (hashed.size != expected || hashed.digest != digest) {
      drop(upload);
      if (hashed.size != expected) return Error(Code::size_mismatch, "the upload has another size than announced");
      return Error(Code::digest_mismatch, "the uploaded bytes have the digest " + hashed.digest.text());
    }
    return move_into_place(file, digest);
  }

  void drop(std::string_view upload) override {
    std::error_code ignored;
    fs::remove(uploads_ / upload, ignored);
  }

 private:
  Status move_into_place(const fs::path& file, const crypto::Digest& digest) {
    const fs::path target = path(digest);
    std::error_code error;
    const bool made = fs::create_directory(target.parent_path(), error);
    if (error) return Error(Code::io, "making " + target.parent_path().string() + ": " + error.message());
    if (made) TRY(sync_folder(blobs_));
    // link, not rename: what is there already is never replaced.
    if (::link(file.c_str(), target.c_str()) != 0 && errno != EEXIST) return errno_error("placing blob", target);
    TRY(sync_folder(target.parent_path()));
    fs::remove(file, error);
    return {};
  }

  fs::path blobs_;
  fs::path uploads_;
};

}  // namespace

Result<std::unique_ptr<Blobs>> open_blob_folder(const fs::path& folder) {
  auto blobs = std::make_unique<BlobFolder>(folder);
  TRY(blobs->prepare());
  return std::unique_ptr<Blobs>(std::move(blobs));
}

}  // namespace drover::store
