#include "agent/verify/metadata_store.h"

#include "common/tuf/verify.h"

namespace drover::agent {

std::string DiskMetadata::path(std::string_view role) const {
  return layout_.metadata() + "/" + tuf::encode_role_name(role) + ".json";
}

Result<Bytes> DiskMetadata::load(std::string_view role) {
  TRY_ASSIGN(const std::string text, files_.read(path(role), tuf::kMaxTargetsBytes));
  const ByteView bytes = as_bytes(text);
  return Bytes(bytes.begin(), bytes.end());
}

std::string DiskMetadata::copy_of_root() const { return layout_.metadata() + "/root.copy"; }

Status DiskMetadata::save(std::string_view role, ByteView bytes) {
  TRY(fs::write_atomic(files_, path(role), as_text(bytes)));
  return role == tuf::kRoot ? fs::write_atomic(files_, copy_of_root(), as_text(bytes)) : Status();
}

Status DiskMetadata::restore_root(WallTime now, tuf::ForeignVerify foreign) {
  Status fault = Error(Code::not_found, "there is no other root to go back to");
  for (const std::string& file : {copy_of_root(), root_file_}) {
    if (file.empty()) continue;
    const auto text = files_.read(file, tuf::kMaxRootBytes);
    if (!text) {
      fault = text.error();
      continue;
    }
    const auto serves = tuf::TrustedSet::create(as_bytes(*text), now, foreign);
    if (serves) return save(tuf::kRoot, as_bytes(*text));
    fault = serves.error();
  }
  return fault;
}

Status DiskMetadata::install_root(const std::string& root_file) {
  root_file_ = root_file;
  if (fs::exists(files_, path(tuf::kRoot))) return {};
  if (root_file.empty()) return Error(Code::invalid_argument, "no trusted root: set trusted_root");
  TRY_ASSIGN(const std::string text, files_.read(root_file, tuf::kMaxRootBytes));
  return save(tuf::kRoot, as_bytes(text)).within("installing the trusted root");
}

}  // namespace drover::agent
