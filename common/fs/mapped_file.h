// A file as memory, for reading in place: it costs address space, not memory of its own.
#pragma once

#include <string>

#include "common/base/bytes.h"
#include "common/base/result.h"

namespace drover::fs {

class MappedFile {
 public:
  // Errors: not_found, io; unsafe_path for anything but a regular file. The file must not shrink while it is mapped.
  static Result<MappedFile> open(const std::string& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  ByteView bytes() const { return bytes_; }

 private:
  ByteView bytes_;
};

}  // namespace drover::fs
