#include "server/cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "server/cli/human.h"

namespace drover::cli {
namespace {

constexpr std::size_t kBarWidth = 24;
constexpr std::chrono::milliseconds kRedraw{100};  // ten times a second looks alive and costs nothing
constexpr std::chrono::milliseconds kRateAfter{500};

}  // namespace

std::string bar(double share, std::size_t width) {
  if (width < 3) return "";
  const std::size_t inside = width - 2;
  const double clamped = std::clamp(std::isnan(share) ? 0.0 : share, 0.0, 1.0);
  const auto full = static_cast<std::size_t>(clamped * static_cast<double>(inside) + 1e-9);
  return "[" + std::string(full, '#') + std::string(inside - full, '-') + "]";
}

std::string progress_line(const ProgressState& state, std::size_t width) {
  const double share = state.total == 0 ? 1 : static_cast<double>(state.done) / static_cast<double>(state.total);
  std::string line =
      fmt::format("{}  {} {:3.0f}%  {} of {}", state.doing, bar(share, kBarWidth),
                  std::floor(100 * std::min(share, 1.0)), human_bytes(state.done), human_bytes(state.total));
  if (state.bytes_per_second > 0) line += fmt::format("  {}/s", human_bytes(state.bytes_per_second));
  if (!state.item.empty()) line += "  " + printable(state.item);
  return fit_width(line, width);
}

Progress::Progress(const Context& context, std::string doing, std::uint64_t total)
    : context_(context), live_(context.terminal.err_is_terminal() && !context.quiet), started_(context.clock.mono()) {
  state_.doing = std::move(doing);
  state_.total = total;
}

Progress::~Progress() { clear(); }

void Progress::item(std::string_view name) {
  state_.item = name;
  draw(false);
}

void Progress::moved(std::uint64_t bytes) {
  state_.done += bytes;
  const auto spent = context_.clock.mono() - started_;
  if (spent >= kRateAfter)
    state_.bytes_per_second =
        static_cast<std::uint64_t>(static_cast<double>(state_.done) / std::chrono::duration<double>(spent).count());
  draw(false);
}

void Progress::finished(std::string_view line) {
  clear();
  context_.note(line);
  draw(true);
}

void Progress::draw(bool force) {
  if (!live_) return;
  const MonoTime now = context_.clock.mono();
  if (!force && on_screen_ && now - drawn_ < kRedraw) return;
  drawn_ = now;
  on_screen_ = true;
  const std::size_t width = context_.terminal.width();
  context_.terminal.err("\r\x1b[K" + progress_line(state_, width > 1 ? width - 1 : 1));
}

void Progress::clear() {
  if (!on_screen_) return;
  context_.terminal.err("\r\x1b[K");
  on_screen_ = false;
}

}  // namespace drover::cli
