// Who the person is and which server they speak to: a folder with profile.json (mode 0600), ca.pem and trust/.
// The folder: --profile, else DROVER_CONFIG, else XDG_CONFIG_HOME/drover, else ~/.config/drover.
// DROVER_URL, DROVER_TOKEN and DROVER_CA stand above what the profile says, for pipelines without a profile.
#pragma once

#include <filesystem>
#include <string>

#include "common/base/result.h"
#include "server/cli/context.h"

namespace drover::cli {

struct Profile {
  std::filesystem::path folder;
  std::string url;  // without a slash at its end
  std::string token;
  std::string ca_file;  // empty: the system's authorities
};

// invalid_argument when none of the four places is known.
Result<std::filesystem::path> profile_folder(const Context& context);

// unauthenticated, with the command that helps, when nobody has logged in; permission_denied when others may read it.
Result<Profile> load_profile(const Context& context);
Status save_profile(const Profile& profile);

// What a server's address has to be: https, or http to this machine, or http with `insecure`. Gives it without the last
// slash.
Result<std::string> check_server_url(std::string url, bool insecure);

}  // namespace drover::cli
