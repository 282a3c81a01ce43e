#include "server/deltas/bases.h"

#include <algorithm>

#include "server/deltas/chain.h"

namespace drover::deltas {
namespace {

template <class T>
void add_once(std::vector<T>& all, const T& one) {
  if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
}

// The newest published release before `target`, in the order of publication; null: none.
const store::ReleaseRow* published_before(const ReleasesOfModel& releases, const store::ReleaseRow& target) {
  const store::ReleaseRow* found = nullptr;
  for (const auto& [version, entry] : releases) {
    const store::ReleaseRow& row = entry.row;
    if (row.state != store::ReleaseState::published || row.no >= target.no) continue;
    if (found == nullptr || row.no > found->no) found = &row;
  }
  return found;
}

}  // namespace

std::vector<std::string> base_releases(const ReleasesOfModel& releases, std::string_view target,
                                       const std::vector<store::ReleaseCount>& runs) {
  std::vector<std::string> bases;
  const auto entry = releases.find(target);
  if (entry == releases.end()) return bases;
  for (const store::ReleaseCount& run : runs) {
    if (bases.size() == kMostRun) break;
    if (run.release != target && releases.contains(run.release)) add_once(bases, run.release);
  }
  const store::ReleaseRow* before = published_before(releases, entry->second.row);
  if (before != nullptr) add_once(bases, before->version);
  return bases;
}

std::vector<Pair> pairs_of(const package::Manifest& base, const package::Manifest& target) {
  std::vector<Pair> pairs;
  for (const package::File& file : target.files) {
    const package::File* from = base.file(file.path);
    // Between encrypted files there is nothing in common: their deltas come with the release.
    if (from != nullptr && (file.plain || from->plain)) continue;
    if (from == nullptr || from->digest == file.digest || from->size == 0 || file.size < kLeastFile) continue;
    add_once(pairs, Pair{file.digest, from->digest, file.size});
  }
  return pairs;
}

std::vector<Pair> packed_of(const package::Manifest& target) {
  std::vector<Pair> pairs;
  for (const package::File& file : target.files)
    if (!file.plain && file.size >= kLeastFile) add_once(pairs, Pair{file.digest, nothing(), file.size});
  return pairs;
}

}  // namespace drover::deltas
