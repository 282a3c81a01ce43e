#include "server/cli/profile.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "proto/json/reader.h"
#include "server/cli/files.h"
#include "server/cli/human.h"

namespace drover::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxProfile = 64 * 1024;
constexpr std::size_t kMaxField = 4096;
constexpr std::int64_t kVersion = 1;

fs::path profile_file(const fs::path& folder) { return folder / "profile.json"; }

Status check_private(const fs::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0 || (info.st_mode & 077) == 0) return {};
  return Error(Code::permission_denied,
               fmt::format("{0} holds a token and others may read it; run: chmod 600 {0}", file.string()));
}

Result<Profile> read_profile(const fs::path& folder) {
  const fs::path file = profile_file(folder);
  Profile profile{.folder = folder, .url = {}, .token = {}, .ca_file = {}};
  TRY_ASSIGN(const std::string text, read_file(file, kMaxProfile));
  TRY(check_private(file));
  auto document = json::parse(text, kMaxProfile);
  if (!document) return std::move(document).error().within(file.string());
  json::Reader in(*document);
  in.allow_unknown();
  in.integer("version", kVersion, kVersion);
  profile.url = in.text("url", kMaxField);
  profile.token = in.text_or("token", "", kMaxField);
  profile.ca_file = in.text_or("ca_file", "", kMaxField);
  TRY(in.finish().within(file.string()));
  if (!profile.ca_file.empty() && fs::path(profile.ca_file).is_relative()) profile.ca_file = folder / profile.ca_file;
  return profile;
}

// By number or its own name; "127.0.0.1.example.com" is somebody else.
bool is_loopback(std::string_view host) {
  if (host == "localhost" || host == "[::1]") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

Result<fs::path> profile_folder(const Context& context) {
  if (!context.profile.empty()) return fs::path(context.profile);
  if (const auto folder = context.environment("DROVER_CONFIG")) return fs::path(*folder);
  if (const auto folder = context.environment("XDG_CONFIG_HOME")) return fs::path(*folder) / "drover";
  if (const auto home = context.environment("HOME")) return fs::path(*home) / ".config" / "drover";
  return Error(Code::invalid_argument, "there is no place for the profile: give --profile FOLDER");
}

Result<Profile> load_profile(const Context& context) {
  TRY_ASSIGN(const fs::path folder, profile_folder(context));
  auto read = read_profile(folder);
  if (!read && read.error().code() != Code::not_found) return read;
  Profile profile = std::move(read).value_or(Profile{.folder = folder, .url = {}, .token = {}, .ca_file = {}});
  if (const auto url = context.environment("DROVER_URL")) {
    TRY_ASSIGN(profile.url, check_server_url(*url, false).within("DROVER_URL"));
  }
  if (const auto token = context.environment("DROVER_TOKEN")) profile.token = *token;
  if (const auto ca = context.environment("DROVER_CA")) profile.ca_file = *ca;
  if (profile.url.empty())
    return Error(Code::unauthenticated, "you are not logged in; run: drover login URL --token-file FILE");
  return profile;
}

Status save_profile(const Profile& profile) {
  nlohmann::json document = {{"version", kVersion}, {"url", profile.url}, {"token", profile.token}};
  if (!profile.ca_file.empty()) document["ca_file"] = profile.ca_file;
  TRY(make_folder(profile.folder, 0700));
  return write_file(profile_file(profile.folder), document.dump(2) + "\n", 0600);
}

Result<std::string> check_server_url(std::string url, bool insecure) {
  while (url.ends_with('/')) url.pop_back();
  const bool tls = url.starts_with("https://"), plain = url.starts_with("http://");
  if (!tls && !plain)
    return Error(
        Code::invalid_argument,
        fmt::format("\"{}\" is no server address; write it like https://drover.example.com:8443", printable(url)));
  const std::string_view rest = std::string_view(url).substr(tls ? 8 : 7);
  const std::size_t bracket = rest.starts_with('[') ? rest.find(']') + 1 : 0;
  const std::string_view host = rest.substr(0, rest.find_first_of(":/", bracket));
  if (host.empty() || rest.find_first_of(" ?#@") != std::string_view::npos)
    return Error(Code::invalid_argument, fmt::format("\"{}\" is no server address", printable(url)));
  if (plain && !is_loopback(host) && !insecure)
    return Error(Code::invalid_argument,
                 "http:// would send your token readable to everybody on the way; use https:// (or --insecure, "
                 "where the network itself is trusted)");
  return url;
}

}  // namespace drover::cli
