// release build --base: models brought near to those of an earlier release before they are packed, so that devices
// which hold that one need few bytes. --snap moves weights onto a grid around the base's (common/delta/snap.h),
// --keep-scales int8 weights onto the base's scales (common/delta/rescale.h), with --float-model from the weights that
// they were quantised from. What comes out is a model of its own: it is evaluated, gets a golden set of its own
// outputs, and is signed as it is.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/package/layout.h"
#include "server/cli/base_cost.h"
#include "server/cli/base_options.h"
#include "server/cli/context.h"
#include "server/cli/snap_trade.h"

namespace drover::cli {

// Annotations of a package's manifest that say how it was made.
inline constexpr const char* kBaseIndex = "org.drover.base";  // digest of the base release's index
inline constexpr const char* kBaseVersion = "org.drover.base.version";
inline constexpr const char* kSnapDeviations = "org.drover.snap";
inline constexpr const char* kScalesKept = "org.drover.scales-kept";        // scales, of how many
inline constexpr const char* kQuantisedFrom = "org.drover.quantised-from";  // digest of the float model
inline constexpr const char* kScorePrefix = "org.drover.score.";            // and the set: before and after, shares

// What was done to a variant.
struct MovedModel {
  Trade trade;
  PackageCost exact{}, package{};  // of the package as it was given, and as it became
  bool snapped = false;
  nlohmann::json report;
};

// Replaces the folders of the variants that can be moved by changed copies under `work`, and adds their annotations.
// Drawings are written to --plot; of several variants each to a file of its own, its kind before the ending. Nothing
// for options without --base. Errors: invalid_argument for a base of another network, a model without such weights, a
// loss over the limit, options that do not fit together; validator_missing.
Result<std::vector<MovedModel>> move_to_base(const BaseOptions& options, const std::filesystem::path& work,
                                             std::vector<package::VariantSpec>& variants, Context& context);

std::string moved_text(const std::vector<MovedModel>& moved, const Context& context);

}  // namespace drover::cli
