// drover-demo-app: the application of the demo. It serves the current model of one slot, follows the agent's switches
// and tells the agent how it is. It stands for yours: what it does with the socket is all that an application must do.
//
//   drover-demo-app --state DIR --model NAME [--onnxruntime PATH]
//
// Once it has a model it classifies a frame ten times a second and reports its health twice a second. It is unwell when
// the package cannot be loaded, when labels.txt does not name as many classes as the model gives, or when the model
// gives something that is no number.
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>

#include "packaging/demo/agent_link.h"
#include "packaging/demo/served.h"
#include "proto/json/reader.h"

namespace drover::demo {
namespace {

using namespace std::chrono_literals;

constexpr auto kFrameEvery = 100ms;
constexpr auto kHealthEvery = 500ms;

void say(const std::string& text) {
  std::printf("%s %s\n", format_time(system_clock().wall()).c_str(), text.c_str());
  std::fflush(stdout);
}

class App {
 public:
  App(std::filesystem::path state, std::string model, onnx::Runtime runtime)
      : slot_(state / "current" / model),
        model_(std::move(model)),
        runtime_(std::move(runtime)),
        link_((state / "agent.sock").string(), rng_) {}

  // Until a signal asks to end; false when it cannot wait for one.
  bool run() {
    sigset_t ending;
    ::sigemptyset(&ending);
    ::sigaddset(&ending, SIGTERM);
    ::sigaddset(&ending, SIGINT);
    ::sigprocmask(SIG_BLOCK, &ending, nullptr);
    const int signals = ::signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) return false;
    while (!step(signals)) {
    }
    ::close(signals);
    return true;
  }

 private:
  // One round; true when a signal asks to end.
  bool step(int signals) {
    MonoTime now = system_clock().mono();
    if (link_.connect_if_due(now)) {
      say("connected to the agent");
      reload_if_switched();
      send("hello", now);
    }
    if (now >= next_frame_) serve_frame(now);
    if (now >= next_health_) report(now);

    std::array<pollfd, 2> wait{pollfd{signals, POLLIN, 0}, pollfd{link_.fd(), POLLIN, 0}};
    ::poll(wait.data(), wait.size(), pause(now));
    now = system_clock().mono();
    if (wait[1].revents != 0)
      for (const std::string& line : link_.read_lines(now)) understand(line);
    return wait[0].revents != 0;
  }

  int pause(MonoTime now) const {
    MonoTime next = std::min(next_frame_, next_health_);
    if (!link_.connected()) next = std::min(next, link_.next_try());
    const auto rest = std::chrono::ceil<std::chrono::milliseconds>(next - now);
    return static_cast<int>(std::clamp<std::int64_t>(rest.count(), 0, 1000));
  }

  void serve_frame(MonoTime now) {
    next_frame_ = now + kFrameEvery;
    if (!served_) return;
    const bool was_well = served_->well();
    served_->serve_frame(rng_);
    if (was_well && !served_->well()) say("unwell: " + served_->describe());
  }

  void report(MonoTime now) {
    next_health_ = now + kHealthEvery;
    reload_if_switched();  // also without an agent: the slot may have been switched while we were not connected
    if (served_) send("health", now);
  }

  void send(const char* type, MonoTime now) {
    json::Value message = {{"type", type}, {"model", model_}, {"package", served_ ? served_->package() : ""}};
    if (std::string_view(type) == "health") {
      message["ok"] = served_->well();
      message["detail"] = served_->describe();
    }
    link_.send(message.dump(-1, ' ', false, json::Value::error_handler_t::replace), now);
  }

  void understand(const std::string& line) {
    auto message = json::parse(line, kMaxLine);
    if (!message) return say("the agent sent something that is no message: " + message.error().message());
    json::Reader in(*message);
    in.allow_unknown();
    if (in.text("type", 32) != "switch" || in.text_or("model", "", 64) != model_) return;
    reload_if_switched();
    next_health_ = {};  // at once
  }

  // Compares what the slot leads to with what is served; the link is read once, so that a switch in between is seen
  // next.
  void reload_if_switched() {
    std::error_code error;
    const std::filesystem::path folder = std::filesystem::canonical(slot_, error);
    if (error) {
      if (served_) say("the slot is empty");
      served_.reset();
    } else if (!served_ || served_->folder() != folder) {
      served_.reset();  // two models at once may be more than the device has room for
      served_.emplace(runtime_, folder);
      say("serving " + served_->package() + (served_->well() ? "" : ", unwell: " + served_->describe()));
    }
  }

  std::filesystem::path slot_;
  std::string model_;
  onnx::Runtime runtime_;
  Rng& rng_ = system_rng();
  AgentLink link_;
  std::optional<Served> served_;
  MonoTime next_frame_{};
  MonoTime next_health_{};
};

int run_app(const std::string& state, const std::string& model, const std::string& runtime_path) {
  if (state.size() + sizeof "/agent.sock" > sizeof(sockaddr_un::sun_path)) {
    std::fprintf(stderr, "drover-demo-app: --state is too long a path for a socket: %s\n", state.c_str());
    return 2;
  }
  auto runtime = onnx::Runtime::open(runtime_path);
  if (!runtime) {
    std::fprintf(stderr, "drover-demo-app: cannot serve models here: %s\n", runtime.error().message().c_str());
    return 1;
  }
  say("waiting for " + model + " in " + state + ", with " + runtime->version());
  App app(state, model, std::move(*runtime));
  return app.run() ? 0 : 1;
}

}  // namespace
}  // namespace drover::demo

int main(int argc, char** argv) {
  CLI::App app("Serves the current model of a slot and tells the agent how it is; part of the demo.",
               "drover-demo-app");
  std::string state, model, runtime;
  app.add_option("--state", state, "the agent's state folder")->required();
  app.add_option("--model", model, "name of the model")->required();
  app.add_option("--onnxruntime", runtime,
                 "path of libonnxruntime.so.1; otherwise DROVER_ONNXRUNTIME, otherwise where the system looks");
  CLI11_PARSE(app, argc, argv);
  return drover::demo::run_app(state, model, runtime.empty() ? drover::onnx::runtime_path() : runtime);
}
