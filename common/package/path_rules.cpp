#include "common/package/path_rules.h"

#include <algorithm>

namespace drover::package {
namespace {

Error unsafe(std::string_view path, std::string_view why) {
  // What is quoted goes to terminals and logs: nothing but printable ASCII, and not without end.
  std::string shown(path.substr(0, 120));
  for (char& c : shown)
    if (c < ' ' || c > '~') c = '?';
  return {Code::unsafe_path, "\"" + shown + "\" " + std::string(why)};
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

Status check_component(std::string_view path, std::string_view component) {
  if (component.empty()) return unsafe(path, "has an empty part or begins with \"/\"");
  if (component == "." || component == "..") return unsafe(path, "has a part \".\" or \"..\"");
  if (component.size() > kMaxComponent) return unsafe(path, "has a part of more than 100 characters");
  if (!std::all_of(component.begin(), component.end(), is_plain))
    return unsafe(path, "has a character other than letters, digits, \".\", \"_\" and \"-\"");
  return {};
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

}  // namespace

Status check_package_path(std::string_view path) {
  if (path.empty()) return unsafe(path, "is empty");
  if (path.size() > kMaxPath) return unsafe(path, "has more than 400 characters");
  std::size_t depth = 0;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    TRY(check_component(path, path.substr(begin, end - begin)));
    if (++depth > kMaxDepth) return unsafe(path, "is more than 16 folders deep");
    begin = end + 1;
  }
  return {};
}

Status PathSet::add(std::string_view path) {
  TRY(check_package_path(path));
  const std::string key = lower(path);
  if (folders_.contains(key)) return unsafe(path, "is also a folder of the package");
  if (files_.contains(key)) return unsafe(path, "stands twice, or differs from another path by case only");
  for (std::size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
    const std::string folder(path.substr(0, slash));
    const std::string folder_key = lower(folder);
    if (files_.contains(folder_key)) return unsafe(path, "has a file of the package as its folder");
    if (folders_.contains(folder_key) && !exact_folders_.contains(folder))
      return unsafe(path, "has a folder that differs from another by case only");
    folders_.insert(folder_key);
    exact_folders_.insert(folder);
  }
  files_.insert(key);
  return {};
}

}  // namespace drover::package
