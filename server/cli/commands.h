// The command groups: each declares its part of the tree. Options live as long as the tree; the context outlives it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/cli/command.h"
#include "server/cli/context.h"

namespace drover::cli {

// The whole tree; `context` must outlive it.
std::unique_ptr<CommandSpec> make_command_tree(Context& context);

// Parses, runs, prints errors: main without the process. `arguments` without the program's name.
int run_tool(Context& context, const std::vector<std::string>& arguments);

void add_login_commands(CommandSpec& root, Context& context);  // login, whoami
void add_keys_commands(CommandSpec& root, Context& context);
void add_trust_commands(CommandSpec& root, Context& context);
void add_release_commands(CommandSpec& root, Context& context);
void add_enrolment_commands(CommandSpec& root, Context& context);
void add_device_commands(CommandSpec& root, Context& context);
void add_group_commands(CommandSpec& root, Context& context);
void add_rollout_commands(CommandSpec& root, Context& context);
void add_audit_commands(CommandSpec& root, Context& context);
void add_token_commands(CommandSpec& root, Context& context);
void add_delta_commands(CommandSpec& root, Context& context);
void add_help_commands(CommandSpec& root, Context& context);  // completion, help, version

}  // namespace drover::cli
