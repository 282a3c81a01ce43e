// The server's settings, declared once.
#pragma once

#include <span>

#include "common/config/settings.h"

namespace drover::server {

std::span<const config::Setting> settings();

}  // namespace drover::server
