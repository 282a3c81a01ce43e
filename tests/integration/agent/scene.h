// A device in a test: the real agent as a process, an application beside it, a validator that says what it is told.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/app/settings.h"
#include "common/fs/files.h"
#include "common/process/process.h"
#include "tests/integration/agent/fake_server.h"
#include "tests/support/temp_folder.h"

namespace drover::test {

// Speaks to the agent as an application does. Never blocks; poll() does what there is to do.
class TestApp {
 public:
  enum class Mood { well, unwell, silent, crashing };
  TestApp(std::string state, std::string model) : state_(std::move(state)), model_(std::move(model)) {}
  ~TestApp() { close(); }

  void poll();
  // How it is while it serves a package; `well` for those that are not named.
  void mood(const std::string& package, Mood mood) { moods_[package] = mood; }
  const std::vector<std::string>& switches() const { return switches_; }  // packages, in order
  void close();

 private:
  void open();
  void read();
  void say(const std::string& line);

  std::string state_, model_, input_, package_;
  std::map<std::string, Mood> moods_;
  std::vector<std::string> switches_;
  int fd_ = -1;
};

class Scene {
 public:
  Scene();

  FakeServer& server() { return server_; }
  TestApp& app() { return app_; }
  const std::string& state() const { return state_; }
  agent::Settings& settings() { return settings_; }
  // "NAME=value" for the agent's process, which inherits nothing.
  void environment(std::string variable) { environment_.push_back(std::move(variable)); }
  // The validator's shell script; it passes everything by default.
  void validator(const std::string& script);
  static std::string verdict(bool pass, const std::string& code = "ok");

  ~Scene();
  void start();
  void stop();                          // in good order; fails the test when the agent does not end well
  void kill();                          // with SIGKILL
  std::uint64_t peak_resident() const;  // bytes, of the agent that runs
  bool run_until(const std::function<bool()>& done, std::chrono::seconds limit = std::chrono::seconds(30));
  void run_for(std::chrono::milliseconds time);
  // Runs until the deployment has ended at the server; its last event.
  std::optional<wire::Event> outcome(const std::string& deployment);

  // What an application would read: the package's digest, empty for none. Fails the test when it is not complete.
  std::string current(const std::string& model = "digits");
  std::string current_file(const std::string& path, const std::string& model = "digits");

 private:
  process::Outcome wait_for_end();

  FakeServer server_;
  TempFolder folder_;
  std::string state_;
  agent::Settings settings_;
  std::vector<std::string> environment_;
  TestApp app_;
  std::optional<process::Child> agent_;
};

}  // namespace drover::test
