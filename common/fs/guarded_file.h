// A mapped file that others may shorten while it is read: for the tools of people, whose files nobody keeps still.
//
// A page that is gone raises SIGBUS, which ends a process. Here it reads as zeros instead, from then on and to the end
// of the file, and whole() says so: whoever reads to the end and then asks has either all of the file or an error. The
// handler of SIGBUS is installed with the first file and stays; faults that are not in a guarded file go to what was
// there before it. Any thread may read.
#pragma once

#include <string>

#include "common/fs/mapped_file.h"

namespace drover::fs {

// Open at once in a process: a tool reads two or three. Slots, so that a handler can look at them.
inline constexpr std::size_t kMaxGuarded = 16;

class GuardedFile {
 public:
  // Errors: those of MappedFile::open; unavailable when kMaxGuarded are open.
  static Result<GuardedFile> open(const std::string& path);
  GuardedFile() = default;  // empty, and whole
  GuardedFile(GuardedFile&& other) noexcept;
  GuardedFile& operator=(GuardedFile&& other) noexcept;
  ~GuardedFile();

  ByteView bytes() const { return file_.bytes(); }
  // io when some of what was read was no longer there. (Another change of the content is for a digest to find.)
  Status whole() const;

 private:
  static constexpr std::size_t kNone = kMaxGuarded;
  MappedFile file_;
  std::string path_;
  std::size_t slot_ = kNone;
};

}  // namespace drover::fs
