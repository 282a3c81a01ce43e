// Internal to this folder: names that reading and printing share.
#pragma once

#include <string>
#include <string_view>

#include "common/package/manifest.h"
#include "proto/json/reader.h"

namespace drover::package {

inline constexpr std::size_t kMaxName = 256;
// A list of layers or variants longer than its bound is refused before its items are read.
Descriptor read_descriptor(json::Reader& in);

}  // namespace drover::package
