// A confidential package becoming plain text in memory, block by block, so that whoever runs it may do other things between.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/crypto/content_key.h"
#include "common/crypto/file_stream.h"
#include "common/fs/files.h"
#include "common/fs/memory_place.h"
#include "common/package/manifest.h"

namespace drover::agent {

inline constexpr std::size_t kOpenBlock = 256 * 1024;  // some hundred microseconds of work on a small processor

// Where one file's plain text goes.
class PlainFile {
 public:
  virtual ~PlainFile() = default;
  virtual Status append(ByteView bytes) = 0;
  virtual Status finish() = 0;
};
// For the file of that path within the package.
using MakePlainFile = std::function<Result<std::unique_ptr<PlainFile>>(const package::File& file)>;

class Opening {
 public:
  // `files` must outlive the object. `folder`: the complete package on the disk.
  Opening(fs::Files& files, std::string folder, package::Manifest manifest, crypto::ContentKey key, MakePlainFile make);
  ~Opening();

  // One block. True: every file is there, and is what was signed. digest_mismatch, disk_full, io.
  Result<bool> step();

 private:
  struct Current;
  Status begin();
  Status end();

  fs::Files& files_;
  std::string folder_;
  package::Manifest manifest_;
  crypto::ContentKey key_;
  MakePlainFile make_;
  std::size_t next_ = 0;  // file
  std::unique_ptr<Current> current_;
  std::vector<char> block_ = std::vector<char>(kOpenBlock);
};

}  // namespace drover::agent
