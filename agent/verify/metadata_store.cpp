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

Status DiskMetadata::save(std::string_view role, ByteView bytes) {
  return fs::write_atomic(files_, path(role), as_text(bytes));
}

Status DiskMetadata::install_root(const std::string& root_file) {
  if (fs::exists(files_, path(tuf::kRoot))) return {};
  if (root_file.empty()) return Error(Code::invalid_argument, "no trusted root: set trusted_root");
  TRY_ASSIGN(const std::string text, files_.read(root_file, tuf::kMaxRootBytes));
  return save(tuf::kRoot, as_bytes(text)).within("installing the trusted root");
}

}  // namespace drover::agent
