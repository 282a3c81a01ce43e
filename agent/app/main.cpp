// drover-agent: the process on a device.
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "agent/app/agent.h"
#include "agent/app/settings.h"
#include "agent/app/status.h"
#include "common/fs/files.h"
#include "common/obs/log.h"
#include "common/rng/rng.h"
#include "common/time/clock.h"

#ifndef DROVER_VERSION
#define DROVER_VERSION "unknown"
#endif

namespace drover::agent {
namespace {

constexpr int kFailed = 1, kUsage = 2;

int complain(const Error& error, int status) {
  std::fprintf(stderr, "drover-agent: %s\n", error.message().c_str());
  return status;
}

int help() {
  std::printf(
      "drover-agent: keeps the models of this device as its server assigns and its owners sign them\n\n"
      "  drover-agent --config FILE [--setting value ...]   runs until it is told to stop (SIGTERM)\n"
      "  drover-agent status --state FOLDER [--json]        what is installed, and what is under way\n"
      "  drover-agent --version | --help\n\n"
      "SIGHUP or SIGUSR1: check in now.\n\nSettings:\n%s",
      settings_help().c_str());
  return 0;
}

int status(const std::vector<std::string>& arguments) {
  std::string folder;
  bool json = false;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i] == "--json")
      json = true;
    else if (arguments[i] == "--state" && i + 1 < arguments.size())
      folder = arguments[++i];
    else
      return complain(Error(Code::invalid_argument, "status takes --state FOLDER and --json"), kUsage);
  }
  const auto text = status_of(folder, json, fs::system_files());
  if (!text) return complain(text.error(), kFailed);
  std::fputs(text->c_str(), stdout);
  return 0;
}

// A helper that nobody named: the one beside this program.
std::string beside_the_agent(fs::Files& files, const char* name) {
  const auto self = files.read_link("/proc/self/exe");
  return self ? fs::parent(*self) + "/" + name : "";
}

int run(const std::vector<std::string>& arguments) {
  fs::Files& files = fs::system_files();
  auto settings = read_settings(arguments, files);
  if (!settings) return complain(settings.error(), kUsage);
  if (settings->validator.empty()) settings->validator = beside_the_agent(files, "drover-validate-onnx");
  if (settings->patcher.empty()) settings->patcher = beside_the_agent(files, "drover-patch");
  if (!log::set_level(settings->log_level))
    return complain(Error(Code::invalid_argument, "--log_level: what is " + settings->log_level + "?"), kUsage);
  log::set_format(settings->log_format == "json" ? log::Format::json : log::Format::logfmt);
  boost::asio::io_context io(1);
  auto agent = Agent::create(io, std::move(*settings), Agent::World{files, system_clock(), system_rng()});
  if (!agent) return complain(agent.error(), kFailed);
  log::info("drover-agent is up", {{"device", (*agent)->device_id()}, {"version", DROVER_VERSION}});
  (*agent)->start();
  io.run();
  return 0;
}

int main_with(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "help") return help();
  if (arguments[0] == "--version") {
    std::printf("drover-agent %s\n", DROVER_VERSION);
    return 0;
  }
  if (arguments[0] == "status") return status(arguments);
  return run(arguments[0] == "run" ? std::vector<std::string>(arguments.begin() + 1, arguments.end()) : arguments);
}

}  // namespace
}  // namespace drover::agent

int main(int argc, char** argv) { return drover::agent::main_with(std::vector<std::string>(argv + 1, argv + argc)); }
