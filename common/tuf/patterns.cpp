// Names and path patterns.
#include <algorithm>

#include "common/tuf/metadata.h"

namespace drover::tuf {
namespace {

constexpr std::size_t kMaxName = 64;
constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz0123456789";
constexpr std::string_view kAlnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

bool is_name(std::string_view text, std::string_view first, std::string_view more) {
  if (text.empty() || text.size() > kMaxName || first.find(text.front()) == first.npos) return false;
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return first.find(c) != first.npos || more.find(c) != more.npos; });
}

}  // namespace

bool matches_pattern(std::string_view pattern, std::string_view path) {
  constexpr std::size_t kNone = std::string_view::npos;
  std::size_t p = 0, t = 0, star = kNone, star_text = 0;
  // One point to go back to is enough: slashes match slashes only, so that the parts between them are independent.
  while (t < path.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && (pattern[p] == path[t] || (pattern[p] == '?' && path[t] != '/'))) {
      ++p;
      ++t;
    } else if (star != kNone && path[star_text] != '/') {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool is_model_name(std::string_view name) {
  for (const std::string_view fixed : {kRoot, kTargets, kSnapshot, kTimestamp, kDirector})
    if (name == fixed) return false;
  return is_name(name, kLower, "._-");
}

bool is_release_version(std::string_view version) { return is_name(version, kAlnum, "._+-"); }

Result<ReleaseName> parse_release_name(std::string_view target_path) {
  const auto slash = target_path.find('/');
  const std::string_view model = target_path.substr(0, slash);
  const std::string_view version = slash == target_path.npos ? "" : target_path.substr(slash + 1);
  if (!is_model_name(model) || !is_release_version(version))
    return Error(Code::malformed,
                 "not the name of a release (model/version): \"" + std::string(target_path.substr(0, 200)) + "\"");
  return ReleaseName{std::string(model), std::string(version)};
}

}  // namespace drover::tuf
