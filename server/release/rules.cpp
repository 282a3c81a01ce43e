#include "server/release/rules.h"

#include <algorithm>
#include <array>
#include <map>

namespace drover::release {
namespace {

constexpr std::size_t kMaxName = 64;
constexpr std::int64_t kMaxIndexBytes = 4 * 1024 * 1024;  // a release's index of 64 variants is about 40 KB
constexpr std::array<std::string_view, 5> kReserved = {"root", "targets", "snapshot", "timestamp", "director"};

bool is_small(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }

bool is_word(std::string_view text, bool capitals, std::string_view others) {
  const auto alphanumeric = [&](char c) { return is_small(c) || (capitals && is_capital(c)); };
  return !text.empty() && text.size() <= kMaxName && alphanumeric(text[0]) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return alphanumeric(c) || others.find(c) != std::string_view::npos; });
}

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Error wrong(const Listed& release, std::string_view why) {
  return Error(Code::invalid_argument, "release " + release.version.substr(0, kMaxName) + ": " + std::string(why));
}

Status check_kinds(const Listed& release) {
  if (release.kinds.empty() || release.kinds.size() > kMaxKinds) return wrong(release, "has 1 to 64 kinds of device");
  auto sorted = release.kinds;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    return wrong(release, "names a kind of device twice");
  if (!std::all_of(sorted.begin(), sorted.end(), is_kind)) return wrong(release, "names a kind of device that is none");
  return {};
}

Status check(const Listed& release) {
  if (!is_release_version(release.version)) return wrong(release, "a version is [A-Za-z0-9][A-Za-z0-9._+-]{0,63}");
  if (release.length <= 0 || release.length > kMaxIndexBytes)
    return wrong(release, "the length of its index is out of bounds");
  if (release.sha256.size() != 64 || !is_hex(release.sha256)) return wrong(release, "sha256 is 64 hexadecimal digits");
  if (release.release_counter < 0 || release.release_counter > kMaxCounter)
    return wrong(release, "release_counter is out of bounds");
  return check_kinds(release);
}

bool same_content(const Listed& a, const Listed& b) {
  auto left = a.kinds, right = b.kinds;
  std::sort(left.begin(), left.end());
  std::sort(right.begin(), right.end());
  return a.length == b.length && a.sha256 == b.sha256 && left == right;
}

struct Known {
  const Listed* release;
  bool withdrawn;
};
using KnownReleases = std::map<std::string_view, Known>;

// `before` second: a version that stands in both is listed.
KnownReleases known_releases(const std::vector<Listed>& before, const std::vector<Listed>& withdrawn) {
  KnownReleases known;
  for (const Listed& release : withdrawn) known[release.version] = {&release, true};
  for (const Listed& release : before) known[release.version] = {&release, false};
  return known;
}

Status place(const Listed& release, const KnownReleases& known, std::int64_t floor, Changes& changes) {
  const auto at = known.find(release.version);
  if (at == known.end()) {
    if (release.release_counter < floor)
      return Error(Code::counter_below_floor, "release " + release.version + ": its release counter " +
                                                  std::to_string(release.release_counter) + " is below " +
                                                  std::to_string(floor) +
                                                  ", which an earlier release has: devices would refuse it");
    changes.added.push_back(release);
    return {};
  }
  const Listed& old = *at->second.release;
  if (!same_content(release, old))
    return Error(Code::already_exists,
                 "release " + release.version + " exists with other content; a version names the same bytes for ever");
  if (release.release_counter < old.release_counter)
    return Error(Code::counter_below_floor, "release " + release.version + ": its release counter falls from " +
                                                std::to_string(old.release_counter) + " to " +
                                                std::to_string(release.release_counter));
  if (release.release_counter > old.release_counter) changes.raised.push_back(release);
  if (at->second.withdrawn) changes.reinstated.push_back(release);
  return {};
}

}  // namespace

bool is_model_name(std::string_view name) {
  return is_word(name, false, "._-") && std::find(kReserved.begin(), kReserved.end(), name) == kReserved.end();
}
bool is_release_version(std::string_view version) { return is_word(version, true, "._+-"); }
bool is_kind(std::string_view kind) { return is_word(kind, false, "._-"); }

Result<std::string> version_of_path(std::string_view model, std::string_view path) {
  const std::size_t slash = path.find('/');
  if (slash == std::string_view::npos)
    return Error(Code::malformed, "a target is named <model>/<version>: " + std::string(path.substr(0, 200)));
  if (path.substr(0, slash) != model)
    return Error(Code::target_mismatch, "the role of " + std::string(model) +
                                            " lists another model's target: " + std::string(path.substr(0, 200)));
  const std::string_view version = path.substr(slash + 1);
  if (!is_release_version(version))
    return Error(Code::malformed, "no valid version: " + std::string(path.substr(0, 200)));
  return std::string(version);
}

Result<Changes> plan_publication(const std::vector<Listed>& before, const std::vector<Listed>& withdrawn,
                                 const std::vector<Listed>& after) {
  if (after.size() > kMaxReleases)
    return Error(Code::too_large, "a model has at most " + std::to_string(kMaxReleases) + " listed releases");
  const KnownReleases known = known_releases(before, withdrawn);
  std::int64_t floor = 0;
  for (const auto& [version, entry] : known) floor = std::max(floor, entry.release->release_counter);
  Changes changes;
  std::map<std::string_view, const Listed*> listed;
  for (const Listed& release : after) {
    TRY(check(release));
    if (!listed.emplace(release.version, &release).second) return wrong(release, "is listed twice");
    TRY(place(release, known, floor, changes));
  }
  for (const Listed& release : before)
    if (!listed.contains(release.version)) changes.withdrawn.push_back(release.version);
  return changes;
}

}  // namespace drover::release
