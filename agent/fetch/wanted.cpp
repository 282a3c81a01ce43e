#include "agent/fetch/wanted.h"

#include <algorithm>

namespace drover::agent {
namespace {

// Nothing when a held package has the very file: then it is on the disk, or its disk is not to be trusted.
std::vector<std::string> bases_of(const package::File& file, std::span<const package::Manifest> held) {
  std::vector<std::string> bases;
  if (file.size < kLeastDelta) return bases;
  for (const package::Manifest& package : held) {
    const package::File* from = package.file(file.path);
    if (from == nullptr || from->size == 0) continue;
    if (from->digest == file.digest) return {};
    const std::string base = from->digest.text();
    if (std::find(bases.begin(), bases.end(), base) == bases.end()) bases.push_back(base);
  }
  return bases;
}

}  // namespace

std::vector<Wanted> wanted_files(const package::Manifest& manifest, std::span<const package::Manifest> held) {
  std::vector<Wanted> wanted;
  for (const package::File& file : manifest.files)
    wanted.push_back({file.digest.text(), file.size, bases_of(file, held)});
  return wanted;
}

}  // namespace drover::agent
