// The files of drover delta make, apply and inspect.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "common/delta/delta.h"
#include "common/fs/guarded_file.h"

namespace drover::cli {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using Stream = std::unique_ptr<std::FILE, CloseFile>;

// A delta, read once from front to back: it may come out of a pipe.
class FileSource final : public delta::ByteSource {
 public:
  // Errors: not_found, io.
  static Result<FileSource> open(const std::string& path);
  // The header, which read() gives once more.
  Result<delta::DeltaHeader> header();
  Status read(std::span<std::uint8_t> out) override;

 private:
  FileSource(Stream file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  Stream file_;
  std::string path_;
  Bytes again_;  // read already, to be read again
};

// Written beside the path and renamed at the end: a failure leaves what was there, and nothing beside it.
class FileSink final : public delta::ByteSink {
 public:
  explicit FileSink(std::string path) : path_(std::move(path)), part_(path_ + ".part") {}
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;
  ~FileSink() override;
  Status write(ByteView bytes) override;
  // The bytes are there under the name of part(), to be looked at before they take their place.
  Status close();
  Status finish();
  const std::string& part() const { return part_; }
  std::uint64_t written = 0;

 private:
  Error failure();
  std::string path_, part_;
  Stream file_;
  bool closed_ = false;
};

// A base of "-" or "" is none.
Result<fs::GuardedFile> open_base(const std::string& path);

}  // namespace drover::cli
