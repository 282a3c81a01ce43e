// Content keys in people's hands: the key file of a release, and the encrypted deltas from releases whose keys are at hand.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/package/content_keys.h"
#include "server/cli/api.h"
#include "server/cli/release_commands.h"

namespace drover::cli {

// Beside the release folder, never in it: the folder travels.
std::filesystem::path default_key_file(const std::filesystem::path& release_folder);
// Mode 0600; already_exists.
Status save_content_keys(const std::filesystem::path& file, const package::ReleaseKeys& keys);
// permission_denied for a file that others may read.
Result<package::ReleaseKeys> load_content_keys(const std::filesystem::path& file);

// A release from which deltas are made, with its keys when it is encrypted.
struct DeltaBase {
  ReleaseFolder release;
  package::ReleaseKeys keys;
};
Result<DeltaBase> open_delta_base(const std::filesystem::path& folder);

// For each encrypted file of `manifest` that a base has otherwise under the same path: their delta, encrypted with the new
// key, when it is worth it. `files` is where the new files lie in the clear.
Status add_deltas(package::Layout& layout, package::Manifest& manifest, const package::VariantSpec& files,
                  const crypto::ContentKey& key, const std::vector<DeltaBase>& bases);

bool is_confidential(const ReleaseFolder& release);
// Seals each variant's key to the server's wrapping key and hands it over. `file` empty: the default one.
Status hand_over_content_keys(const ReleaseFolder& release, const std::filesystem::path& file, Api& api);

}  // namespace drover::cli
