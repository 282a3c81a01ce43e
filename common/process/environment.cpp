#include "common/process/environment.h"

#include <cstdlib>

namespace drover::process {

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

}  // namespace drover::process
