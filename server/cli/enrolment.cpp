// enrolment create, list, revoke.
#include <fmt/format.h>

#include "server/cli/api.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/human.h"
#include "server/cli/table.h"

namespace drover::cli {
namespace {

constexpr std::size_t kMaxListed = 10'000;
constexpr std::int64_t kMaxUses = 100'000'000;  // the server's bound; stands for any number

struct CreateOptions {
  std::string name, expires = "30d";
  std::vector<std::string> tags;
  std::int64_t uses = 0;
};

std::string joined(const Json& texts) {
  std::string out;
  for (const Json& text : texts)
    if (text.is_string()) out += (out.empty() ? "" : ", ") + text.get<std::string>();
  return out;
}

Result<int> create(const CreateOptions& options, Context& context) {
  TRY_ASSIGN(const auto lasts, parse_span(options.expires).within("--expires"));
  Json body = {{"name", options.name}, {"tags", options.tags}, {"expires_seconds", lasts.count()}};
  body["uses"] = options.uses > 0 ? options.uses : kMaxUses;
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json made, api.post("/enrolment-tokens", body));
  context.show(made, [&] {
    return fmt::format(
        "{}\n\n  id       {}\n  expires  in {}\n  uses     {}\n\nIt is shown this once. Put it into the agents' "
        "configuration as enrolment_token.\n",
        text_of(made, "token"), text_of(made, "id"), human_span(lasts),
        options.uses > 0 ? std::to_string(options.uses) : "any number");
  });
  return kOk;
}

std::string list_text(const Json& tokens, const Context& context) {
  if (items_of(tokens).empty()) return "no enrolment tokens; make one with: drover enrolment create NAME\n";
  Table table({{"ID"}, {"NAME"}, {"TAGS", Align::left, true}, {"USES LEFT", Align::right}, {"EXPIRES"}});
  for (const Json& token : items_of(tokens)) {
    const std::int64_t left = number_of(token, "uses_left");
    table.add({text_of(token, "id"), text_of(token, "name"), joined(items_of(token, "tags")),
               left > kMaxUses / 2 ? "any number" : std::to_string(left),
               relative_time(text_of(token, "expires"), context.clock.wall())});
  }
  return table.render(context.out_style(), context.out_width());
}

Result<int> list(Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json tokens, api.list("/enrolment-tokens", kMaxListed));
  context.show(tokens, [&] { return list_text(tokens, context); });
  return kOk;
}

Result<int> revoke(const std::string& id, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY(api.remove("/enrolment-tokens/" + part(id)));
  context.show({{"id", id}, {"revoked", true}},
               [&] { return fmt::format("revoked {}; devices that enrolled with it stay\n", id); });
  return kOk;
}

}  // namespace

void add_enrolment_commands(CommandSpec& root, Context& context) {
  CommandSpec& group = root.sub("enrolment", "Tokens with which new devices join");
  auto o = std::make_shared<CreateOptions>();
  CommandSpec& c = group.sub("create", "Make an enrolment token");
  c.details = "Devices that come with it are active at once and carry its tags.";
  c.examples = {"drover enrolment create shop-rollout --tag shop --tag berlin --expires 7d --uses 200"};
  c.argument("NAME", &o->name, "what it is for");
  c.option("--tag", "TAG", &o->tags, "a tag for the devices that join with it");
  c.option("--expires", "TIME", &o->expires, "how long it is valid (12h, 7d); 30d when absent");
  c.option("--uses", "N", &o->uses, "how many devices may join with it; any number when absent").between(1, kMaxUses);
  c.action = [o, &context] { return create(*o, context); };
  group.sub("list", "List enrolment tokens").action = [&context] { return list(context); };
  auto id = std::make_shared<std::string>();
  CommandSpec& r = group.sub("revoke", "End an enrolment token");
  r.argument("ID", id.get(), "from the list");
  r.action = [id, &context] { return revoke(*id, context); };
}

}  // namespace drover::cli
