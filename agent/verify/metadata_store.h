// Trusted TUF metadata on disk: metadata/<role>.json, exactly as received.
#pragma once

#include <string>

#include "agent/store/layout.h"
#include "common/fs/files.h"
#include "common/tuf/refresh.h"

namespace drover::agent {

class DiskMetadata final : public tuf::MetadataStore {
 public:
  // `files` must outlive the object.
  DiskMetadata(fs::Files& files, Layout layout) : files_(files), layout_(std::move(layout)) {}
  Result<Bytes> load(std::string_view role) override;
  Status save(std::string_view role, ByteView bytes) override;

  // At first start: the root that came with the device becomes the one that is trusted. Nothing happens when there is
  // one already, since it may have been replaced by newer ones. The file's name is kept for restore_root().
  Status install_root(const std::string& root_file);

  // The trusted root on the disk does not serve (bit rot: it is written atomically): the copy that was written with it
  // takes its place, and where that does not serve either, the root that came with the device, from which the chain is
  // walked again. The fault of the last one that was tried when none serves.
  Status restore_root(WallTime now, tuf::ForeignVerify foreign);

 private:
  std::string path(std::string_view role) const;
  std::string copy_of_root() const;

  fs::Files& files_;
  Layout layout_;
  std::string root_file_;
};

}  // namespace drover::agent
