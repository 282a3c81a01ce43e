#include "agent/vault/opening.h"

#include <optional>

namespace drover::agent {

struct Opening::Current {
  std::unique_ptr<fs::Reader> reader;
  std::unique_ptr<PlainFile> out;
  std::optional<crypto::StreamDecryptor> decryptor;  // none: the file is not encrypted
  std::uint64_t offset = 0;
};

Opening::Opening(fs::Files& files, std::string folder, package::Manifest manifest, crypto::ContentKey key,
                 MakePlainFile make)
    : files_(files),
      folder_(std::move(folder)),
      manifest_(std::move(manifest)),
      key_(std::move(key)),
      make_(std::move(make)) {}

Opening::~Opening() = default;

Status Opening::begin() {
  const package::File& file = manifest_.files[next_];
  auto current = std::make_unique<Current>();
  TRY_ASSIGN(current->reader, files_.open(folder_ + "/" + file.path, fs::Cache::use));
  TRY_ASSIGN(current->out, make_(file));
  PlainFile* out = current->out.get();
  if (file.plain) current->decryptor.emplace(key_, *file.plain, [out](ByteView part) { return out->append(part); });
  current_ = std::move(current);
  return {};
}

Status Opening::end() {
  if (current_->decryptor) TRY(current_->decryptor->finish());
  TRY(current_->out->finish());
  current_.reset();
  ++next_;
  return {};
}

Result<bool> Opening::step() {
  if (next_ == manifest_.files.size()) return true;
  const std::string& path = manifest_.files[next_].path;
  if (!current_) TRY(begin().within(path));
  TRY_ASSIGN(const std::size_t got, current_->reader->read(current_->offset, block_));
  current_->offset += got;
  const ByteView bytes = as_bytes(std::string_view(block_.data(), got));
  if (got == 0)
    TRY(end().within(path));
  else if (current_->decryptor)
    TRY(current_->decryptor->write(bytes).within(path));
  else
    TRY(current_->out->append(bytes).within(path));
  return next_ == manifest_.files.size();
}

}  // namespace drover::agent
