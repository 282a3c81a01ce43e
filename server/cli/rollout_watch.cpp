#include "server/cli/rollout_watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/cli/exit_code.h"
#include "server/cli/human.h"
#include "server/cli/rollout_view.h"

namespace drover::cli {
namespace {

constexpr std::chrono::seconds kLongPoll{20};        // below the time after which proxies give up
constexpr std::chrono::milliseconds kShortest{500};  // between two questions, should the server not wait
constexpr std::chrono::milliseconds kAfterBreak{2000};
constexpr int kMaxBreaks = 150;  // five minutes without a server

bool settled(wire::RolloutState state) {
  using enum wire::RolloutState;
  return state == completed || state == aborted || state == rolled_back || state == halted;
}

// The picture on the terminal, or lines elsewhere.
class Picture {
 public:
  explicit Picture(Context& context) : context_(context), live_(context.terminal.out_is_terminal() && !context.json) {}

  void show(const wire::RolloutStatus& status, const Json& document) {
    if (context_.json) return;
    if (live_) return draw(status, delta_lines(document));
    const std::string line = rollout_line(status);
    if (line != last_) context_.terminal.out(format_time(context_.clock.wall()) + "  " + line + "\n");
    last_ = line;
  }

 private:
  void draw(const wire::RolloutStatus& status, const std::vector<std::string>& more) {
    const std::size_t width = std::max<std::size_t>(context_.terminal.width(), 2) - 1;
    auto lines = rollout_lines(status, context_.clock.wall(), width, context_.out_style());
    for (const std::string& line : more) lines.push_back(line.substr(0, width));  // in ASCII
    std::string text = drawn_ > 0 ? fmt::format("\x1b[{}A", drawn_) : "";
    for (const std::string& line : lines) text += "\r\x1b[K" + line + "\n";
    if (drawn_ > lines.size()) text += "\x1b[J";
    drawn_ = lines.size();
    context_.terminal.out(text);
  }

  Context& context_;
  bool live_;
  std::size_t drawn_ = 0;
  std::string last_;
};

class Watch {
 public:
  Watch(const std::string& id, const WatchOptions& options, Api& api, Context& context)
      : path_("/rollouts/" + part(id)),
        options_(options),
        api_(api),
        context_(context),
        picture_(context),
        started_(context.clock.mono()) {}

  Result<int> run() {
    for (;;) {
      TRY(ask());
      if (status_) {
        if (const auto code = watch_ends(status_->state, options_.until)) return finish(*code);
      }
      if (options_.timeout.count() > 0 && spent() >= options_.timeout) return finish(kNotYet);
    }
  }

 private:
  std::chrono::nanoseconds spent() const { return context_.clock.mono() - started_; }

  std::chrono::seconds wait() const {
    if (options_.timeout.count() == 0) return kLongPoll;
    const auto left = std::chrono::ceil<std::chrono::seconds>(options_.timeout - spent());
    return std::clamp(left, std::chrono::seconds{1}, kLongPoll);
  }

  // One question. Nothing new, or a break that may pass, is no error.
  Status ask() {
    const MonoTime asked = context_.clock.mono();
    auto answer = api_.watch(path_, etag_, wait());
    if (!answer) {
      const Code code = answer.error().code();
      const bool may_pass =
          (code == Code::unavailable || code == Code::timeout || code == Code::rate_limited) && status_;
      if (!may_pass || ++breaks_ > kMaxBreaks) return std::move(answer).error();
      if (breaks_ == 1) context_.note(answer.error().message() + "; trying again");
      context_.pause(kAfterBreak);
      return {};
    }
    breaks_ = 0;
    if (*answer) {
      TRY(take(**answer));
    } else if (context_.clock.mono() - asked < kShortest) {
      context_.pause(kShortest);
    }
    return {};
  }

  Status take(const Api::Watched& watched) {
    const bool etag_helps = !watched.etag.empty() && watched.etag != etag_;
    document_ = watched.document;
    TRY_ASSIGN(status_, wire::decode_rollout_status(document_.dump()).within("reading the server's answer"));
    picture_.show(*status_, document_);
    etag_ = watched.etag;
    if (!etag_helps) context_.pause(kShortest);
    return {};
  }

  int finish(int code) {
    if (context_.json)
      context_.terminal.out(document_.dump(2) + "\n");
    else if (const std::string next = status_ ? next_step(*status_) : ""; !next.empty())
      context_.note("next: " + next);
    return code;
  }

  std::string path_;
  const WatchOptions& options_;
  Api& api_;
  Context& context_;
  Picture picture_;
  MonoTime started_;
  std::string etag_;
  Json document_;
  std::optional<wire::RolloutStatus> status_;
  int breaks_ = 0;
};

}  // namespace

std::optional<int> watch_ends(wire::RolloutState state, const std::optional<wire::RolloutState>& until) {
  if (until && state == *until) return kOk;
  if (settled(state) || (!until && state == wire::RolloutState::awaiting_promotion)) {
    // Asked for another end than this one: a completed rollout has then failed to halt, say.
    return until && state == wire::RolloutState::completed ? kFailed : exit_code(state);
  }
  return std::nullopt;
}

Result<int> watch_rollout(const std::string& id, const WatchOptions& options, Api& api, Context& context) {
  return Watch(id, options, api, context).run();
}

}  // namespace drover::cli
