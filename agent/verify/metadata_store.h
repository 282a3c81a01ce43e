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
  // one already, since it may have been replaced by newer ones.
  Status install_root(const std::string& root_file);

 private:
  std::string path(std::string_view role) const;

  fs::Files& files_;
  Layout layout_;
};

}  // namespace drover::agent
