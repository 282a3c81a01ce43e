// What `release build` is told about a base: the options, and what they ask for.
#pragma once

#include <optional>
#include <string>

#include "common/base/result.h"
#include "server/cli/command.h"

namespace drover::cli {

struct BaseOptions {
  std::string base, snap, float_model, max_loss = "0.5", held_out, plot;
  bool keep_scales = false;
};
void declare_base_options(CommandSpec& build, BaseOptions& options);

struct BaseSettings {
  std::optional<double> snap;  // 0: auto
  bool keep_scales = false;
  std::string float_model;
  double max_loss = 0;
};
// invalid_argument for values that are none and options that do not fit together.
Result<BaseSettings> read_base_settings(const BaseOptions& options);

}  // namespace drover::cli
