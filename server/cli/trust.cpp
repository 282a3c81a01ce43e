#include "server/cli/commands.h"
#include "server/cli/trust/commands.h"

namespace drover::cli {

void add_trust_commands(CommandSpec& root, Context& context) {
  CommandSpec& trust = root.sub("trust", "Who may sign what: root, targets and the models' release keys");
  trust.details =
      "Each command that changes something takes --dry-run, which shows keys in and out, thresholds, versions, who "
      "must sign "
      "and what devices do. Signatures of several people are collected in one file (--out, then `sign`, then "
      "`publish`), "
      "without network too.";
  declare_trust_init(trust, context);
  declare_trust_show(trust, context);
  declare_trust_doctor(trust, context);
  declare_trust_roles(trust, context);
  declare_trust_managers(trust, context);
  declare_trust_online(trust, context);
  declare_trust_renew(trust, context);
  declare_trust_sign(trust, context);
  declare_trust_fetch(trust, context);
}

}  // namespace drover::cli
