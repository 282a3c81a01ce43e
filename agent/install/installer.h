// Packages on disk: put together, shown to applications by one flipped link, and collected. Promise kept here: at any
// instant, whatever loses power, `current` leads to complete packages only.
//
// Blocking, short: names are moved, no bytes are copied. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "agent/store/layout.h"
#include "agent/update/plan.h"
#include "common/base/result.h"
#include "common/fs/files.h"
#include "common/package/manifest.h"

namespace drover::agent {

// Left free on the disk beyond what a package needs: databases, logs, and the file system itself.
inline constexpr std::uint64_t kDiskReserve = 16u << 20;

class Installer {
 public:
  Installer(fs::Files& files, Layout layout) : files_(files), layout_(std::move(layout)) {}

  // Makes the folders and removes what a crash left half done (not downloads).
  Status prepare();

  // preflight_disk, preflight_memory (the budget against what the machine has available; unknown: passes).
  Status preflight(const package::Manifest& manifest, std::uint64_t memory_budget);

  // packages/<hex> from the blobs, which have been verified. Nothing to do when it is there: then it is complete.
  Status stage(const std::string& package, const package::Manifest& manifest);

  // Folders of packages that applications find elsewhere, whether they are there at this moment or not.
  using Elsewhere = std::map<std::string, std::string>;
  // Lets `current` show exactly these packages; nothing is done when it does. activate_failed when one is not there.
  Status show(const update::Links& links, const Elsewhere& elsewhere = {});
  Result<update::Links> shown();

  // Removes packages that are neither kept nor in use, then blobs that no package holds, but those in `kept`
  // (manifests) too. `downloads`: and what is left of downloads.
  Status collect(std::span<const std::string> kept, bool downloads);

 private:
  Status stage_files(const std::string& folder, const package::Manifest& manifest);
  Status collect_packages(std::span<const std::string> kept_hex);
  Status collect_blobs(std::span<const std::string> kept_hex);
  Status collect_generations();
  Status discard(const std::string& package_folder, const std::string& hex);
  Status make_writable(const std::string& folder, int depth);
  Result<bool> in_use(const std::string& folder, int depth);
  Result<std::uint64_t> next_generation();
  Result<std::map<std::string, std::string>> shown_links();

  fs::Files& files_;
  Layout layout_;
};

}  // namespace drover::agent
