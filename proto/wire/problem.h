// Problem details (RFC 9457), the body of every error answer: {"type","title","status","code","detail"}.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace drover::wire {

inline constexpr std::string_view kProblemType = "application/problem+json";

std::string encode_problem(const Error& error);
// The Error that an answer carries. A body that is no problem document (a proxy's page, say) still gives an error,
// its code chosen from the HTTP status.
Error decode_problem(int http_status, std::string_view body);

}  // namespace drover::wire
