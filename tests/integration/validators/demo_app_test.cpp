// The demo's application beside an agent that the test plays.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <optional>

#include "proto/json/reader.h"
#include "tests/integration/validators/fixtures.h"

namespace drover {
namespace {

using namespace std::chrono_literals;

constexpr int kPatience = 10'000;  // milliseconds until a test gives up

// The agent's end: a socket that takes one application.
class FakeAgent {
 public:
  explicit FakeAgent(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
  }
  ~FakeAgent() {
    hang_up();
    ::close(listener_);
  }

  void accept() {
    hang_up();
    ASSERT_TRUE(readable(listener_));
    connection_ = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    ASSERT_GE(connection_, 0);
  }
  void hang_up() {
    if (connection_ >= 0) ::close(connection_);
    connection_ = -1;
    pending_.clear();
  }
  // The next message; null when none comes.
  json::Value next() {
    for (;;) {
      const auto end = pending_.find('\n');
      if (end != std::string::npos) {
        auto message = json::parse(pending_.substr(0, end), 64 * 1024);
        pending_.erase(0, end + 1);
        EXPECT_OK(message);
        return message ? *message : json::Value();
      }
      char buffer[4096];
      const ssize_t count = readable(connection_) ? ::read(connection_, buffer, sizeof buffer) : 0;
      if (count <= 0) return nullptr;
      pending_.append(buffer, static_cast<std::size_t>(count));
    }
  }
  // The next health report about the package, skipping those about another.
  json::Value health_of(const std::string& package) {
    for (json::Value message = next(); !message.is_null(); message = next())
      if (message["type"] == "health" && message["package"] == package) return message;
    return nullptr;
  }
  void send(const json::Value& message) {
    const std::string line = message.dump() + "\n";
    ASSERT_EQ(::send(connection_, line.data(), line.size(), MSG_NOSIGNAL), static_cast<ssize_t>(line.size()));
  }

 private:
  static bool readable(int fd) {
    pollfd wait{fd, POLLIN, 0};
    return ::poll(&wait, 1, kPatience) == 1;
  }
  int listener_ = -1;
  int connection_ = -1;
  std::string pending_;
};

class DemoApp : public test::WithModels {
 protected:
  void start() {
    auto spec = test::tool_spec({DROVER_BIN_DIR "/drover-demo-app", "--state", state_.path().string(), "--model", "m"},
                                runtime_);
    auto child = process::start(spec);
    ASSERT_OK(child);
    app_.emplace(std::move(*child));
  }

  // Puts the package where the agent would, under a digest made of one character, and makes it the current one.
  std::string activate(const std::string& name, char digit) {
    const std::string hex(64, digit);
    std::filesystem::create_directories(state_ / "packages");
    std::filesystem::create_directories(state_ / "generations/1");
    std::filesystem::copy(package(name), state_ / ("packages/" + hex), std::filesystem::copy_options::recursive);
    std::filesystem::create_symlink("../../packages/" + hex, state_ / "generations/1/new");
    std::filesystem::rename(state_ / "generations/1/new", state_ / "generations/1/m");
    if (!std::filesystem::exists(state_ / "current"))
      std::filesystem::create_symlink("generations/1", state_ / "current");
    return "sha256:" + hex;
  }

  json::Value switch_to(const std::string& package) {
    return {{"type", "switch"}, {"model", "m"}, {"package", package}, {"path", (state_ / "current/m").string()}};
  }

  test::TempFolder state_;
  std::optional<process::Child> app_;
};

TEST_F(DemoApp, WaitsWithoutAModelAndServesWhatIsSwitchedTo) {
  FakeAgent agent((state_ / "agent.sock").string());
  start();
  agent.accept();
  const json::Value hello = agent.next();
  EXPECT_EQ(hello, (json::Value{{"type", "hello"}, {"model", "m"}, {"package", ""}}));
  const std::string first = activate("good", 'a');
  agent.send({{"type", "welcome"}});
  agent.send(switch_to(first));
  const json::Value health = agent.health_of(first);
  ASSERT_TRUE(health.is_object());
  EXPECT_EQ(health["ok"], true) << health;
  EXPECT_EQ(health["model"], "m");
  EXPECT_EQ(agent.next()["type"], "health") << "and goes on";
}

TEST_F(DemoApp, SaysThatItIsUnwellWithAModelThatPassedItsValidation) {
  const std::string well = activate("good", 'a');
  FakeAgent agent((state_ / "agent.sock").string());
  start();
  agent.accept();
  EXPECT_EQ(agent.next()["package"], well) << "what it serves already stands in its hello";
  EXPECT_EQ(agent.health_of(well)["ok"], true);

  const std::string unwell = activate("a-name-short", 'b');
  agent.send(switch_to(unwell));
  const json::Value health = agent.health_of(unwell);
  ASSERT_TRUE(health.is_object());
  EXPECT_EQ(health["ok"], false);
  EXPECT_EQ(health["detail"], "labels.txt names 3 classes, the model gives 4");

  const std::string again = activate("good", 'c');
  agent.send(switch_to(again));
  EXPECT_EQ(agent.health_of(again)["ok"], true);
}

TEST_F(DemoApp, IsUnwellWithAModelThatDoesNotLoad) {
  const std::string broken = activate("truncated", 'd');
  FakeAgent agent((state_ / "agent.sock").string());
  start();
  agent.accept();
  EXPECT_EQ(agent.health_of(broken)["ok"], false);
}

TEST_F(DemoApp, ComesBackWhenTheAgentDoesAndEndsWhenAsked) {
  const std::string package = activate("good", 'a');
  start();  // before there is an agent
  {
    FakeAgent agent((state_ / "agent.sock").string());
    agent.accept();
    EXPECT_EQ(agent.next()["type"], "hello");
    agent.hang_up();
    agent.accept();
    EXPECT_EQ(agent.next()["type"], "hello");
    agent.send({{"type", "something newer"}});
    EXPECT_EQ(agent.health_of(package)["ok"], true);
  }
  ::kill(app_->pid(), SIGTERM);
  pollfd wait{app_->fd(), POLLIN, 0};
  while (!app_->advance()) ASSERT_EQ(::poll(&wait, 1, kPatience), 1);
  EXPECT_TRUE(app_->take_outcome().exited(0));
}

TEST_F(DemoApp, SaysWhatItCannotDoWithoutARuntime) {
  const auto outcome = test::run_tool({DROVER_BIN_DIR "/drover-demo-app", "--state", state_.path().string(), "--model",
                                       "m", "--onnxruntime", "/nowhere/libonnxruntime.so.1"},
                                      "");
  EXPECT_TRUE(outcome.exited(1));
  EXPECT_NE(outcome.err.find("cannot serve models here"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace drover
