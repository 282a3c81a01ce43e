#include "server/cli/delta_files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace drover::cli {
namespace {

// Keeps what it reads.
class Recorder final : public delta::ByteSource {
 public:
  explicit Recorder(delta::ByteSource& source) : source_(source) {}
  Status read(std::span<std::uint8_t> out) override {
    TRY(source_.read(out));
    seen.insert(seen.end(), out.begin(), out.end());
    return {};
  }
  Bytes seen;

 private:
  delta::ByteSource& source_;
};

}  // namespace

Result<FileSource> FileSource::open(const std::string& path) {
  Stream file(std::fopen(path.c_str(), "rb"));
  if (!file) return Error(errno == ENOENT ? Code::not_found : Code::io, path + ": " + std::strerror(errno));
  return FileSource(std::move(file), path);
}

Result<delta::DeltaHeader> FileSource::header() {
  Recorder recorder(*this);
  delta::NumberReader numbers(recorder);
  auto header = delta::read_header(numbers);
  again_.insert(again_.begin(), recorder.seen.begin(), recorder.seen.end());
  if (!header) return std::move(header).error().within(path_);
  return header;
}

Status FileSource::read(std::span<std::uint8_t> out) {
  const auto kept = static_cast<std::ptrdiff_t>(std::min(out.size(), again_.size()));
  std::copy_n(again_.begin(), kept, out.begin());
  again_.erase(again_.begin(), again_.begin() + kept);
  out = out.subspan(static_cast<std::size_t>(kept));
  if (std::fread(out.data(), 1, out.size(), file_.get()) == out.size()) return {};
  return Error(Code::malformed, path_ + ": the delta is cut short");
}

FileSink::~FileSink() {
  if (!file_ && !closed_) return;
  file_.reset();
  std::remove(part_.c_str());
}

Status FileSink::write(ByteView bytes) {
  if (!file_) file_.reset(std::fopen(part_.c_str(), "wb"));
  if (!file_ || std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size()) return failure();
  written += bytes.size();
  return {};
}

Status FileSink::close() {
  TRY(write({}));
  closed_ = true;
  if (std::fclose(file_.release()) != 0) return failure();
  return {};
}

Status FileSink::finish() {
  if (!closed_) TRY(close());
  if (std::rename(part_.c_str(), path_.c_str()) != 0) return failure();
  closed_ = false;
  return {};
}

Error FileSink::failure() {
  return Error(errno == ENOSPC ? Code::disk_full : Code::io, part_ + ": " + std::strerror(errno));
}

Result<fs::GuardedFile> open_base(const std::string& path) {
  if (path.empty() || path == "-") return fs::GuardedFile();
  return fs::GuardedFile::open(path);
}

}  // namespace drover::cli
