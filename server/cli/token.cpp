// token create, list, revoke: people's access to the server.
#include <fmt/format.h>

#include "server/cli/api.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/human.h"
#include "server/cli/table.h"

namespace drover::cli {
namespace {

constexpr std::size_t kMaxListed = 10'000;

struct CreateOptions {
  std::string name, role, expires = "90d";
};

Result<int> create(const CreateOptions& options, Context& context) {
  TRY_ASSIGN(const auto lasts, parse_span(options.expires).within("--expires"));
  std::string role = options.role;
  if (role == "release-manager") role = "release_manager";
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json made,
             api.post("/tokens", {{"name", options.name}, {"role", role}, {"expires_seconds", lasts.count()}}));
  context.show(made, [&] {
    return fmt::format(
        "{}\n\n  id       {}\n  role     {}\n  expires  in {}\n\nIt is shown this once. Its holder runs: drover login "
        "{} --token-file FILE\n",
        text_of(made, "token"), text_of(made, "id"), options.role, human_span(lasts), api.profile().url);
  });
  return kOk;
}

Result<int> list(Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json tokens, api.list("/tokens", kMaxListed));
  context.show(tokens, [&] {
    Table table({{"ID"}, {"NAME"}, {"ROLE"}, {"EXPIRES"}});
    for (const Json& token : items_of(tokens)) {
      const std::string expires = text_of(token, "expires");
      table.add({text_of(token, "id"), text_of(token, "name"), text_of(token, "role"),
                 expires.empty() ? "never" : relative_time(expires, context.clock.wall())});
    }
    return table.render(context.out_style(), context.out_width());
  });
  return kOk;
}

Result<int> revoke(const std::string& id, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY(api.remove("/tokens/" + part(id)));
  context.show({{"id", id}, {"revoked", true}}, [&] { return fmt::format("revoked {}\n", id); });
  return kOk;
}

}  // namespace

void add_token_commands(CommandSpec& root, Context& context) {
  CommandSpec& group = root.sub("token", "People's access: tokens and their roles");
  auto o = std::make_shared<CreateOptions>();
  CommandSpec& c = group.sub("create", "Make a token for a person or a pipeline");
  c.details =
      "viewer looks; operator also pauses, halts, rolls back and accepts devices; release_manager also publishes, "
      "creates and promotes rollouts; admin does everything.";
  c.examples = {"drover token create night-shift --role operator --expires 30d"};
  c.argument("NAME", &o->name, "whose it is; stands in the audit log");
  c.option("--role", "ROLE", &o->role, "what it may do")
      .require()
      .one_of({"viewer", "operator", "release_manager", "release-manager", "admin"});
  c.option("--expires", "TIME", &o->expires, "how long it is valid (12h, 30d); 90d when absent");
  c.action = [o, &context] { return create(*o, context); };
  group.sub("list", "List tokens").action = [&context] { return list(context); };
  auto id = std::make_shared<std::string>();
  CommandSpec& r = group.sub("revoke", "End a token at once");
  r.argument("ID", id.get(), "from the list");
  r.action = [id, &context] { return revoke(*id, context); };
}

}  // namespace drover::cli
