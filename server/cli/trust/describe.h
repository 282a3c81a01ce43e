// What a change of trust changes, for people and for scripts. Pure.
#pragma once

#include <string>
#include <vector>

#include "server/cli/style.h"
#include "server/cli/trust/change.h"

namespace drover::cli {

// {"files":[{"role","from","to","expires","keys":[{"role","keyid","added"}],"thresholds":[{"role","from","to"}],
//   "listed","withdrawn","signatures":[{"by","threshold","signed_by","missing"}]}],"complete","devices":[...]}
Result<Json> describe_change(const Change& change);
// The same as text; `now` for "in 3 d".
std::string render_change(const Json& description, WallTime now, const Style& style);

// "root: 1 of 2 signatures (by root 3); 1 more needed, from: ..." of the first that is not complete; "" when all are.
Result<std::string> first_missing(const Change& change);

}  // namespace drover::cli
