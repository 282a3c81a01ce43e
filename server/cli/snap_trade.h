// What moving a model onto its base's grid buys and costs, step by step: the choice, the table and the drawing. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/cli/style.h"

namespace drover::cli {

// Shares of samples that are right, of the model as it was given and as it was moved.
struct Score {
  std::string set;
  double before = 0, after = 0;
};

struct Trial {
  std::string name;         // "exact", "0.5"
  double k = 0;             // standard deviations; 0: nothing was snapped
  std::uint64_t bytes = 0;  // of the delta from the base
  std::vector<Score> scores;

  // In points: of the set that lost most, and never below 0. Without a set 0.
  double loss() const;
  // A loss of exactly the limit is within it, however it was rounded.
  bool within(double max_loss) const;
};

struct Trade {
  std::string kind;
  std::uint64_t file_bytes = 0;  // of the model
  std::vector<Trial> trials;     // the first is the model as it was given
  std::size_t taken = 0;         // of them; 0: none
};

// Steps that --snap auto tries, from the finest.
const std::vector<double>& snap_steps();

// The last of the trials that, as all before it, lose at most `max_loss` points; nullopt when already the first step
// loses more. One lucky step behind a bad one does not count.
std::optional<std::size_t> choose_trial(const std::vector<Trial>& trials, double max_loss);

// "0.5", "1", "auto": 0 for auto; nullopt for anything else.
std::optional<double> parse_snap(std::string_view text);

std::string trade_table(const Trade& trade, const Style& style, std::size_t width);
// SVG: scores over the share of the file that is sent, one line a set.
std::string trade_drawing(const Trade& trade);

}  // namespace drover::cli
