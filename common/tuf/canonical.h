// OLPC canonical JSON: the one byte form of a document that signatures and key ids are made over.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "common/base/result.h"

namespace drover::tuf {

// No white space; keys sorted by the bytes of their UTF-8; only `"` and `\` escaped, everything else raw, control
// characters included; whole numbers only. Errors: unsupported for a number with a fraction or exponent.
Result<std::string> canonical_json(const nlohmann::json& value);

}  // namespace drover::tuf
