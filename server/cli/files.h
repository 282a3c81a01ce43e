// The few things that the tool does with files of people: bounded reading, careful writing.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace drover::cli {

inline constexpr std::size_t kMaxDocument = 8u << 20;  // metadata, specs and lists that people hand over

// "-" is standard input. Errors: not_found, io, too_large, each with the path.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit = kMaxDocument);

// Writes beside, syncs and renames: the file is the old one or the new one. `mode` as chmod's.
Status write_file(const std::filesystem::path& path, std::string_view content, unsigned mode = 0644);

// With parents; `mode` for the last one only. An existing folder stays as it is.
Status make_folder(const std::filesystem::path& path, unsigned mode = 0755);

}  // namespace drover::cli
