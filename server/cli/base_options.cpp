#include "server/cli/base_options.h"

#include <fmt/format.h>

#include <charconv>

#include "common/delta/snap.h"
#include "server/cli/human.h"
#include "server/cli/snap_trade.h"

namespace drover::cli {

void declare_base_options(CommandSpec& build, BaseOptions& o) {
  build
      .option("--base", "DIR", &o.base,
              "an earlier release's folder; --snap and --keep-scales bring the models near to its")
      .folder();
  build.option(
      "--snap", "K", &o.snap,
      "move float weights onto a grid around the base's, K standard deviations of the change wide; auto: as wide as "
      "--max-loss allows");
  build.flag("--keep-scales", o.keep_scales, "bring int8 weights onto the base's scales");
  build
      .option("--float-model", "FILE", &o.float_model,
              "with --keep-scales: the fp32 model (ONNX) that the int8 weights were quantised from; they are quantised "
              "anew from it, and rounded once")
      .file();
  build.option("--max-loss", "POINTS", &o.max_loss,
               "points of accuracy that may be lost on any set, else nothing is built (0.5)");
  build.option("--held-out", "FILE", &o.held_out, "samples to measure by beside the golden set: a description in JSON")
      .file();
  build
      .option(
          "--plot", "FILE", &o.plot,
          "draw what each step of the grid sends and costs, as SVG; of several variants each into FILE with its kind "
          "before the ending")
      .file();
}

Result<BaseSettings> read_base_settings(const BaseOptions& o) {
  const bool others =
      !o.snap.empty() || o.keep_scales || !o.float_model.empty() || !o.held_out.empty() || !o.plot.empty();
  if (o.base.empty() && others)
    return Error(
        Code::invalid_argument,
        "--snap, --keep-scales, --float-model, --held-out and --plot need --base, an earlier release's folder");
  if (!o.base.empty() && o.snap.empty() && !o.keep_scales)
    return Error(Code::invalid_argument, "--base: say what is to be done with it, --snap or --keep-scales");
  if (!o.plot.empty() && o.snap.empty())
    return Error(Code::invalid_argument, "--plot draws the steps of --snap, and needs it");
  if (!o.float_model.empty() && !o.keep_scales)
    return Error(Code::invalid_argument,
                 "--float-model belongs to --keep-scales: it is what int8 weights are quantised from");
  BaseSettings settings{.snap = {}, .keep_scales = o.keep_scales, .float_model = o.float_model, .max_loss = 0};
  if (!o.snap.empty()) settings.snap = parse_snap(o.snap);
  if (!o.snap.empty() && (!settings.snap || *settings.snap > delta::kMaxSnap))
    return Error(
        Code::invalid_argument,
        fmt::format("--snap: \"{}\" is neither auto nor a number above 0 and up to {:g}, in standard deviations",
                    printable(o.snap), delta::kMaxSnap));
  const auto [end, error] =
      std::from_chars(o.max_loss.data(), o.max_loss.data() + o.max_loss.size(), settings.max_loss);
  if (error != std::errc{} || end != o.max_loss.data() + o.max_loss.size() || !(settings.max_loss >= 0) ||
      settings.max_loss > 100)
    return Error(Code::invalid_argument, "--max-loss: a number of points from 0 to 100, like 0.5");
  return settings;
}

}  // namespace drover::cli
