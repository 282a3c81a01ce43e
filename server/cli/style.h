// Colours for a terminal. Off: every function returns its text unchanged.
#pragma once

#include <string>
#include <string_view>

namespace drover::cli {

enum class Colour { none, bold, dim, red, green, yellow, blue, cyan };

struct Style {
  bool on = false;
  std::string operator()(Colour colour, std::string_view text) const;
};

}  // namespace drover::cli
