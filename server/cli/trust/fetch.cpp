// trust fetch, for people who sign on a machine without network; trust show.
#include <fmt/format.h>

#include <filesystem>

#include "server/cli/api.h"
#include "server/cli/exit_code.h"
#include "server/cli/files.h"
#include "server/cli/human.h"
#include "server/cli/signers.h"
#include "server/cli/table.h"
#include "server/cli/trust/change_command.h"
#include "server/cli/trust/commands.h"
#include "server/cli/trust_store.h"

namespace drover::cli {
namespace {

constexpr std::chrono::days kSoon{30};

struct FetchOptions {
  std::string folder;
  std::vector<std::string> models;
  bool all = false;
};

Status fetch_one(const tuf::Document& document, const std::filesystem::path& file, Json& written) {
  TRY(write_file(file, document.encode()));
  written.push_back(file.string());
  return {};
}

Status fetch_models(Trust& trust, Api& api, const FetchOptions& options, Context& context, Json& written) {
  std::vector<std::string> models = options.models;
  if (options.all)
    for (const tuf::Delegation& one : trust.targets().delegations)
      if (one.name != tuf::kDirector) models.push_back(one.name);
  for (const std::string& model : models) {
    TRY_ASSIGN(const SigningRole role, trust.signing_role(api, model));
    if (role.current)
      TRY(fetch_one(*role.current, std::filesystem::path(options.folder) / (model + ".json"), written));
    else
      context.note(fmt::format("note: {} has no release yet; sign its first one with --base none", model));
  }
  return {};
}

Result<int> fetch(const FetchOptions& options, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(Trust trust, Trust::refresh_for_signing(api, context));
  const std::filesystem::path folder = options.folder;
  TRY(make_folder(folder));
  Json written = Json::array();
  TRY_ASSIGN(const auto roots, root_chain(api, trust.set().root().version));
  for (const tuf::Document& root : roots)
    TRY(fetch_one(root, folder / fmt::format("{}.root.json", root.version()), written));
  for (const std::string_view role : {tuf::kRoot, tuf::kTargets, tuf::kSnapshot}) {
    TRY_ASSIGN(const tuf::Document document, trust.document(role));
    TRY(fetch_one(document, folder / fmt::format("{}.json", role), written));
  }
  TRY(fetch_models(trust, api, options, context, written));
  context.show({{"written", written}}, [&] {
    std::string out;
    for (const Json& file : written) out += file.get<std::string>() + "\n";
    return out;
  });
  return kOk;
}

std::string role_rows(const Json& trust, const Context& context) {
  Table table({{"ROLE"}, {"VERSION", Align::right}, {"EXPIRES"}, {"NEEDS"}, {"KEYS", Align::left, true}});
  for (const Json& role : items_of(trust, "roles")) {
    std::vector<std::string> ids;
    for (const Json& id : items_of(role, "keyids"))
      if (id.is_string()) ids.push_back(id.get<std::string>());
    const auto expires = parse_time(text_of(role, "expires"));
    const bool soon = expires && *expires - context.clock.wall() < kSoon;
    const bool online = text_of(role, "role") == "snapshot" || text_of(role, "role") == "timestamp";
    table.add({text_of(role, "role"), std::to_string(number_of(role, "version")),
               Cell(relative_time(text_of(role, "expires"), context.clock.wall()),
                    soon && !online ? Colour::yellow : Colour::none),
               fmt::format("{} of {}", number_of(role, "threshold"), ids.size()), describe_keyids(ids)});
  }
  return table.render(context.out_style(), context.out_width());
}

Result<int> show(Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json trust, api.get("/trust"));
  context.show(trust, [&] {
    if (!flag_of(trust, "initialised"))
      return std::string("not initialised; an administrator runs: drover trust init\n");
    std::string out = role_rows(trust, context);
    for (const Json& warning : items_of(trust, "warnings"))
      out += fmt::format("{} {}\n", context.out_style()(Colour::yellow, "warning:"),
                         printable(text_of(warning, "message")));
    return out;
  });
  return kOk;
}

}  // namespace

void declare_trust_fetch(CommandSpec& trust, Context& context) {
  auto o = std::make_shared<FetchOptions>();
  CommandSpec& c = trust.sub("fetch", "Write the present metadata to a folder, for work without network");
  c.details = "Everything is checked from the pinned root on before it is written.";
  c.examples = {"drover trust fetch stick --model mnist", "drover trust fetch stick --all"};
  c.argument("DIR", &o->folder, "the folder").folder();
  c.option("--model", "MODEL", &o->models, "this model's metadata too");
  c.flag("--all", o->all, "all models' metadata too");
  c.action = [o, &context] { return fetch(*o, context); };
}

void declare_trust_show(CommandSpec& trust, Context& context) {
  trust.sub("show", "Show the roles, their keys, thresholds and expiry").action = [&context] { return show(context); };
}

}  // namespace drover::cli
