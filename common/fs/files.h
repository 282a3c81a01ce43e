// The seam for files that must survive. Two implementations keep one contract (tests/contract/fs): the machine's file
// system, and one in memory that loses at a power cut what was not synced.
//
// Durability: a file's bytes are durable after Appender::sync(), a change of names (make, rename, link, remove) after
// sync_folder() of the folder in which the name stands. A rename replaces its target in one step.
// Paths are absolute or relative to the working directory; links in the last component are never followed, except by
// open() and read() where a comment says so.
// Errors: not_found, already_exists, permission_denied, disk_full, too_large, io.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace drover::fs {

enum class Kind : std::uint8_t { file, folder, link, other };

struct Info {
  Kind kind = Kind::other;
  std::uint64_t size = 0;
  std::uint32_t mode = 0;   // permission bits
  std::uint64_t links = 1;  // names of a file
};

// A file that grows at its end. One at a time for a path.
class Appender {
 public:
  virtual ~Appender() = default;
  virtual Status append(std::string_view bytes) = 0;
  virtual Status sync() = 0;  // the bytes so far are durable
  virtual std::uint64_t size() const = 0;
};

class Reader {
 public:
  virtual ~Reader() = default;
  // Up to out.size() bytes from `offset`; fewer only at the end of the file.
  virtual Result<std::size_t> read(std::uint64_t offset, std::span<char> out) = 0;
};

// Held until destroyed, or until the process ends, however it ends.
class Lock {
 public:
  virtual ~Lock() = default;
};

enum class Cache : std::uint8_t {
  use,
  drop,  // reads what the disk holds, not what memory remembers, as far as the system allows
};

class Files {
 public:
  virtual ~Files() = default;

  virtual Result<Info> info(const std::string& path) = 0;
  virtual Result<std::vector<std::string>> list(const std::string& folder) = 0;  // names, sorted
  // Whole small file; too_large over `limit`. Follows links in the folders of the path.
  virtual Result<std::string> read(const std::string& path, std::size_t limit) = 0;
  virtual Result<std::string> read_link(const std::string& path) = 0;
  virtual Result<std::unique_ptr<Reader>> open(const std::string& path, Cache cache) = 0;

  // Creates the file when absent (mode 0600), cuts it to its first `keep` bytes when longer.
  virtual Result<std::unique_ptr<Appender>> append(const std::string& path, std::uint64_t keep) = 0;
  virtual Status make_folder(const std::string& path) = 0;  // mode 0755; an existing folder is fine
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status hard_link(const std::string& from, const std::string& to) = 0;    // already_exists
  virtual Status symlink(const std::string& target, const std::string& path) = 0;  // already_exists
  virtual Status remove(const std::string& path) = 0;  // file, link or empty folder; absent is fine
  virtual Status set_mode(const std::string& path, std::uint32_t mode) = 0;
  virtual Status sync_folder(const std::string& path) = 0;

  virtual Result<std::uint64_t> free_space(const std::string& path) = 0;  // bytes for an ordinary user
  virtual Result<std::string> boot_id() = 0;                              // another one after each boot
  // conflict when another process holds it.
  virtual Result<std::unique_ptr<Lock>> lock(const std::string& path) = 0;
  // Some process has the file open or mapped. False where the system cannot tell.
  virtual Result<bool> in_use(const std::string& file) = 0;
};

// The machine's own. Lives for the whole process.
Files& system_files();

// --- made of the above
// --------------------------------------------------------------------------------------------------
bool exists(Files& files, const std::string& path);
// After a crash the file holds the old bytes or the new ones. Durable when it returns. Uses <path>.tmp beside it.
Status write_atomic(Files& files, const std::string& path, std::string_view bytes, std::uint32_t mode = 0644);
// After a crash the link leads to its old target or to the new one. Durable when it returns. Uses <path>.tmp beside it.
Status flip_link(Files& files, const std::string& target, const std::string& path);
// Folders are emptied first; links are removed, never followed. Absent is fine. At most kMaxTreeDepth deep.
inline constexpr int kMaxTreeDepth = 24;  // a package is at most 16 deep
Status remove_tree(Files& files, const std::string& path);
// "a/b/c" -> "a/b"; "a" -> ".".
std::string parent(const std::string& path);

}  // namespace drover::fs
