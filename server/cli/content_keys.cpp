#include "server/cli/content_keys.h"

#include <fmt/format.h>

#include "common/crypto/box_key.h"
#include "common/crypto/secret.h"
#include "common/delta/delta.h"
#include "common/fs/mapped_file.h"
#include "common/fs/memory_place.h"
#include "proto/wire/content_key.h"
#include "server/cli/files.h"

namespace drover::cli {
namespace {

namespace stdfs = std::filesystem;

constexpr std::uint64_t kLeastFile = 4096;  // bytes; below it a request costs more than what it saves
constexpr std::uint64_t kWorth = 95;        // percent of the file that a delta must stay below

// A delta on its way into memory, as long as it is worth it.
class MemorySink final : public delta::ByteSink {
 public:
  MemorySink(fs::MemoryFile& file, std::uint64_t limit) : file_(file), limit_(limit) {}
  Status write(ByteView bytes) override {
    if (bytes.size() > limit_ - std::min(limit_, file_.size()))
      return Error(Code::too_large, "the delta is hardly smaller than the file");
    return file_.append(bytes);
  }

 private:
  fs::MemoryFile& file_;
  std::uint64_t limit_;
};

// The old file as it was before it was encrypted.
Result<fs::MappedFile> open_plain(const DeltaBase& base, const crypto::ContentKey* key, const package::File& file) {
  if (!file.plain) return fs::MappedFile::open(base.release.layout.blob_path(file.digest).string());
  TRY_ASSIGN(fs::MemoryFile memory, fs::MemoryFile::create("drover-base"));
  TRY(base.release.layout.read_encrypted(file, *key, [&](ByteView part) { return memory.append(part); }));
  return fs::MappedFile::open(memory.path());  // the mapping keeps the memory
}

// Nothing: it is not worth it.
Result<std::optional<package::EncryptedBlob>> make_delta(package::Layout& layout, const fs::MappedFile& base,
                                                         const fs::MappedFile& target, const crypto::ContentKey& key) {
  TRY_ASSIGN(fs::MemoryFile memory, fs::MemoryFile::create("drover-delta"));
  MemorySink sink(memory, target.bytes().size() * kWorth / 100);
  const auto parts = delta::make_delta(base.bytes(), target.bytes(), sink);
  if (!parts && parts.error().code() == Code::too_large) return std::optional<package::EncryptedBlob>();
  if (!parts) return parts.error();
  TRY_ASSIGN(const fs::MappedFile made, fs::MappedFile::open(memory.path()));
  TRY_ASSIGN(package::EncryptedBlob blob, layout.add_encrypted(made.bytes(), key));
  return std::optional(std::move(blob));
}

// Finds what a base holds for a variant; null: no variant of that kind.
Result<std::optional<package::Manifest>> manifest_of(const DeltaBase& base, const std::string& kind) {
  const package::Variant* variant = base.release.index.index.variant(kind);
  if (variant == nullptr) return std::optional<package::Manifest>();
  TRY_ASSIGN(package::Manifest manifest, base.release.layout.read_manifest(variant->descriptor));
  return std::optional(std::move(manifest));
}

Result<const crypto::ContentKey*> key_of(const DeltaBase& base, const std::string& kind,
                                         const package::Manifest& manifest) {
  if (!manifest.confidential()) return static_cast<const crypto::ContentKey*>(nullptr);
  const package::Variant* variant = base.release.index.index.variant(kind);
  const crypto::ContentKey* key = base.keys.key(variant->descriptor.digest);
  if (key == nullptr)
    return Error(Code::unknown_key, fmt::format("the key file of {} has no key for {}",
                                                base.release.layout.folder().string(), kind));
  TRY(crypto::check_content_key(*key, manifest.content_key));
  return key;
}

Status add_deltas_from(package::Layout& layout, package::Manifest& manifest, const package::VariantSpec& files,
                       const crypto::ContentKey& key, const DeltaBase& base) {
  TRY_ASSIGN(const auto old, manifest_of(base, files.kind));
  if (!old) return {};
  TRY_ASSIGN(const crypto::ContentKey* old_key, key_of(base, files.kind, *old));
  for (const package::File& file : manifest.files) {
    const package::File* from = old->file(file.path);
    if (!file.plain || file.plain->size < kLeastFile || from == nullptr || from->content_size() == 0) continue;
    if (from->digest == file.digest || manifest.delta(file.digest, from->digest) != nullptr) continue;
    TRY_ASSIGN(const fs::MappedFile before, open_plain(base, old_key, *from));
    TRY_ASSIGN(const fs::MappedFile after, fs::MappedFile::open((files.folder / file.path).string()));
    TRY_ASSIGN(const auto blob, make_delta(layout, before, after, key));
    if (blob)
      manifest.deltas.push_back({blob->stored.digest, blob->stored.size, blob->plain, from->digest, file.digest});
  }
  return {};
}

Result<std::string> wrapping_key(Api& api) {
  TRY_ASSIGN(const Json trust, api.get("/trust"));
  const std::string key = text_of(trust, "wrapping_key");
  if (!key.empty()) return key;
  return Error(Code::unavailable,
               "the server has no wrapping key now, so that it cannot take content keys; see its setting wrapping_key");
}

}  // namespace

stdfs::path default_key_file(const stdfs::path& folder) {
  return (folder.has_filename() ? folder : folder.parent_path()).string() + ".keys";
}

Status save_content_keys(const stdfs::path& file, const package::ReleaseKeys& keys) {
  std::error_code error;
  if (stdfs::exists(file, error)) return Error(Code::already_exists, file.string() + " exists already");
  std::string text = package::print_content_keys(keys);
  Status written = write_file(file, text, 0600);
  crypto::wipe(text);
  return written;
}

Result<package::ReleaseKeys> load_content_keys(const stdfs::path& file) {
  TRY_ASSIGN(std::string text, read_file(file, package::kMaxContentKeys));
  std::error_code error;
  const auto others = stdfs::perms::group_all | stdfs::perms::others_all;
  if ((stdfs::status(file, error).permissions() & others) != stdfs::perms::none)
    return Error(Code::permission_denied, fmt::format("{} holds content keys that others may read; run: chmod 600 {}",
                                                      file.string(), file.string()));
  auto keys = package::parse_content_keys(text);
  crypto::wipe(text);
  return std::move(keys).within(file.string());
}

Result<DeltaBase> open_delta_base(const stdfs::path& folder) {
  TRY_ASSIGN(ReleaseFolder release, open_release(folder));
  DeltaBase base{std::move(release), {}};
  if (!is_confidential(base.release)) return base;
  auto keys = load_content_keys(default_key_file(folder));
  if (!keys)
    return std::move(keys).error().within(
        fmt::format("{} is encrypted, and deltas from it need its key file", folder.string()));
  base.keys = std::move(*keys);
  return base;
}

Status add_deltas(package::Layout& layout, package::Manifest& manifest, const package::VariantSpec& files,
                  const crypto::ContentKey& key, const std::vector<DeltaBase>& bases) {
  for (const DeltaBase& base : bases)
    TRY(add_deltas_from(layout, manifest, files, key, base)
            .within(fmt::format("deltas from {}", base.release.layout.folder().string())));
  return {};
}

bool is_confidential(const ReleaseFolder& release) {
  for (const package::Variant& variant : release.index.index.variants) {
    const auto manifest = release.layout.read_manifest(variant.descriptor);
    if (manifest && manifest->confidential()) return true;
  }
  return false;
}

Status hand_over_content_keys(const ReleaseFolder& release, const stdfs::path& file, Api& api) {
  const stdfs::path from = file.empty() ? default_key_file(release.layout.folder()) : file;
  TRY_ASSIGN(const package::ReleaseKeys keys, load_content_keys(from));
  TRY_ASSIGN(const std::string wrapping, wrapping_key(api));
  TRY_ASSIGN(const crypto::BoxPublicKey to, crypto::parse_box_public_key(wrapping));
  for (const package::Variant& variant : release.index.index.variants) {
    TRY_ASSIGN(const package::Manifest manifest, release.layout.read_manifest(variant.descriptor));
    if (!manifest.confidential()) continue;
    const crypto::Digest& package = variant.descriptor.digest;
    const crypto::ContentKey* key = keys.key(package);
    if (key == nullptr)
      return Error(Code::unknown_key, fmt::format("{} has no key for {} of this release", from.string(), variant.kind));
    TRY(crypto::check_content_key(*key, manifest.content_key).within(from.string()));
    wire::HandedContentKey handed;
    handed.wrapping_key = wrapping;
    handed.sealed = to_hex(crypto::seal_content_key(*key, package, to));
    TRY(api.put("/content-keys/" + part(package.text()), wire::encode(handed)).within("handing over content keys"));
  }
  return {};
}

}  // namespace drover::cli
