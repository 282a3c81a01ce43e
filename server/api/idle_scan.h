// A reader for the one body that nearly every request has: a check-in without news. No allocation. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace drover::api {

struct IdleCheckin {
  std::string_view identity_digest;
  std::int64_t assignment_version = 0;
};

// Only {"assignment_version": n, "identity_digest": "...", "nonce": "..."} is read: in any order, each once, the nonce or
// none, with or without white space. Nothing for anything else, which then takes the ordinary way and its errors.
std::optional<IdleCheckin> scan_idle_checkin(std::string_view body);

}  // namespace drover::api
