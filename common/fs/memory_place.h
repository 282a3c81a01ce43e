// Places for what must never reach a disk: files without a name in memory, and the question whether a folder lies in
// memory. Linux; memory may still be swapped out, which disk_swap() tells.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace drover::fs {

// A file in memory (memfd). Gone with its last descriptor and mapping. Movable only.
class MemoryFile {
 public:
  // `name` is for people who look into /proc. Errors: io, disk_full (no memory for it).
  static Result<MemoryFile> create(const std::string& name);
  MemoryFile(MemoryFile&& other) noexcept;
  MemoryFile& operator=(MemoryFile&& other) noexcept;
  ~MemoryFile();

  Status append(ByteView bytes);
  // Nobody changes it any more, whatever descriptor he has.
  Status seal();

  std::uint64_t size() const { return size_; }
  int descriptor() const { return fd_; }
  // "/proc/<this process>/fd/<n>": opens it, in this process and in others of the same user, while this object lives.
  std::string path() const;

 private:
  explicit MemoryFile(int fd) : fd_(fd) {}
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

// The folder lies in a tmpfs or ramfs. not_found, io.
Result<bool> is_memory_folder(const std::string& folder);

// The first device or file to which the system swaps that is no compressed memory, out of the text of /proc/swaps; empty
// for none. Pure.
std::string disk_swap(std::string_view proc_swaps);

}  // namespace drover::fs
