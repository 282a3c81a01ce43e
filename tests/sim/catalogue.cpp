#include "tests/sim/catalogue.h"

#include <algorithm>
#include <array>

#include "common/crypto/hash.h"

namespace drover::sim {
namespace {

// The first release of each model is good and for all kinds: what a fleet runs before the story begins.
constexpr int kMaxReleases = 6;

Nature random_nature(Rng& rng) {
  static constexpr std::array kLots = {Nature::good, Nature::good,      Nature::good,   Nature::good,
                                       Nature::good, Nature::damaged,   Nature::deadly, Nature::unwell,
                                       Nature::mute, Nature::crash_loop};
  return kLots[rng.below(kLots.size())];
}

Release random_release(Rng& rng, const std::vector<std::string>& kinds) {
  Release release;
  release.kinds = kinds;
  release.nature = random_nature(rng);
  if (rng.below(6) == 0 && kinds.size() > 1)
    release.kinds.erase(release.kinds.begin() + static_cast<int>(rng.below(kinds.size())));
  if (release.nature != Nature::good && rng.below(3) == 0) release.only_kind = kinds[rng.below(kinds.size())];
  return release;
}

}  // namespace

std::string_view to_text(Nature nature) {
  static constexpr std::array<std::string_view, 6> kNames = {"good",   "damaged", "deadly",
                                                             "unwell", "mute",    "crash loop"};
  return kNames[static_cast<std::size_t>(nature)];
}

Nature Release::nature_on(std::string_view kind) const {
  return only_kind.empty() || only_kind == kind ? nature : Nature::good;
}

bool Release::has_variant(std::string_view kind) const {
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

std::string Release::package(std::string_view kind) const {
  return crypto::sha256(model + "/" + version + "/" + std::string(kind)).text();
}

std::string Release::index() const { return crypto::sha256(model + "/" + version).text(); }

Catalogue::Catalogue(Rng& rng, int models, const std::vector<std::string>& kinds) {
  releases_.reserve(static_cast<std::size_t>(models * kMaxReleases));
  for (int m = 0; m < models; ++m) {
    models_.push_back(m == 0 ? "eyes" : "ears");
    const int count = 3 + static_cast<int>(rng.below(kMaxReleases - 2));
    std::int64_t counter = 1;
    for (int version = 1; version <= count; ++version) {
      Release release = version == 1 ? Release{} : random_release(rng, kinds);
      if (version == 1) release.kinds = kinds;
      if (version > 1 && rng.below(8) == 0) ++counter;  // what was before is never installed anew
      release.model = models_.back();
      release.version = "1." + std::to_string(version) + ".0";
      release.counter = counter;
      release.listed = version == 1 || version < count || rng.below(3) != 0;
      releases_.push_back(std::move(release));
    }
  }
  for (const Release& release : releases_)
    for (const std::string& kind : release.kinds) packages_.push_back({release.package(kind), {&release, kind}});
  std::sort(packages_.begin(), packages_.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
}

const Release* Catalogue::find(std::string_view model, std::string_view version) const {
  for (const Release& release : releases_)
    if (release.model == model && release.version == version) return &release;
  return nullptr;
}

Catalogue::Variant Catalogue::variant(const std::string& package) const {
  const auto at = std::lower_bound(packages_.begin(), packages_.end(), package,
                                   [](const auto& one, const std::string& wanted) { return one.first < wanted; });
  return at == packages_.end() || at->first != package ? Variant{} : at->second;
}

void Catalogue::withdraw(const std::string& model, const std::string& version, Time now) {
  for (Release& release : releases_)
    if (release.model == model && release.version == version && !release.withdrawn_at) release.withdrawn_at = now;
}

}  // namespace drover::sim
