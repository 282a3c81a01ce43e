#include "agent/fetch/wanted.h"

namespace drover::agent {
namespace {

// Nothing when a held package has the very file: then it is on the disk, or its disk is not to be trusted.
std::string base_of(const package::File& file, std::span<const package::Manifest> held) {
  std::string base;
  if (file.size < kLeastDelta) return base;
  for (const package::Manifest& package : held) {
    const package::File* from = package.file(file.path);
    if (from == nullptr || from->size == 0) continue;
    if (from->digest == file.digest) return "";
    if (base.empty()) base = from->digest.text();
  }
  return base;
}

}  // namespace

std::vector<Wanted> wanted_files(const package::Manifest& manifest, std::span<const package::Manifest> held) {
  std::vector<Wanted> wanted;
  for (const package::File& file : manifest.files)
    wanted.push_back({file.digest.text(), file.size, base_of(file, held)});
  return wanted;
}

}  // namespace drover::agent
