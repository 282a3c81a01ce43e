// What every command works with: the person's terminal, the seams, and the options that stand for all commands.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/rng/rng.h"
#include "common/time/clock.h"
#include "server/cli/style.h"
#include "server/cli/terminal.h"

namespace drover::cli {

struct Context {
  Terminal& terminal;
  const Clock& clock;
  Rng& rng;
  std::function<std::optional<std::string>(const char*)> environment;
  std::function<void(std::chrono::milliseconds)> pause;

  // Options for every command.
  bool json = false;
  bool yes = false;
  bool quiet = false;
  bool no_colour = false;
  std::string profile;  // folder; empty: the usual one

  Style out_style() const;
  Style err_style() const;
  // Columns for tables; 0 when they go into a file or pipe and nothing may be cut.
  std::size_t out_width() const;
  // Progress and remarks, on err; nothing with --quiet.
  void note(std::string_view line) const;
  // A result: JSON with --json, else what `text` makes.
  void show(const nlohmann::json& value, const std::function<std::string()>& text) const;
  // Before something that cannot be undone. Asks on a terminal; without one, or with --yes, goes on. cancelled for no.
  Status confirm(std::string_view question) const;
};

}  // namespace drover::cli
