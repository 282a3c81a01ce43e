// The commands under `drover trust`, a file each, and `drover keys rotate`.
#pragma once

#include "server/cli/command.h"
#include "server/cli/context.h"

namespace drover::cli {

void declare_trust_init(CommandSpec& trust, Context& context);
void declare_trust_roles(CommandSpec& trust, Context& context);     // root, targets: add-key, remove-key, threshold
void declare_trust_managers(CommandSpec& trust, Context& context);  // delegate; manager add, remove, threshold
void declare_trust_online(CommandSpec& trust, Context& context);    // online rotate
void declare_trust_renew(CommandSpec& trust, Context& context);
void declare_trust_sign(CommandSpec& trust, Context& context);  // review, sign, publish
void declare_trust_fetch(CommandSpec& trust, Context& context);
void declare_trust_show(CommandSpec& trust, Context& context);
void declare_trust_doctor(CommandSpec& trust, Context& context);
void declare_keys_rotate(CommandSpec& keys, Context& context);

}  // namespace drover::cli
