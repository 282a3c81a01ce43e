#include "server/cli/base_cost.h"

#include <algorithm>
#include <system_error>

#include "common/delta/delta.h"
#include "common/fs/mapped_file.h"

namespace drover::cli {
namespace {

namespace fs = std::filesystem;

class Discard final : public delta::ByteSink {
 public:
  Status write(ByteView bytes) override {
    size += bytes.size();
    return {};
  }
  std::uint64_t size = 0;
};

Result<std::uint64_t> file_cost(const package::Layout& base, const package::Manifest& held, const std::string& path,
                                ByteView content) {
  const crypto::Digest digest = crypto::sha256(content);
  const bool there =
      std::any_of(held.files.begin(), held.files.end(), [&](auto& file) { return file.digest == digest; });
  if (there) return std::uint64_t{0};
  const package::File* before = held.file(path);
  if (before == nullptr) return content.size();
  TRY_ASSIGN(const drover::fs::MappedFile old, drover::fs::MappedFile::open(base.blob_path(before->digest).string()));
  TRY_ASSIGN(const std::uint64_t delta, delta_bytes(old.bytes(), content));
  return std::min<std::uint64_t>(delta, content.size());
}

}  // namespace

Result<std::uint64_t> delta_bytes(ByteView base, ByteView target) {
  Discard sink;
  TRY(delta::make_delta(base, target, sink));
  return sink.size;
}

Result<PackageCost> package_cost(const package::Layout& base, const package::Manifest& held, const fs::path& folder,
                                 const fs::path& model_file, std::uint64_t model_delta) {
  PackageCost cost;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (!at->is_regular_file(error)) continue;
    TRY_ASSIGN(const drover::fs::MappedFile file, drover::fs::MappedFile::open(at->path().string()));
    const fs::path path = fs::relative(at->path(), folder, error);
    cost.bytes += file.bytes().size();
    if (path == model_file) {
      cost.sent += std::min<std::uint64_t>(model_delta, file.bytes().size());
      continue;
    }
    TRY_ASSIGN(const std::uint64_t sent, file_cost(base, held, path.generic_string(), file.bytes()));
    cost.sent += sent;
  }
  if (error) return Error(Code::io, folder.string() + ": " + error.message());
  return cost;
}

}  // namespace drover::cli
