// What every device will look at, looked at before anybody sees the release.
#include "common/package/manifest.h"
#include "server/api/journey/publish.h"

namespace drover::api {
namespace {

Status check_blob(const store::Blobs& blobs, const crypto::Digest& digest, std::uint64_t size, std::string_view what) {
  const auto there = blobs.size(digest);
  if (!there) return Error(Code::not_found, std::string(what) + ": blob " + digest.text() + " was not uploaded");
  if (*there != size)
    return Error(Code::size_mismatch, std::string(what) + ": blob " + digest.text() + " has " + std::to_string(*there) +
                                          " bytes, not " + std::to_string(size));
  return {};
}

Result<store::VariantRow> check_variant(const store::Blobs& blobs, const package::Variant& variant) {
  TRY(check_blob(blobs, variant.descriptor.digest, variant.descriptor.size, "manifest"));
  TRY_ASSIGN(const Bytes bytes, blobs.read(variant.descriptor.digest, package::kMaxDocumentBytes));
  TRY_ASSIGN(const package::Manifest manifest, package::parse_manifest(bytes));
  TRY(check_blob(blobs, manifest.config.digest, manifest.config.size, "config"));
  for (const package::File& file : manifest.files) TRY(check_blob(blobs, file.digest, file.size, file.path));
  for (const package::DeltaFile& delta : manifest.deltas) TRY(check_blob(blobs, delta.digest, delta.size, "a delta"));
  store::VariantRow row;
  row.kind = variant.kind;
  row.architecture = variant.architecture;
  row.precision = variant.precision;
  row.manifest = variant.descriptor.digest.text();
  row.bytes = static_cast<std::int64_t>(manifest.total_bytes());
  row.encrypted = manifest.confidential();
  return row;
}

Result<CheckedRelease> check(const store::Blobs& blobs, std::string_view model, const release::Listed& listed) {
  TRY_ASSIGN(const crypto::Digest digest, crypto::Digest::parse_hex(listed.sha256));
  TRY(check_blob(blobs, digest, static_cast<std::uint64_t>(listed.length), "index"));
  TRY_ASSIGN(const Bytes bytes, blobs.read(digest, package::kMaxDocumentBytes));
  TRY_ASSIGN(const package::Index index, package::parse_index(bytes));
  if (index.model != model || index.version != listed.version)
    return Error(Code::target_mismatch, "the index is of " + index.model + "/" + index.version);
  CheckedRelease out;
  out.row.model = model;
  out.row.version = listed.version;
  out.row.index_digest = digest.text();
  out.row.index_size = listed.length;
  out.row.release_counter = listed.release_counter;
  std::vector<std::string> kinds = index.kinds();
  std::sort(kinds.begin(), kinds.end());
  if (kinds != listed.kinds) return Error(Code::target_mismatch, "the index has other kinds than the metadata lists");
  for (const package::Variant& variant : index.variants) {
    TRY_ASSIGN(store::VariantRow row, check_variant(blobs, variant).within(variant.kind));
    out.row.variants.push_back(std::move(row));
  }
  return out;
}

}  // namespace

Result<CheckedRelease> check_release(const store::Blobs& blobs, std::string_view model, const release::Listed& listed) {
  std::string name(model);
  name += '/';
  name += listed.version;
  return check(blobs, model, listed).within(name);
}

}  // namespace drover::api
