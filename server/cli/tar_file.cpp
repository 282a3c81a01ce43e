#include "server/cli/tar_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "server/cli/files.h"
#include "server/cli/human.h"

namespace drover::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlock = 512;
constexpr std::size_t kBuffer = 256 * 1024;
constexpr std::uint64_t kMaxOctalSize = 077777777777;  // 8 GiB - 1; above it the base-256 form of GNU and Go
constexpr std::uint64_t kMaxExtension = 64 * 1024;     // a pax header that we skip

using Header = std::array<char, kBlock>;

// Offsets of POSIX.1-1988 ustar.
struct FieldAt {
  std::size_t at, size;
};
constexpr FieldAt kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kTime{136, 12},
    kSum{148, 8}, kMagic{257, 8}, kPrefix{345, 155};
constexpr std::size_t kTypeAt = 156;

class OwnedFd {
 public:
  explicit OwnedFd(int fd) : fd_(fd) {}
  ~OwnedFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Error system_error(const fs::path& path, int error) {
  return Error(error == ENOSPC   ? Code::disk_full
               : error == ENOENT ? Code::not_found
                                 : Code::io,
               path.string() + ": " + std::strerror(error));
}

void put_octal(Header& header, FieldAt field, std::uint64_t value) {
  const std::string text = fmt::format("{:0{}o}", value, field.size - 1);
  std::copy_n(text.begin(), std::min(text.size(), field.size - 1),
              header.begin() + static_cast<std::ptrdiff_t>(field.at));
}

void put_size(Header& header, std::uint64_t value) {
  if (value <= kMaxOctalSize) return put_octal(header, kSize, value);
  header[kSize.at] = static_cast<char>(0x80);
  for (std::size_t i = 0; i < 8; ++i) header[kSize.at + kSize.size - 1 - i] = static_cast<char>(value >> (8 * i) & 255);
}

std::uint64_t checksum(const Header& header) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i)
    sum += i >= kSum.at && i < kSum.at + kSum.size ? ' ' : static_cast<unsigned char>(header[i]);
  return sum;
}

Header make_header(const std::string& name, std::uint64_t size) {
  Header header{};
  std::copy(name.begin(), name.end(), header.begin());
  put_octal(header, kMode, 0644);
  put_octal(header, kUid, 0);
  put_octal(header, kGid, 0);
  put_size(header, size);
  put_octal(header, kTime, 0);
  header[kTypeAt] = '0';
  std::memcpy(header.data() + kMagic.at, "ustar\00000", kMagic.size);
  const std::string sum = fmt::format("{:06o}", checksum(header));
  std::memcpy(header.data() + kSum.at, sum.c_str(), sum.size() + 1);
  header[kSum.at + 7] = ' ';
  return header;
}

Status write_all(int fd, const char* data, std::size_t size, const fs::path& path) {
  while (size > 0) {
    const ssize_t written = ::write(fd, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error(path, errno);
    data += written;
    size -= static_cast<std::size_t>(written);
  }
  return {};
}

// Exactly `size` bytes; malformed at an early end.
Status read_exactly(int fd, char* data, std::size_t size, const fs::path& path) {
  while (size > 0) {
    const ssize_t got = ::read(fd, data, size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(path, errno);
    if (got == 0) return Error(Code::malformed, path.string() + ": ends in the middle");
    data += got;
    size -= static_cast<std::size_t>(got);
  }
  return {};
}

// `size` bytes from one to the other; `to` -1 drops them.
Status copy_bytes(int from, int to, std::uint64_t size, const fs::path& source, const fs::path& target,
                  const Moved& moved) {
  std::vector<char> buffer(kBuffer);
  while (size > 0) {
    const std::size_t take = static_cast<std::size_t>(std::min<std::uint64_t>(size, buffer.size()));
    TRY(read_exactly(from, buffer.data(), take, source));
    if (to >= 0) TRY(write_all(to, buffer.data(), take, target));
    moved(take);
    size -= take;
  }
  return {};
}

std::uint64_t padding(std::uint64_t size) { return (kBlock - size % kBlock) % kBlock; }

Status write_member(int out, const fs::path& folder, const std::string& name, const fs::path& target,
                    const Moved& moved) {
  const fs::path path = folder / name;
  const OwnedFd in(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (in.get() < 0) return system_error(path, errno);
  const off_t size = ::lseek(in.get(), 0, SEEK_END);
  if (size < 0 || ::lseek(in.get(), 0, SEEK_SET) != 0) return system_error(path, errno);
  const auto bytes = static_cast<std::uint64_t>(size);
  const Header header = make_header(name, bytes);
  TRY(write_all(out, header.data(), header.size(), target));
  TRY(copy_bytes(in.get(), out, bytes, path, target, moved));
  const Header zeros{};
  return write_all(out, zeros.data(), static_cast<std::size_t>(padding(bytes)), target);
}

Result<std::vector<std::string>> members_of(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().lexically_relative(folder).generic_string();
    if (at->is_symlink(error)) return Error(Code::unsafe_path, name + ": is a link");
    if (at->is_regular_file(error) && is_layout_member(name)) names.push_back(name);
  }
  if (error) return Error(Code::io, folder.string() + ": " + error.message());
  std::sort(names.begin(), names.end());
  return names;
}

Status write_members(int out, const fs::path& folder, const fs::path& target, const Moved& moved) {
  TRY_ASSIGN(const std::vector<std::string> names, members_of(folder));
  for (const std::string& name : names) TRY(write_member(out, folder, name, target, moved));
  const std::array<char, 2 * kBlock> end{};
  TRY(write_all(out, end.data(), end.size(), target));
  if (::fsync(out) != 0 && errno != EINVAL) return system_error(target, errno);
  return {};
}

struct Member {
  std::string name;
  char type = 0;
  std::uint64_t size = 0;
};

std::string field_text(const Header& header, FieldAt field) {
  const char* begin = header.data() + field.at;
  return std::string(begin, std::find(begin, begin + field.size, '\0'));
}

Result<std::uint64_t> read_number(const Header& header, FieldAt field) {
  std::uint64_t value = 0;
  if ((static_cast<unsigned char>(header[field.at]) & 0x80) != 0) {
    for (std::size_t i = 1; i < field.size; ++i) {
      if (value >> 54 != 0) return Error(Code::too_large, "a size is beyond every bound");
      value = value << 8 | static_cast<unsigned char>(header[field.at + i]);
    }
    return value;
  }
  for (char c : field_text(header, field)) {
    if (c == ' ') continue;
    if (c < '0' || c > '7') return Error(Code::malformed, "a number is not octal");
    value = value << 3 | static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

Result<Member> parse_header(const Header& header) {
  const auto sum = read_number(header, kSum);
  if (!sum || *sum != checksum(header))
    return Error(Code::malformed, "is no tar file, or is damaged (checksum of a header)");
  Member member;
  member.name = field_text(header, kName);
  const bool ustar = std::memcmp(header.data() + kMagic.at, "ustar\0", 6) == 0;
  if (const std::string prefix = ustar ? field_text(header, kPrefix) : ""; !prefix.empty())
    member.name = prefix + "/" + member.name;
  member.type = header[kTypeAt];
  TRY_ASSIGN(member.size, read_number(header, kSize));
  if (member.name.starts_with("./")) member.name.erase(0, 2);
  return member;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return text;
}

class Reader {
 public:
  Reader(int in, const fs::path& file, const fs::path& folder, const Moved& moved)
      : in_(in), file_(file), folder_(folder), moved_(moved) {}

  Status run() {
    for (std::size_t count = 0; count < kMaxTarMembers; ++count) {
      Header header;
      TRY(read_exactly(in_, header.data(), header.size(), file_));
      if (std::all_of(header.begin(), header.end(), [](char c) { return c == 0; })) return {};
      TRY_ASSIGN(const Member member, parse_header(header).within(file_.string()));
      TRY(take(member).within(fmt::format("{}: {}", file_.string(), printable(member.name))));
    }
    return Error(Code::too_large, file_.string() + ": holds too many files");
  }

 private:
  Status take(const Member& member) {
    if (member.type == 'x' || member.type == 'g') {  // times and owners, mostly; names that need it are none of ours
      if (member.size > kMaxExtension) return Error(Code::too_large, "an extended header is too large");
      return copy_bytes(in_, -1, member.size + padding(member.size), file_, file_, [](std::uint64_t) {});
    }
    if (member.type == '5') return check_folder(member);
    if (member.type != '0' && member.type != '\0') return Error(Code::unsafe_path, "is a link or a special file");
    if (!is_layout_member(member.name)) return Error(Code::unsafe_path, "is no file of a release");
    if (!seen_.insert(lower(member.name)).second) return Error(Code::unsafe_path, "stands twice");
    TRY(make_folder((folder_ / member.name).parent_path()));
    const fs::path target = folder_ / member.name;
    const OwnedFd out(::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (out.get() < 0) return system_error(target, errno);
    TRY(copy_bytes(in_, out.get(), member.size, file_, target, moved_));
    return copy_bytes(in_, -1, padding(member.size), file_, file_, [](std::uint64_t) {});
  }

  static Status check_folder(const Member& member) {
    std::string name = member.name;
    while (name.ends_with('/')) name.pop_back();
    if (name == "blobs" || name == "blobs/sha256" || name == "drover" || name == "." || name.empty()) return {};
    return Error(Code::unsafe_path, "is no folder of a release");
  }

  int in_;
  const fs::path& file_;
  const fs::path& folder_;
  const Moved& moved_;
  std::set<std::string> seen_;
};

}  // namespace

bool is_layout_member(std::string_view name) {
  constexpr std::string_view kBlobs = "blobs/sha256/", kOurs = "drover/";
  if (name == "oci-layout" || name == "index.json") return true;
  if (name.starts_with(kBlobs)) {
    name.remove_prefix(kBlobs.size());
    return name.size() == 64 && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  }
  if (!name.starts_with(kOurs) || !name.ends_with(".json") || name.size() > kName.size) return false;
  name.remove_prefix(kOurs.size());
  return name.front() != '.' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-") == std::string_view::npos;
}

Status write_tar(const fs::path& folder, const fs::path& file, const Moved& moved) {
  const fs::path beside = file.string() + ".part";
  const OwnedFd out(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (out.get() < 0) return system_error(file, errno);
  Status written = write_members(out.get(), folder, file, moved);
  if (written && ::rename(beside.c_str(), file.c_str()) != 0) written = system_error(file, errno);
  if (!written) ::unlink(beside.c_str());
  return written;
}

Status read_tar(const fs::path& file, const fs::path& folder, const Moved& moved) {
  std::error_code error;
  if (fs::exists(folder, error)) return Error(Code::already_exists, folder.string() + " exists already");
  const OwnedFd in(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.get() < 0) return system_error(file, errno);
  TRY(make_folder(folder));
  Status read = Reader(in.get(), file, folder, moved).run();
  if (!read) fs::remove_all(folder, error);
  return read;
}

}  // namespace drover::cli
