#include "server/cli/terminal.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

namespace drover::cli {
namespace {

constexpr std::size_t kMaxAnswer = 4096;
constexpr std::size_t kUsualWidth = 100;

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// Echo off while it lives.
class HiddenInput {
 public:
  explicit HiddenInput(bool hidden) : active_(hidden && ::tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!active_) return;
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  }
  ~HiddenInput() {
    if (!active_) return;
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    write_all(STDERR_FILENO, "\n");
  }
  HiddenInput(const HiddenInput&) = delete;
  HiddenInput& operator=(const HiddenInput&) = delete;

 private:
  termios before_{};
  bool active_;
};

class SystemTerminal final : public Terminal {
 public:
  void out(std::string_view text) override { write_all(STDOUT_FILENO, text); }
  void err(std::string_view text) override { write_all(STDERR_FILENO, text); }
  bool out_is_terminal() const override { return ::isatty(STDOUT_FILENO) == 1; }
  bool err_is_terminal() const override { return ::isatty(STDERR_FILENO) == 1; }
  bool can_ask() const override { return ::isatty(STDIN_FILENO) == 1 && err_is_terminal(); }

  std::size_t width() const override {
    winsize size{};
    for (int fd : {STDOUT_FILENO, STDERR_FILENO})
      if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return kUsualWidth;
  }

  Result<std::string> ask(std::string_view question, bool hidden) override {
    if (!can_ask()) return Error(Code::invalid_argument, "there is no terminal to ask on");
    const HiddenInput quiet(hidden);  // first: a quick answer must not be shown either
    err(question);
    std::string line;
    for (char c = 0;;) {
      const ssize_t got = ::read(STDIN_FILENO, &c, 1);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return Error(Code::cancelled, "no answer");
      if (c == '\n') return line;
      if (line.size() == kMaxAnswer) return Error(Code::too_large, "the answer is too long");
      line.push_back(c);
    }
  }
};

}  // namespace

std::unique_ptr<Terminal> make_system_terminal() { return std::make_unique<SystemTerminal>(); }

}  // namespace drover::cli
