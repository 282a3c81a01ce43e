// What a device that holds a base fetches of a new package, file by file as the server and the agent do it: what is the
// same not at all, the rest as a delta or whole, whichever is less.
#pragma once

#include <cstdint>
#include <filesystem>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/package/layout.h"

namespace drover::cli {

Result<std::uint64_t> delta_bytes(ByteView base, ByteView target);

struct PackageCost {
  std::uint64_t bytes = 0;  // of all its files
  std::uint64_t sent = 0;
  double share() const { return bytes == 0 ? 0 : static_cast<double>(sent) / static_cast<double>(bytes); }
};

// Of the package in `folder`. `model_file` of it costs `model_delta`, which is known already.
Result<PackageCost> package_cost(const package::Layout& base, const package::Manifest& held,
                                 const std::filesystem::path& folder, const std::filesystem::path& model_file,
                                 std::uint64_t model_delta);

}  // namespace drover::cli
