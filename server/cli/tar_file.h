// A release folder as one file: plain POSIX tar, as `skopeo` reads and writes it (oci-archive:). Writing gives equal
// bytes for equal folders. Reading takes regular files and folders with the names of an OCI layout and refuses
// everything else: links, devices, "..", absolute paths, a name twice (case aside), more than the bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>

#include "common/base/result.h"

namespace drover::cli {

inline constexpr std::size_t kMaxTarMembers = 300'000;  // 256 variants of 1000 files, and some

using Moved = std::function<void(std::uint64_t bytes)>;

// Every regular file below `folder`, sorted. `file` is written beside and renamed.
Status write_tar(const std::filesystem::path& folder, const std::filesystem::path& file, const Moved& moved);

// Into `folder`, which is made and must not exist; taken away again after an error. Errors: malformed, unsafe_path,
// too_large, io, disk_full.
Status read_tar(const std::filesystem::path& file, const std::filesystem::path& folder, const Moved& moved);

// Names that may stand in it: oci-layout, index.json, blobs/sha256/<64 hex>, drover/<name>.json.
bool is_layout_member(std::string_view name);

}  // namespace drover::cli
