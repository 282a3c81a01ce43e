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

std::optional<SealedDelta> sealed_delta(const package::Manifest& manifest, const package::File& file,
                                        std::span<const package::Manifest> held) {
  for (std::size_t i = 0; i < held.size(); ++i) {
    const package::File* from = held[i].file(file.path);
    const package::DeltaFile* delta = from == nullptr ? nullptr : manifest.delta(file.digest, from->digest);
    if (delta != nullptr) return SealedDelta{*delta, file, *from, i};
  }
  return std::nullopt;
}

}  // namespace

std::vector<Wanted> wanted_files(const package::Manifest& manifest, std::span<const package::Manifest> held) {
  std::vector<Wanted> wanted;
  for (const package::File& file : manifest.files) {
    Wanted one{file.digest.text(), file.size, bases_of(file, held), file.plain.has_value()};
    if (one.encrypted && !one.bases.empty()) one.sealed = sealed_delta(manifest, file, held);
    wanted.push_back(std::move(one));
  }
  return wanted;
}

}  // namespace drover::agent
