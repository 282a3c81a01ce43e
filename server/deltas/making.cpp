#include "server/deltas/making.h"

#include <algorithm>

#include "common/delta/delta.h"
#include "common/fs/mapped_file.h"
#include "common/obs/log.h"

namespace drover::deltas {
namespace {

// Writes to a file as long as it stays below `limit` and nobody wants to stop.
class FileSink final : public delta::ByteSink {
 public:
  FileSink(fs::Appender& file, std::uint64_t limit, const std::function<bool()>& stop)
      : file_(file), limit_(limit), stop_(stop) {}

  Status write(ByteView bytes) override {
    if (stop_()) return Error(Code::cancelled, "the server is stopping, or has more urgent deltas to make");
    if (bytes.size() > limit_ - file_.size())
      return Error(Code::too_large, "the delta is hardly smaller than the file");
    return file_.append(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }

 private:
  fs::Appender& file_;
  const std::uint64_t limit_;
  const std::function<bool()>& stop_;
};

// What a device would write, thrown away: apply_delta compares the digest itself.
class NoSink final : public delta::ByteSink {
 public:
  explicit NoSink(const std::function<bool()>& stop) : stop_(stop) {}
  Status write(ByteView) override {
    if (stop_()) return Error(Code::cancelled, "the server is stopping, or has more urgent deltas to make");
    return {};
  }

 private:
  const std::function<bool()>& stop_;
};

std::uint64_t worth(const Pair& pair) { return pair.base == nothing() ? kWorthPacked : kWorth; }

Result<fs::MappedFile> open_base(const Making& making, const Pair& pair) {
  if (pair.base == nothing()) return fs::MappedFile();
  return fs::MappedFile::open(making.blobs.path(pair.base).string());
}

}  // namespace

Result<Edge> encode_pair(const Making& making, const Pair& pair, const std::string& out,
                         const std::function<void(std::uint64_t)>& progress) {
  TRY_ASSIGN(const fs::MappedFile base, open_base(making, pair));
  TRY_ASSIGN(const fs::MappedFile target, fs::MappedFile::open(making.blobs.path(pair.target).string()));
  if (base.bytes().size() > kMaxFile) return Error(Code::too_large, "the base is too large");
  TRY_ASSIGN(const std::unique_ptr<fs::Appender> file, making.files.append(out, 0));
  FileSink sink(*file, target.bytes().size() * worth(pair) / 100, making.stop);
  const auto tell = [&progress](std::uint64_t done, std::uint64_t) { progress(done); };
  TRY_ASSIGN(const auto parts, delta::make_delta(base.bytes(), target.bytes(), sink, tell));
  TRY(file->sync());
  log::info("a delta is made", {{"target", pair.target.hex()},
                                {"base", pair.base == nothing() ? "none" : pair.base.hex()},
                                {"bytes", file->size()},
                                {"whole", target.bytes().size()},
                                {"parts", parts.size()}});
  return Edge{pair.base, pair.target, delta::kVersion, file->size()};
}

Status try_out(const Making& making, const Pair& pair, const std::string& path) {
  TRY_ASSIGN(const fs::MappedFile base, open_base(making, pair));
  TRY_ASSIGN(const fs::MappedFile made, fs::MappedFile::open(path));
  delta::ApplyLimits limits;
  limits.max_target = pair.target_size;
  limits.base = pair.base;
  limits.target = pair.target;
  delta::MemorySource source(made.bytes());
  NoSink sink(making.stop);
  Status tried = delta::apply_delta(source, base.bytes(), limits, sink);
  // Not "too large" of its own, which would be remembered as a fact about the files.
  if (!tried && tried.error().code() == Code::too_large) return Error(Code::internal, tried.error().message());
  return tried;
}

}  // namespace drover::deltas
