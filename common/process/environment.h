// The seam for environment variables: nothing else may call getenv.
#pragma once

#include <optional>
#include <string>

namespace drover::process {

// Unset and empty are both none.
std::optional<std::string> environment(const char* name);

}  // namespace drover::process
