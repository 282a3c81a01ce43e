// Reason phrases of HTTP statuses (RFC 9110, section 15).
#pragma once

#include <string_view>

namespace drover::net {

// "Not Found" for 404; "Unknown" for a number without a phrase.
std::string_view status_text(int status);

}  // namespace drover::net
