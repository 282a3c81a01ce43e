#include "server/cli/snap_trade.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "server/cli/human.h"
#include "server/cli/table.h"

namespace drover::cli {
namespace {

constexpr std::size_t kBarWidth = 20;
constexpr double kWidth = 640, kHeight = 360, kLeft = 64, kRight = 24, kTop = 40, kBottom = 48;
constexpr const char* kColours[] = {"#1f6feb", "#bc4c00", "#1a7f37", "#8250df"};

double share_of(const Trade& trade, const Trial& trial) {
  return trade.file_bytes == 0 ? 0 : static_cast<double>(trial.bytes) / static_cast<double>(trade.file_bytes);
}

std::string share_bar(double share) {
  const auto filled = static_cast<std::size_t>(std::lround(std::clamp(share, 0.0, 1.0) * kBarWidth));
  return std::string(filled, '#') + std::string(kBarWidth - filled, '.');
}

// The drawing's axes: shares on a logarithmic scale, scores on a plain one.
struct Axes {
  double least_share = 1, low = 1, high = 0;
  double x(double share) const {
    const double span = -std::log10(least_share);
    return kLeft + (kWidth - kLeft - kRight) * (1 + std::log10(std::max(share, least_share)) / span);
  }
  double y(double score) const { return kHeight - kBottom - (kHeight - kTop - kBottom) * (score - low) / (high - low); }
};

Axes axes_of(const Trade& trade) {
  Axes axes;
  for (const Trial& trial : trade.trials) {
    axes.least_share = std::min(axes.least_share, std::max(share_of(trade, trial), 1e-6));
    for (const Score& score : trial.scores) {
      axes.low = std::min(axes.low, score.after);
      axes.high = std::max(axes.high, score.after);
    }
  }
  axes.least_share = std::min(axes.least_share / 1.5, 0.5);
  const double margin = std::max(0.01, 0.1 * (axes.high - axes.low));
  axes.low -= margin;
  axes.high += margin;
  return axes;
}

std::string words(double x, double y, const std::string& text, const char* anchor = "start",
                  const char* colour = "#57606a") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"12\" text-anchor=\"{}\" fill=\"{}\">{}</text>\n", x,
                     y, anchor, colour, text);
}

std::string grid_lines(const Axes& axes) {
  std::string out;
  for (double share : {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0}) {
    if (share < axes.least_share) continue;
    out += fmt::format("<line x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2}\" stroke=\"#d0d7de\"/>\n",
                       axes.x(share), kTop, kHeight - kBottom);
    out += words(axes.x(share), kHeight - kBottom + 18, fmt::format("{:g} %", 100 * share), "middle");
  }
  for (int i = 0; i <= 4; ++i) {
    const double score = axes.low + (axes.high - axes.low) * i / 4;
    out += words(kLeft - 8, axes.y(score) + 4, fmt::format("{:.1f} %", 100 * score), "end");
  }
  return out + words(kWidth / 2, kHeight - 8, "sent, as a share of the model file", "middle");
}

std::string line_of(const Trade& trade, const Axes& axes, std::size_t set, const char* colour) {
  std::string points, marks;
  for (std::size_t i = 0; i < trade.trials.size(); ++i) {
    const Trial& trial = trade.trials[i];
    const double x = axes.x(share_of(trade, trial)), y = axes.y(trial.scores[set].after);
    points += fmt::format("{:.1f},{:.1f} ", x, y);
    marks += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\"/>\n", x, y, i == trade.taken ? 6 : 3,
                         colour);
    if (set == 0) marks += words(x, y - 10, trial.name, "middle");
  }
  return fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"/>\n", points, colour) +
         marks;
}

}  // namespace

double Trial::loss() const {
  double most = 0;
  for (const Score& score : scores) most = std::max(most, 100 * (score.before - score.after));
  return most;
}

bool Trial::within(double max_loss) const {
  constexpr double kRounding = 1e-9;
  return loss() <= max_loss + kRounding;
}

const std::vector<double>& snap_steps() {
  static const std::vector<double> kSteps = {0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4};
  return kSteps;
}

std::optional<std::size_t> choose_trial(const std::vector<Trial>& trials, double max_loss) {
  std::optional<std::size_t> last;
  for (std::size_t i = 0; i < trials.size(); ++i) {
    if (trials[i].k == 0) continue;
    if (!trials[i].within(max_loss)) break;
    last = i;
  }
  return last;
}

std::optional<double> parse_snap(std::string_view text) {
  if (text == "auto") return 0;
  double k = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), k);
  if (error != std::errc{} || end != text.data() + text.size() || !(k > 0) || !std::isfinite(k)) return std::nullopt;
  return k;
}

std::string trade_table(const Trade& trade, const Style& style, std::size_t width) {
  std::vector<Column> columns = {{"MODEL", Align::right}, {"DELTA", Align::right}, {"OF FILE", Align::right}, {""}};
  const std::vector<Score> sets = trade.trials.empty() ? std::vector<Score>{} : trade.trials.front().scores;
  for (const Score& set : sets) columns.push_back({set.set, Align::right});
  columns.push_back({"LOSS", Align::right});
  columns.push_back({""});
  Table table(columns);
  for (std::size_t i = 0; i < trade.trials.size(); ++i) {
    const Trial& trial = trade.trials[i];
    const double share = share_of(trade, trial);
    std::vector<Cell> cells = {trial.name, human_bytes(trial.bytes), fmt::format("{:.1f} %", 100 * share),
                               share_bar(share)};
    for (const Score& score : trial.scores) cells.emplace_back(fmt::format("{:.2f} %", 100 * score.after));
    cells.emplace_back(sets.empty() ? std::string() : fmt::format("{:.2f}", trial.loss()));
    cells.emplace_back(i == trade.taken && i > 0 ? "taken" : "", Colour::green);
    table.add(std::move(cells));
  }
  return table.render(style, width);
}

std::string trade_drawing(const Trade& trade) {
  const Axes axes = axes_of(trade);
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\">\n", kWidth, kHeight);
  out += grid_lines(axes);
  const std::vector<Score> sets = trade.trials.empty() ? std::vector<Score>{} : trade.trials.front().scores;
  for (std::size_t set = 0; set < sets.size(); ++set) {
    const char* colour = kColours[set % std::size(kColours)];
    out += line_of(trade, axes, set, colour);
    out += words(kLeft + 120 * static_cast<double>(set), 20, sets[set].set, "start", colour);
  }
  return out + "</svg>\n";
}

}  // namespace drover::cli
