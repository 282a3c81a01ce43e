// login, whoami.
#include <fmt/format.h>

#include <filesystem>

#include "server/cli/api.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/files.h"
#include "server/cli/human.h"
#include "server/cli/profile.h"
#include "server/cli/table.h"

namespace drover::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxToken = 4096;
constexpr std::string_view kCaFile = "ca.pem";

struct LoginOptions {
  std::string url, token, token_file, ca;
  bool insecure = false;
};

std::string trimmed(std::string text) {
  constexpr std::string_view kBlank = " \t\r\n";
  text.erase(0, std::min(text.size(), text.find_first_not_of(kBlank)));
  text.erase(text.find_last_not_of(kBlank) + 1);
  return text;
}

Result<std::string> login_token(const LoginOptions& options, Context& context) {
  if (!options.token.empty() && !options.token_file.empty())
    return Error(Code::invalid_argument, "give either --token or --token-file");
  std::string token = options.token;
  if (!options.token_file.empty()) {
    TRY_ASSIGN(token, read_file(options.token_file, kMaxToken));
  } else if (token.empty()) {
    if (!context.terminal.can_ask()) return Error(Code::invalid_argument, "a token is missing; give --token-file FILE");
    TRY_ASSIGN(token, context.terminal.ask("token: ", true));
  }
  token = trimmed(std::move(token));
  if (token.empty() || token.find_first_of(" \t\r\n") != std::string::npos)
    return Error(Code::invalid_argument, "that is no token; it is one word that begins with drv_");
  return token;
}

std::string whoami_text(const Json& who, const Profile& profile, const Context& context) {
  const std::string expires = text_of(who, "expires");
  return render_fields({{"name", text_of(who, "name")},
                        {"role", text_of(who, "role")},
                        {"server", profile.url},
                        {"token expires", expires.empty() ? "never" : relative_time(expires, context.clock.wall())}},
                       context.out_style());
}

// A new server is another trust: what was pinned of the old one must not be asked of it.
void forget_other_server(const Context& context, const Profile& next) {
  Context plain = context;
  plain.environment = [](const char*) { return std::optional<std::string>(); };
  plain.profile = next.folder.string();
  const auto before = load_profile(plain);
  if (!before || before->url == next.url) return;
  std::error_code error;
  const fs::path trust = next.folder / "trust";
  if (!fs::exists(trust, error)) return;
  const fs::path kept = next.folder / fmt::format("trust.{}", format_time(context.clock.wall()));
  fs::rename(trust, kept, error);
  context.note(fmt::format("another server than before: its trust was put aside in {}", kept.string()));
}

Result<int> login(const LoginOptions& options, Context& context) {
  Profile profile{.folder = {}, .url = {}, .token = {}, .ca_file = {}};
  TRY_ASSIGN(profile.folder, profile_folder(context));
  TRY_ASSIGN(profile.url, check_server_url(options.url, options.insecure));
  TRY_ASSIGN(profile.token, login_token(options, context));
  std::string authority;
  if (!options.ca.empty()) {
    TRY_ASSIGN(authority, read_file(options.ca));
    if (authority.find("-----BEGIN CERTIFICATE-----") == std::string::npos)
      return Error(Code::invalid_argument, options.ca + ": is no PEM certificate");
    profile.ca_file = options.ca;
  }
  TRY_ASSIGN(Api api, connect(context, profile));
  TRY_ASSIGN(const Json who, api.get("/whoami"));
  if (!authority.empty()) {
    // A copy: the file that was given may be gone tomorrow.
    TRY(make_folder(profile.folder, 0700));
    TRY(write_file(profile.folder / kCaFile, authority));
    profile.ca_file = kCaFile;
  }
  forget_other_server(context, profile);
  TRY(save_profile(profile));
  context.show(who, [&] {
    return fmt::format("logged in to {} as {} ({})\n", profile.url, printable(text_of(who, "name")),
                       printable(text_of(who, "role")));
  });
  return kOk;
}

Result<int> whoami(Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json who, api.get("/whoami"));
  context.show(who, [&] { return whoami_text(who, api.profile(), context); });
  return kOk;
}

}  // namespace

void add_login_commands(CommandSpec& root, Context& context) {
  auto options = std::make_shared<LoginOptions>();
  CommandSpec& in = root.sub("login", "Remember a server and your token for it");
  in.details =
      "The token is checked with the server, then kept in the profile (mode 0600). Without --token and --token-file it "
      "is asked for.";
  in.examples = {"drover login https://drover.example.com:8443 --token-file my.token --ca company-ca.pem"};
  in.argument("URL", &options->url, "the server's address");
  in.option("--token", "TOKEN", &options->token,
            "the token itself (others on this machine may see it while the command runs)");
  in.option("--token-file", "FILE", &options->token_file, "a file with the token; - for standard input").file();
  in.option("--ca", "FILE", &options->ca, "PEM certificate of the authority that signed the server's").file();
  in.flag("--insecure", options->insecure, "allow http:// to another machine, where the network itself is trusted");
  in.action = [options, &context] { return login(*options, context); };
  CommandSpec& who = root.sub("whoami", "Show who you are to the server and what you may do");
  who.action = [&context] { return whoami(context); };
}

}  // namespace drover::cli
