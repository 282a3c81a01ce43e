#include "tests/integration/agent/scene.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "common/crypto/hash.h"
#include "common/rng/rng.h"
#include "common/time/clock.h"

namespace drover::test {

using namespace std::chrono_literals;
namespace stdfs = std::filesystem;

namespace {
constexpr std::chrono::milliseconds kLook{5};    // between looks at what is waited for
constexpr std::chrono::minutes kLongestTest{5};  // an agent that a test forgot ends by itself
}  // namespace

void TestApp::open() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = state_ + "/agent.sock";
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return close();
  say(nlohmann::json{{"type", "hello"}, {"model", model_}, {"package", package_}}.dump());
}

void TestApp::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  input_.clear();
}

void TestApp::say(const std::string& line) {
  const std::string text = line + "\n";
  if (fd_ >= 0 && ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) < 0) close();
}

void TestApp::read() {
  char buffer[4096];
  const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
  if (n == 0) return close();
  if (n < 0) return;
  input_.append(buffer, static_cast<std::size_t>(n));
  for (std::size_t end = input_.find('\n'); end != std::string::npos; end = input_.find('\n')) {
    const auto message = nlohmann::json::parse(input_.substr(0, end));
    input_.erase(0, end + 1);
    if (message["type"] != "switch") continue;
    const std::string package = message["package"];
    if (package != package_) switches_.push_back(package);
    package_ = package;
  }
}

void TestApp::poll() {
  if (fd_ < 0) open();
  if (fd_ < 0) return;
  read();
  if (fd_ < 0 || package_.empty()) return;
  const auto found = moods_.find(package_);
  const Mood mood = found == moods_.end() ? Mood::well : found->second;
  if (mood == Mood::silent) return;
  if (mood == Mood::crashing) return close();
  const nlohmann::json health = {{"type", "health"},
                                 {"model", model_},
                                 {"package", package_},
                                 {"ok", mood == Mood::well},
                                 {"detail", mood == Mood::well ? "" : "it does not feel well"}};
  say(health.dump());
}

Scene::Scene() : state_((folder_ / "state").string()), app_(state_, "digits") {
  settings_.state = state_;
  settings_.server = server_.url();
  settings_.trusted_root = folder_.write("root.json", server_.root()).string();
  settings_.kind = "kiosk-x64";
  settings_.name = "kiosk-07";
  settings_.jitter_percent = 0;
  validator("echo '" + verdict(true) + "'");
}

std::string Scene::verdict(bool pass, const std::string& code) {
  return nlohmann::json{{"verdict", pass ? "pass" : "fail"}, {"code", code}, {"detail", "as told"}}.dump();
}

void Scene::validator(const std::string& script) {
  const auto file = folder_.write("validator", "#!/bin/sh\n" + script + "\n");
  ::chmod(file.c_str(), 0755);
  settings_.validator = file.string();
}

Scene::~Scene() {
  if (agent_) kill();
}

void Scene::start() {
  nlohmann::json config = {{"state", settings_.state},
                           {"server", settings_.server},
                           {"trusted_root", settings_.trusted_root},
                           {"kind", settings_.kind},
                           {"name", settings_.name},
                           {"jitter_percent", settings_.jitter_percent},
                           {"poll_seconds", settings_.poll_seconds},
                           {"device_key", settings_.device_key},
                           {"clock", settings_.clock},
                           {"max_rate", settings_.max_rate},
                           {"validator", settings_.validator},
                           {"confirm_without_application", settings_.confirm_without_application}};
  process::Spec spec;
  spec.argv = {DROVER_BIN_DIR "/drover-agent", "--config", folder_.write("agent.json", config.dump()).string()};
  spec.env = environment_;
  spec.deadline = kLongestTest;
  auto child = process::start(spec);
  ASSERT_TRUE(child) << child.error().message();
  agent_.emplace(std::move(*child));
}

process::Outcome Scene::wait_for_end() {
  while (!agent_->advance()) std::this_thread::sleep_for(kLook);
  process::Outcome outcome = agent_->take_outcome();
  agent_.reset();
  if (testing::Test::HasFailure()) std::fputs(outcome.err.c_str(), stderr);
  return outcome;
}

void Scene::stop() {
  ::kill(agent_->pid(), SIGTERM);
  const process::Outcome outcome = wait_for_end();
  EXPECT_TRUE(outcome.exited(0)) << process::describe(outcome) << "\n" << outcome.err;
}

// The kernel's own mark: what wait4() tells has the parent's size in it.
std::uint64_t Scene::peak_resident() const {
  const std::string file = "/proc/" + std::to_string(agent_->pid()) + "/status";
  const auto status = fs::system_files().read(file, 64 * 1024);
  const std::size_t at = status ? status->find("VmHWM:") : std::string::npos;
  return at == std::string::npos ? 0 : std::stoull(status->substr(at + 6)) * 1024;
}

void Scene::kill() {
  agent_->kill();
  wait_for_end();
}

bool Scene::run_until(const std::function<bool()>& done, std::chrono::seconds limit) {
  const MonoTime end = system_clock().mono() + limit;
  while (!done()) {
    if (system_clock().mono() > end) return false;
    if (agent_ && agent_->advance()) {
      const process::Outcome outcome = agent_->take_outcome();
      agent_.reset();
      ADD_FAILURE() << "the agent " << process::describe(outcome) << "\n" << outcome.err;
      return false;
    }
    std::this_thread::sleep_for(kLook);
    app_.poll();
  }
  return true;
}

void Scene::run_for(std::chrono::milliseconds time) {
  const MonoTime end = system_clock().mono() + time;
  run_until([&] { return system_clock().mono() > end; });
}

std::optional<wire::Event> Scene::outcome(const std::string& deployment) {
  std::optional<wire::Event> last;
  run_until([&] {
    for (const wire::Event& event : server_.events())
      if (event.deployment == deployment && wire::is_final(event.outcome)) last = event;
    return last.has_value();
  });
  EXPECT_TRUE(last) << "no final event of " << deployment;
  return last;
}

std::string Scene::current(const std::string& model) {
  const stdfs::path link = stdfs::path(state_) / "current" / model;
  if (!stdfs::exists(link)) return "";
  const stdfs::path folder = stdfs::canonical(link);
  EXPECT_EQ(folder.parent_path().filename(), "packages");
  EXPECT_TRUE(stdfs::exists(folder / "drover.json"));
  EXPECT_TRUE(stdfs::exists(folder / "model.onnx"));
  return "sha256:" + folder.filename().string();
}

std::string Scene::current_file(const std::string& path, const std::string& model) {
  return *fs::system_files().read(stdfs::canonical(stdfs::path(state_) / "current" / model / path).string(), 1 << 30);
}

}  // namespace drover::test
