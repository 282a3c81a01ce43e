// One stage of a rollout as people write it on the command line:
//   25%,soak=60s,max-in-flight=10,failures=10%,min=3,success=95%,deadline=1h,auto
// The share (25%) or number of devices (10) stands first; the rest is optional, in any order, each at most once. Pure.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "proto/wire/rollout.h"

namespace drover::cli {

// Errors: invalid_argument that names the part and shows the form.
Result<wire::StageSpec> parse_stage(std::string_view text);

// The reverse, without what stands at its default: "25%, soak 60 s, auto". For people.
std::string describe_stage(const wire::StageSpec& stage);

}  // namespace drover::cli
