// Which paths a package may hold. Pure.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace drover::package {

inline constexpr std::size_t kMaxComponent = 100;  // fits every file system that a device may have
inline constexpr std::size_t kMaxPath = 400;
inline constexpr std::size_t kMaxDepth = 16;

// Relative, '/' between components of [A-Za-z0-9._-]{1,100}, none of them "." or "..". Everything else: unsafe_path.
Status check_package_path(std::string_view path);

// Paths of one package, which must also be different when case does not count, and none may be a folder of another.
class PathSet {
 public:
  // Checks the path and adds it; unsafe_path with the reason.
  Status add(std::string_view path);

 private:
  std::set<std::string, std::less<>> files_;    // lower case
  std::set<std::string, std::less<>> folders_;  // lower case, as first seen in exact_folders_
  std::set<std::string, std::less<>> exact_folders_;
};

}  // namespace drover::package
