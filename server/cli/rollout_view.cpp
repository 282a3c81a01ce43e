#include "server/cli/rollout_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "server/cli/human.h"
#include "server/cli/stage_spec.h"

namespace drover::cli {
namespace {

constexpr std::size_t kBarWidth = 26;
constexpr std::size_t kSizeColumn = 8;
constexpr std::size_t kStateColumn = 8;

std::int64_t bad_of(const wire::StageStatus& stage) { return stage.failed + stage.rolled_back + stage.silent; }

std::string size_of(const wire::StageSpec& spec) {
  return spec.count > 0 ? std::to_string(spec.count) : fmt::format("{:g}%", spec.percent);
}

Colour stage_colour(const std::string& state) {
  if (state == "passed") return Colour::green;
  if (state == "failed") return Colour::red;
  return state == "waiting" ? Colour::dim : Colour::cyan;
}

std::string stage_line(const wire::StageStatus& stage, std::size_t number, const Style& style) {
  const auto fixed = [](std::string text, std::size_t width) {
    if (text.size() < width) text.resize(width, ' ');
    return text;
  };
  return fmt::format("  {}  {} {} {}  {}", number, fixed(size_of(stage.spec), kSizeColumn),
                     style(stage_colour(stage.state), fixed(printable(stage.state), kStateColumn)),
                     stage_bar(stage, kBarWidth, style), stage_counts(stage));
}

// Cuts by what is seen: colour codes take no room, and a cut line loses them.
std::string cut(const std::string& coloured, const std::string& plain, std::size_t width) {
  return width == 0 || display_width(plain) <= width ? coloured : fit_width(plain, width);
}

}  // namespace

std::string stage_bar(const wire::StageStatus& stage, std::size_t width, const Style& style) {
  if (width < 3) return "";
  const auto inside = static_cast<std::int64_t>(width - 2);
  const std::int64_t total =
      std::max({stage.members, stage.succeeded + bad_of(stage) + stage.in_flight, std::int64_t{1}});
  // By running sums, so that rounding never adds up to more than there is; what exists at all is seen.
  std::array<std::int64_t, 3> parts = {stage.succeeded, stage.in_flight, bad_of(stage)};
  std::array<std::int64_t, 3> cells{};
  std::int64_t sum = 0, drawn = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    sum += parts[i];
    const auto upto = static_cast<std::int64_t>(
        static_cast<double>(sum) / static_cast<double>(total) * static_cast<double>(inside) + 1e-9);
    cells[i] = std::min(std::max(upto - drawn, std::int64_t{parts[i] > 0}), inside - drawn);
    drawn += cells[i];
  }
  const auto run = [&](std::size_t i, char c, Colour colour) {
    return style(colour, std::string(static_cast<std::size_t>(cells[i]), c));
  };
  return "[" + run(0, '#', Colour::green) + run(1, '=', Colour::cyan) + run(2, 'x', Colour::red) +
         std::string(static_cast<std::size_t>(inside - drawn), '-') + "]";
}

std::string stage_counts(const wire::StageStatus& stage) {
  if (stage.state == "waiting") return stage.members > 0 ? counted(stage.members, "device") : "";
  std::string text = fmt::format("{} of {} done", stage.succeeded, stage.members);
  const auto add = [&](std::int64_t count, const char* what) {
    if (count > 0) text += fmt::format(", {} {}", count, what);
  };
  add(stage.in_flight, "in flight");
  add(stage.failed, "failed");
  add(stage.rolled_back, "rolled back");
  add(stage.aborted, "taken back");
  add(stage.silent, "silent");
  return text;
}

Cell state_cell(wire::RolloutState state) {
  using enum wire::RolloutState;
  std::string text(wire::to_text(state));
  std::replace(text.begin(), text.end(), '_', ' ');
  switch (state) {
    case running:
      return {text, Colour::cyan};
    case completed:
      return {text, Colour::green};
    case halted:
      return {text, Colour::red};
    case awaiting_promotion:
    case paused:
    case rolling_back:
      return {text, Colour::yellow};
    default:
      return {text, Colour::dim};
  }
}

std::vector<std::string> rollout_lines(const wire::RolloutStatus& status, WallTime now, std::size_t width,
                                       const Style& style) {
  const Style plain;
  std::vector<std::string> lines;
  const Cell state = state_cell(status.state);
  const auto head = [&](const Style& with) {
    return fmt::format("{}  {} {} -> {}  {}", with(Colour::bold, printable(status.spec.name)),
                       printable(status.spec.model), printable(status.spec.release), printable(status.spec.group),
                       with(state.colour, state.text));
  };
  lines.push_back(cut(head(style), head(plain), width));
  for (std::size_t i = 0; i < status.stages.size(); ++i)
    lines.push_back(cut(stage_line(status.stages[i], i + 1, style), stage_line(status.stages[i], i + 1, plain), width));
  if (!status.reason.empty())
    lines.push_back(width == 0 ? "  " + printable(status.reason) : fit_width("  " + printable(status.reason), width));
  const std::string by = fmt::format("  {} by {}, {}", printable(status.id), printable(status.created_by),
                                     relative_time(status.created_at, now));
  lines.push_back(cut(style(Colour::dim, by), by, width));
  return lines;
}

std::string rollout_line(const wire::RolloutStatus& status) {
  std::string line = state_cell(status.state).text;
  const auto at = static_cast<std::size_t>(status.stage);
  if (at < status.stages.size())
    line += fmt::format(", stage {} of {} ({}): {}", at + 1, status.stages.size(), size_of(status.stages[at].spec),
                        stage_counts(status.stages[at]));
  if (!status.reason.empty()) line += " - " + printable(status.reason);
  return line;
}

std::string delta_line(const wire::DeltaProgress& progress) {
  if (progress.state == "waiting") return "wait to be made";
  std::string line = progress.wanted == 0 ? "none: no device holds an earlier version of a file"
                                          : fmt::format("{} of {} ready", progress.ready, progress.wanted);
  if (progress.ready > 0)
    line += fmt::format(" ({} instead of {})", human_bytes(progress.delta_bytes), human_bytes(progress.whole_bytes));
  if (progress.useless > 0) line += fmt::format(", {} hardly smaller than their file", progress.useless);
  if (progress.failed > 0) line += fmt::format(", {} failed (see the server's log)", progress.failed);
  if (progress.packed.ready > 0)
    line += fmt::format(", {} packed for new devices ({} instead of {})", counted(progress.packed.ready, "file"),
                        human_bytes(progress.packed.delta_bytes), human_bytes(progress.packed.whole_bytes));
  if (progress.state == "making" && progress.bytes_total > 0)
    line += fmt::format(", being made: {} of {}", human_bytes(progress.bytes_done), human_bytes(progress.bytes_total));
  return line;
}

std::string savings_line(const wire::Savings& savings) {
  if (savings.updates == 0) return "";
  return fmt::format("{} of {} by delta, {} fetched, {} saved", savings.by_delta, counted(savings.updates, "update"),
                     human_bytes(savings.bytes_fetched), human_bytes(savings.bytes_saved));
}

std::vector<std::string> delta_lines(const nlohmann::json& document) {
  std::vector<std::string> lines;
  if (const auto found = document.find("deltas"); found != document.end())
    if (const auto progress = wire::decode_delta_progress(*found))
      lines.push_back("  deltas: " + delta_line(*progress));
  if (const auto found = document.find("savings"); found != document.end())
    if (const auto savings = wire::decode_savings(*found); savings && savings->updates > 0)
      lines.push_back("  bytes: " + savings_line(*savings));
  return lines;
}

std::string next_step(const wire::RolloutStatus& status) {
  using enum wire::RolloutState;
  const std::string id = printable(status.id);
  switch (status.state) {
    case awaiting_promotion:
      return "drover rollout promote " + id;
    case paused:
      return "drover rollout resume " + id;
    case halted:
      return "drover rollout rollback " + id;
    default:
      return "";
  }
}

}  // namespace drover::cli
