#include <csignal>

#include "common/process/environment.h"
#include "common/time/pause.h"
#include "server/cli/commands.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // `drover device list | head` ends quietly
  const auto terminal = drover::cli::make_system_terminal();
  drover::cli::Context context{.terminal = *terminal,
                               .clock = drover::system_clock(),
                               .rng = drover::system_rng(),
                               .environment = drover::process::environment,
                               .pause = drover::pause_for,
                               .profile = {}};
  return drover::cli::run_tool(context, std::vector<std::string>(argv + 1, argv + argc));
}
