#include <fmt/format.h>

#include "server/cli/commands.h"
#include "server/cli/exit_code.h"

namespace drover::cli {
namespace {

void add_common_options(CommandSpec& root, Context& context) {
  root.flag("--json", context.json, "print the server's JSON instead of text for people");
  root.flag("--yes,-y", context.yes, "do not ask before what cannot be undone");
  root.flag("--quiet,-q", context.quiet, "no progress and no remarks");
  root.flag("--no-colour,--no-color", context.no_colour, "no colours (also: NO_COLOR)");
  root.option("--profile", "FOLDER", &context.profile, "where login and trust are kept (also: DROVER_CONFIG)").folder();
}

void print_error(const Context& context, std::string_view text) {
  context.terminal.err(context.err_style()(Colour::red, "drover:") + " " + std::string(text) + "\n");
}

}  // namespace

std::unique_ptr<CommandSpec> make_command_tree(Context& context) {
  auto root = std::make_unique<CommandSpec>();
  root->name = "drover";
  root->help = "Delivers machine-learning models to fleets of edge devices";
  root->examples = {
      "drover login https://drover.example.com:8443 --token-file admin.token",
      "drover release build mnist 1.2.0 --variant kiosk-x64=build/x64 --out mnist-1.2.0",
      "drover rollout create --name spring --model mnist --release 1.2.0 --group shops --stage 25% --stage 100%"};
  add_common_options(*root, context);
  add_login_commands(*root, context);
  add_keys_commands(*root, context);
  add_trust_commands(*root, context);
  add_release_commands(*root, context);
  add_enrolment_commands(*root, context);
  add_device_commands(*root, context);
  add_group_commands(*root, context);
  add_rollout_commands(*root, context);
  add_audit_commands(*root, context);
  add_token_commands(*root, context);
  add_delta_commands(*root, context);
  add_help_commands(*root, context);
  return root;
}

int run_tool(Context& context, const std::vector<std::string>& arguments) {
  const auto tree = make_command_tree(context);
  auto parsed = parse_command_line(*tree, arguments);
  if (!parsed) {
    print_error(context, parsed.error().message());
    return kUsage;
  }
  if (parsed->command == nullptr) {
    context.terminal.out(parsed->help);
    return kOk;
  }
  auto done = parsed->command->action();
  if (done) return *done;
  const Error& error = done.error();
  print_error(context, error.message().empty() ? code_name(error.code()) : error.message());
  return exit_code(error.code());
}

}  // namespace drover::cli
