// group create, list, show, update, delete, preview.
#include <fmt/format.h>

#include "common/crypto/ed25519.h"
#include "server/cli/api.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/files.h"
#include "server/cli/human.h"
#include "server/cli/table.h"

namespace drover::cli {
namespace {

constexpr std::size_t kMaxListed = 10'000;
constexpr std::string_view kQueryHelp =
    "A query compares fields, attributes and tags: kind = \"kiosk-x64\" and tag:berlin; attr.region in (\"eu\", "
    "\"uk\"); "
    "name like \"shop-%\"; not exists attr.battery; attr.app >= 2.1.0; all. Devices join and leave the group as they "
    "change.";

struct GroupOptions {
  std::string name, query, devices_file;
  std::vector<std::string> devices;
};

Result<std::vector<std::string>> device_ids(const GroupOptions& options) {
  std::vector<std::string> ids = options.devices;
  if (!options.devices_file.empty()) {
    TRY_ASSIGN(const std::string text, read_file(options.devices_file));
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find_first_of(" \t\r\n,", at), text.size());
      if (end > at) ids.push_back(text.substr(at, end - at));
      at = end + 1;
    }
  }
  for (const std::string& id : ids)
    if (!crypto::is_device_id(id))
      return Error(Code::invalid_argument,
                   fmt::format("\"{}\" is no device id (d and 32 hexadecimal digits); `drover device list` shows them",
                               printable(id)));
  return ids;
}

Result<Json> group_body(const GroupOptions& options) {
  TRY_ASSIGN(const auto ids, device_ids(options));
  if (options.query.empty() == ids.empty())
    return Error(Code::invalid_argument, "give either --query or --device (or --devices-file)");
  Json body = {{"name", options.name}};
  if (ids.empty())
    body["query"] = options.query;
  else
    body["devices"] = ids;
  return body;
}

std::string describe_group(const Json& group) {
  if (const std::string query = text_of(group, "query"); !query.empty()) return query;
  const std::size_t listed = items_of(group, "devices").size();
  const std::int64_t count = listed > 0 ? static_cast<std::int64_t>(listed) : number_of(group, "device_count");
  return "fixed list" + (count > 0 ? ": " + counted(count, "device") : std::string());
}

Result<int> create(const GroupOptions& options, Context& context) {
  TRY_ASSIGN(const Json body, group_body(options));
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json made, api.post("/groups", body));
  context.show(made,
               [&] { return fmt::format("made group {} ({})\n", options.name, printable(describe_group(body))); });
  return kOk;
}

Result<int> update(const GroupOptions& options, Context& context) {
  TRY_ASSIGN(const Json body, group_body(options));
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json made, api.put("/groups/" + part(options.name), body));
  context.show(made,
               [&] { return fmt::format("group {} is now: {}\n", options.name, printable(describe_group(body))); });
  return kOk;
}

Result<int> list(Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json groups, api.list("/groups", kMaxListed));
  context.show(groups, [&] {
    if (items_of(groups).empty())
      return std::string("no groups; make one with: drover group create NAME --query QUERY\n");
    Table table({{"NAME"}, {"MEMBERS", Align::left, true}});
    for (const Json& group : items_of(groups)) table.add({text_of(group, "name"), describe_group(group)});
    return table.render(context.out_style(), context.out_width());
  });
  return kOk;
}

std::string sample_text(const Json& preview) {
  std::string out = fmt::format("{}{}\n", flag_of(preview, "capped") ? "more than " : "",
                                counted(number_of(preview, "count"), "device"));
  for (const Json& device : items_of(preview, "sample"))
    out += fmt::format("  {}  {}\n", printable(text_of(device, "id")), printable(text_of(device, "name")));
  if (number_of(preview, "count") > static_cast<std::int64_t>(items_of(preview, "sample").size())) out += "  ...\n";
  return out;
}

Result<int> show(const std::string& name, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json group, api.get("/groups/" + part(name)));
  context.show(group, [&] {
    std::string out =
        render_fields({{"name", text_of(group, "name")}, {"members", describe_group(group)}}, context.out_style());
    for (const Json& device : items_of(group, "devices"))
      if (device.is_string()) out += "  " + printable(device.get<std::string>()) + "\n";
    return out;
  });
  return kOk;
}

Result<int> remove(const std::string& name, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY(context.confirm(fmt::format("delete group {}?", name)));
  TRY(api.remove("/groups/" + part(name)));
  context.show({{"name", name}, {"deleted", true}}, [&] { return fmt::format("deleted group {}\n", name); });
  return kOk;
}

Result<int> preview(const std::string& text, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json found, api.post("/groups/preview", {{"query", text}}));
  context.show(found, [&] { return sample_text(found); });
  return kOk;
}

void declare_members(CommandSpec& command, GroupOptions& options) {
  command.argument("NAME", &options.name, "the group's name");
  command.option("--query", "QUERY", &options.query, "its members are the devices that match");
  command.option("--device", "ID", &options.devices, "a member of a fixed list");
  command
      .option("--devices-file", "FILE", &options.devices_file,
              "ids of a fixed list, separated by blanks or lines; - for standard input")
      .file();
}

}  // namespace

void add_group_commands(CommandSpec& root, Context& context) {
  CommandSpec& group = root.sub("group", "Groups of devices: saved queries and fixed lists");
  auto made = std::make_shared<GroupOptions>();
  CommandSpec& c = group.sub("create", "Make a group");
  c.details = kQueryHelp;
  c.examples = {"drover group create berlin --query 'tag:berlin and kind = \"kiosk-x64\"'"};
  declare_members(c, *made);
  c.action = [made, &context] { return create(*made, context); };
  auto changed = std::make_shared<GroupOptions>();
  CommandSpec& u = group.sub("update", "Replace a group's query or list");
  declare_members(u, *changed);
  u.action = [changed, &context] { return update(*changed, context); };
  group.sub("list", "List groups").action = [&context] { return list(context); };
  auto name = std::make_shared<std::string>();
  CommandSpec& s = group.sub("show", "Show a group");
  s.argument("NAME", name.get(), "the group");
  s.action = [name, &context] { return show(*name, context); };
  auto gone = std::make_shared<std::string>();
  CommandSpec& d = group.sub("delete", "Delete a group; devices stay");
  d.argument("NAME", gone.get(), "the group");
  d.action = [gone, &context] { return remove(*gone, context); };
  auto text = std::make_shared<std::string>();
  CommandSpec& p = group.sub("preview", "Count the devices that a query matches, before using it");
  p.details = kQueryHelp;
  p.argument("QUERY", text.get(), "the query, quoted for the shell");
  p.action = [text, &context] { return preview(*text, context); };
}

}  // namespace drover::cli
