// device list, show, enroll, accept, tag, decommission.
#include <fmt/format.h>

#include "common/crypto/ed25519.h"
#include "common/package/manifest.h"
#include "server/cli/api.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/human.h"
#include "server/cli/signers.h"
#include "server/cli/table.h"

namespace drover::cli {
namespace {

constexpr std::int64_t kListed = 1000;
constexpr std::int64_t kMaxListed = 10'000'000;

struct ListOptions {
  std::string query, state;
  std::int64_t limit = kListed;
};

struct EnrollOptions {
  std::string key, name, kind;
};

struct TagOptions {
  std::string device, name;
  std::vector<std::string> add, remove;
};

Cell state_cell(const std::string& state) {
  return Cell(state, state == "active" ? Colour::green : state == "pending" ? Colour::yellow : Colour::dim);
}

std::string joined(const Json& texts) {
  std::string out;
  for (const Json& text : texts)
    if (text.is_string()) out += (out.empty() ? "" : ", ") + text.get<std::string>();
  return out;
}

std::string runs_of(const Json& device) {
  std::string out;
  for (const Json& one : items_of(device, "installed"))
    out += (out.empty() ? "" : ", ") + text_of(one, "model") + " " + text_of(one, "release");
  return out;
}

// What the last deployment came to: "1.3.0 failed: validate_golden".
Cell deployment_cell(const Json& device) {
  const Json* at = &member_of(device, "deployment");
  if (!at->is_object()) return Cell("");
  const std::string state = text_of(*at, "state"), code = text_of(*at, "code");
  const bool bad = state == "failed" || state == "rolled_back" || state == "silent";
  return Cell(text_of(*at, "release") + " " + state + (code.empty() || code == "ok" ? "" : ": " + code),
              bad ? Colour::red : Colour::none);
}

std::string list_text(const Json& devices, const Context& context) {
  if (items_of(devices).empty()) return "no devices\n";
  Table table({{"NAME", Align::left, true},
               {"ID", Align::left, true},
               {"KIND"},
               {"STATE"},
               {"RUNS", Align::left, true},
               {"LAST DEPLOYMENT", Align::left, true},
               {"TAGS", Align::left, true},
               {"SEEN"}});
  for (const Json& device : items_of(devices))
    table.add({text_of(device, "name"), text_of(device, "id"), text_of(device, "kind"),
               state_cell(text_of(device, "state")), runs_of(device), deployment_cell(device),
               joined(items_of(device, "tags")), relative_time(text_of(device, "last_seen"), context.clock.wall())});
  std::string out = table.render(context.out_style(), context.out_width());
  if (!text_of(devices, "next").empty())
    out += fmt::format("... the first {}; more with --limit, fewer with --query\n", items_of(devices).size());
  return out;
}

Result<int> list(const ListOptions& options, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json devices, api.list("/devices" + query({{"query", options.query}, {"state", options.state}}),
                                          static_cast<std::size_t>(options.limit)));
  context.show(devices, [&] { return list_text(devices, context); });
  return kOk;
}

Status check_id(const std::string& id) {
  if (crypto::is_device_id(id)) return {};
  return Error(Code::invalid_argument,
               fmt::format("\"{}\" is no device id (d and 32 hexadecimal digits); `drover device list` shows them",
                           printable(id)));
}

std::string show_text(const Json& device, const Context& context) {
  const WallTime now = context.clock.wall();
  std::string out = render_fields({{"name", text_of(device, "name")},
                                   {"id", text_of(device, "id")},
                                   {"kind", text_of(device, "kind")},
                                   {"state", state_cell(text_of(device, "state"))},
                                   {"tags", joined(items_of(device, "tags"))},
                                   {"enrolled", relative_time(text_of(device, "enrolled_at"), now)},
                                   {"last seen", relative_time(text_of(device, "last_seen"), now)}},
                                  context.out_style());
  if (const Json& conflicts = member_of(device, "report_conflicts"); conflicts.is_object())
    out += fmt::format(
        "\nIts reports went back {} time{}, last {}: its disk was brought back from a copy, or two devices "
        "hold its key.\n",
        conflicts.value("count", 0), conflicts.value("count", 0) == 1 ? "" : "s",
        relative_time(text_of(conflicts, "last_at"), now));
  if (!items_of(device, "installed").empty()) {
    Table table({{"MODEL"}, {"RELEASE"}, {"SINCE"}, {"PACKAGE", Align::left, true}});
    for (const Json& one : items_of(device, "installed"))
      table.add({text_of(one, "model"), text_of(one, "release"), relative_time(text_of(one, "since"), now),
                 text_of(one, "package")});
    out += "\n" + table.render(context.out_style(), context.out_width());
  }
  const Json& deployment = member_of(device, "deployment");
  if (deployment.is_object())
    out += "\n" + render_fields({{"deployment", text_of(deployment, "id")},
                                 {"rollout", text_of(deployment, "rollout")},
                                 {"outcome", deployment_cell(device)},
                                 {"because", text_of(deployment, "detail")}},
                                context.out_style());
  std::vector<std::pair<std::string, Cell>> attributes;
  const Json& map = member_of(device, "attributes");
  for (const auto& [name, value] : map.items())
    if (value.is_string()) attributes.emplace_back(name, value.get<std::string>());
  return attributes.empty() ? out : out + "\n" + render_fields(attributes, context.out_style());
}

Result<int> show(const std::string& id, Context& context) {
  TRY(check_id(id));
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json device, api.get("/devices/" + id));
  context.show(device, [&] { return show_text(device, context); });
  return kOk;
}

Result<int> enroll(const EnrollOptions& options, Context& context) {
  TRY_ASSIGN(const tuf::Key key, read_public_key(options.key));
  if (key.scheme != "ed25519")
    return Error(Code::unsupported, fmt::format("{}: a device's key is Ed25519, not {}", options.key, key.scheme));
  if (!package::is_kind(options.kind))
    return Error(Code::invalid_argument,
                 fmt::format("\"{}\" is no kind of device, such as kiosk-x64", printable(options.kind)));
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json device,
             api.post("/devices", {{"public_key", key.public_text}, {"name", options.name}, {"kind", options.kind}}));
  context.show(device, [&] {
    return fmt::format("{} ({}) may join with its key\n", printable(options.name), text_of(device, "id"));
  });
  return kOk;
}

Result<int> accept(const std::string& id, Context& context) {
  TRY(check_id(id));
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json device, api.post("/devices/" + id + "/accept", Json::object()));
  context.show(device, [&] { return fmt::format("{} is accepted\n", id); });
  return kOk;
}

Result<int> tag(const TagOptions& options, Context& context) {
  TRY(check_id(options.device));
  if (options.add.empty() && options.remove.empty() && options.name.empty())
    return Error(Code::invalid_argument, "give --add, --remove or --name");
  Json body = Json::object();
  if (!options.add.empty() || !options.remove.empty())
    body["tags"] = {{"add", options.add}, {"remove", options.remove}};
  if (!options.name.empty()) body["name"] = options.name;
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json device, api.patch("/devices/" + options.device, body));
  context.show(device, [&] {
    return fmt::format("{}: tags {}\n", options.device, printable(joined(items_of(device, "tags"))));
  });
  return kOk;
}

Result<int> decommission(const std::string& id, Context& context) {
  TRY(check_id(id));
  TRY_ASSIGN(Api api, connect(context));
  TRY(context.confirm(fmt::format("decommission {}? It will never get anything again.", id)));
  TRY(api.remove("/devices/" + id));
  context.show({{"id", id}, {"state", "decommissioned"}}, [&] { return fmt::format("{} is decommissioned\n", id); });
  return kOk;
}

void declare_tag(CommandSpec& device, Context& context) {
  auto o = std::make_shared<TagOptions>();
  CommandSpec& c = device.sub("tag", "Add and remove a device's tags, or rename it");
  c.examples = {"drover device tag d0123456789abcdef0123456789abcdef --add canary --remove lab"};
  c.argument("ID", &o->device, "the device");
  c.option("--add", "TAG", &o->add, "a tag to add");
  c.option("--remove", "TAG", &o->remove, "a tag to take away");
  c.option("--name", "NAME", &o->name, "its new name");
  c.action = [o, &context] { return tag(*o, context); };
}

}  // namespace

void add_device_commands(CommandSpec& root, Context& context) {
  CommandSpec& device = root.sub("device", "Look at devices, let them in, tag them, send them away");
  auto o = std::make_shared<ListOptions>();
  CommandSpec& l = device.sub("list", "List devices");
  l.examples = {"drover device list --state pending", "drover device list --query 'tag:berlin'"};
  l.option("--query", "QUERY", &o->query, "only those that match (see: drover group create --help)");
  l.option("--state", "STATE", &o->state, "only those").one_of({"pending", "active", "decommissioned"});
  l.option("--limit", "N", &o->limit, "at most so many; 1000 when absent").between(1, kMaxListed);
  l.action = [o, &context] { return list(*o, context); };
  const auto by_id = [&](const char* name, const char* help, Result<int> (*run)(const std::string&, Context&)) {
    auto id = std::make_shared<std::string>();
    CommandSpec& c = device.sub(name, help);
    c.argument("ID", id.get(), "the device");
    c.action = [id, run, &context] { return run(*id, context); };
  };
  by_id("show", "Show a device: what it runs, what happened last", show);
  auto e = std::make_shared<EnrollOptions>();
  CommandSpec& c = device.sub("enroll", "Let a device in by its public key, before it comes");
  c.option("--public-key", "KEY", &e->key, "64 hexadecimal digits, or a file").require().file();
  c.option("--name", "NAME", &e->name, "its name").require();
  c.option("--kind", "KIND", &e->kind, "its kind, such as kiosk-x64").require();
  c.action = [e, &context] { return enroll(*e, context); };
  by_id("accept", "Let a waiting device in", accept);
  declare_tag(device, context);
  by_id("decommission", "Send a device away for good", decommission);
}

}  // namespace drover::cli
