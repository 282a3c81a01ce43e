// rollout create, list, status, devices, promote, pause, resume, halt, abort, rollback.
#include <fmt/format.h>

#include "common/tuf/metadata.h"
#include "proto/wire/device.h"
#include "server/cli/api.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/files.h"
#include "server/cli/human.h"
#include "server/cli/rollout_view.h"
#include "server/cli/rollout_watch.h"
#include "server/cli/stage_spec.h"
#include "server/cli/table.h"

namespace drover::cli {
namespace {

constexpr std::size_t kMaxListed = 1000;
constexpr std::int64_t kMaxDeployments = 10'000'000;

struct CreateOptions {
  std::string name, model, release, group, file;
  std::vector<std::string> stages;
  bool watch = false;
};

struct StatusOptions {
  std::string id, until, timeout;
  bool watch = false;
};

struct PromoteOptions {
  std::string id;
  std::int64_t from_stage = 0;
};

struct DevicesOptions {
  std::string id;
  std::int64_t limit = 1000;
};

Result<wire::RolloutSpec> spec_from_file(const CreateOptions& options) {
  TRY_ASSIGN(const std::string text, read_file(options.file, wire::kMaxRolloutBody));
  auto spec = wire::decode_rollout_spec(text);
  if (!spec) return Error(Code::invalid_argument, options.file + ": " + spec.error().message());
  const auto set = [](std::string& field, const std::string& option) {
    if (!option.empty()) field = option;
  };
  set(spec->name, options.name);
  set(spec->model, options.model);
  set(spec->release, options.release);
  set(spec->group, options.group);
  if (!options.stages.empty()) spec->stages.clear();
  return spec;
}

Status check_needed(const wire::RolloutSpec& spec) {
  const std::pair<const std::string&, const char*> needed[] = {
      {spec.name, "--name"}, {spec.model, "--model"}, {spec.release, "--release"}, {spec.group, "--group"}};
  for (const auto& [value, option] : needed)
    if (value.empty()) return Error(Code::invalid_argument, fmt::format("{} is missing (or give --file)", option));
  if (!tuf::is_model_name(spec.model))
    return Error(Code::invalid_argument, fmt::format("\"{}\" is no model name", printable(spec.model)));
  if (!tuf::is_release_version(spec.release))
    return Error(Code::invalid_argument, fmt::format("\"{}\" is no version", printable(spec.release)));
  if (spec.stages.empty())
    return Error(Code::invalid_argument, "give at least one --stage, such as --stage 25% --stage 100%");
  return {};
}

Result<wire::RolloutSpec> read_spec(const CreateOptions& options) {
  wire::RolloutSpec spec{
      .name = options.name, .model = options.model, .release = options.release, .group = options.group, .stages = {}};
  if (!options.file.empty()) {
    TRY_ASSIGN(spec, spec_from_file(options));
  }
  for (const std::string& text : options.stages) {
    TRY_ASSIGN(wire::StageSpec stage, parse_stage(text).within(fmt::format("--stage {}", printable(text))));
    spec.stages.push_back(stage);
  }
  TRY(check_needed(spec));
  // The server's own reading of it, before anything is sent.
  auto checked = wire::decode_rollout_spec(wire::encode(spec).dump());
  if (!checked) return Error(Code::invalid_argument, checked.error().message());
  return checked;
}

Result<int> create(const CreateOptions& options, Context& context) {
  TRY_ASSIGN(const wire::RolloutSpec spec, read_spec(options));
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json made, api.post("/rollouts", wire::encode(spec)));
  const std::string id = text_of(made, "id");
  if (options.watch) {
    context.note("rollout " + id);
    return watch_rollout(id, WatchOptions{}, api, context);
  }
  context.show(made, [&] {
    std::string out = fmt::format("rollout {}: {} {} to {}\n", id, spec.model, spec.release, printable(spec.group));
    for (std::size_t i = 0; i < spec.stages.size(); ++i)
      out += fmt::format("  {}  {}\n", i + 1, describe_stage(spec.stages[i]));
    return out + fmt::format("watch it: drover rollout status {} --watch\n", id);
  });
  return kOk;
}

std::string list_text(const Json& rollouts, const Context& context) {
  if (items_of(rollouts).empty()) return "no rollouts; open one with: drover rollout create\n";
  Table table({{"ID"},
               {"NAME", Align::left, true},
               {"RELEASE", Align::left, true},
               {"GROUP", Align::left, true},
               {"STATE"},
               {"STAGE"},
               {"PROGRESS", Align::left, true},
               {"CREATED"}});
  for (const Json& item : items_of(rollouts)) {
    const auto status = wire::decode_rollout_status(item.dump());
    if (!status) {
      table.add({text_of(item, "id"), text_of(item, "name"), text_of(item, "model") + " " + text_of(item, "release"),
                 text_of(item, "group"), text_of(item, "state")});
      continue;
    }
    const auto at = static_cast<std::size_t>(status->stage);
    const bool open = at < status->stages.size();
    table.add({status->id, status->spec.name, status->spec.model + " " + status->spec.release, status->spec.group,
               state_cell(status->state), open ? fmt::format("{} of {}", at + 1, status->stages.size()) : "",
               open ? stage_counts(status->stages[at]) : "", relative_time(status->created_at, context.clock.wall())});
  }
  return table.render(context.out_style(), context.out_width());
}

Result<int> list(Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json rollouts, api.list("/rollouts", kMaxListed));
  context.show(rollouts, [&] { return list_text(rollouts, context); });
  return kOk;
}

// By id, or by a name that only one rollout has.
Result<std::string> find_id(Api& api, const std::string& id_or_name) {
  auto direct = api.get("/rollouts/" + part(id_or_name));
  if (direct) return text_of(*direct, "id");
  if (direct.error().code() != Code::not_found) return std::move(direct).error();
  TRY_ASSIGN(const Json rollouts, api.list("/rollouts", kMaxListed));
  std::vector<std::string> ids;
  for (const Json& item : items_of(rollouts))
    if (text_of(item, "name") == id_or_name) ids.push_back(text_of(item, "id"));
  if (ids.size() == 1) return ids.front();
  if (ids.empty())
    return Error(Code::not_found,
                 fmt::format("there is no rollout \"{}\"; `drover rollout list` shows them", printable(id_or_name)));
  return Error(Code::invalid_argument, fmt::format("{} rollouts are called \"{}\"; give one's id: {}", ids.size(),
                                                   printable(id_or_name), fmt::join(ids, ", ")));
}

Result<WatchOptions> watch_options(const StatusOptions& options) {
  WatchOptions out;
  if (!options.until.empty()) {
    TRY_ASSIGN(out.until, wire::rollout_state_from_text(options.until));
  }
  if (!options.timeout.empty()) {
    TRY_ASSIGN(out.timeout, parse_span(options.timeout).within("--timeout"));
    if (out.timeout.count() == 0) return Error(Code::invalid_argument, "--timeout: must be above 0");
  }
  return out;
}

Result<int> status(const StatusOptions& options, Context& context) {
  TRY_ASSIGN(const WatchOptions watching, watch_options(options));
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const std::string id, find_id(api, options.id));
  if (options.watch || !options.until.empty() || !options.timeout.empty())
    return watch_rollout(id, watching, api, context);
  TRY_ASSIGN(const Json document, api.get("/rollouts/" + part(id)));
  TRY_ASSIGN(const wire::RolloutStatus seen,
             wire::decode_rollout_status(document.dump()).within("reading the server's answer"));
  context.show(document, [&] {
    std::string out;
    for (const std::string& line : rollout_lines(seen, context.clock.wall(), context.out_width(), context.out_style()))
      out += line + "\n";
    for (const std::string& line : delta_lines(document)) out += line + "\n";
    const std::string next = next_step(seen);
    return next.empty() ? out : out + "next: " + next + "\n";
  });
  return exit_code(seen.state);
}

std::string line_after(const Json& document, const std::string& id, const char* done) {
  const auto after = document.is_object() ? wire::decode_rollout_status(document.dump())
                                          : Result<wire::RolloutStatus>(Error(Code::malformed, ""));
  return after ? fmt::format("{}: {}\n", id, rollout_line(*after)) : fmt::format("{}: {}\n", id, done);
}

Result<int> promote(const PromoteOptions& options, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const std::string id, find_id(api, options.id));
  std::int64_t from = options.from_stage - 1;
  if (options.from_stage == 0) {
    TRY_ASSIGN(const Json document, api.get("/rollouts/" + part(id)));
    from = number_of(document, "stage");
  }
  TRY_ASSIGN(const Json answer, api.post("/rollouts/" + part(id) + "/promote", {{"from_stage", from}}));
  context.show(answer, [&] { return line_after(answer, id, "promoted"); });
  return kOk;
}

struct Verb {
  const char* name;
  const char* help;
  const char* done;
  const char* question;  // null: is not asked
};
constexpr Verb kVerbs[] = {
    {"pause", "Offer it to no more devices; what is under way goes on", "paused", nullptr},
    {"resume", "Go on after a pause", "running again", nullptr},
    {"halt", "Stop for good: offer nothing, take back what is not yet activated", "halted", nullptr},
    {"abort", "Give it up for good; what is installed stays", "aborted", "give up this rollout for good?"},
    {"rollback", "Return each device to what it ran before, from its own disk", "rolling back",
     "return every device to what it ran before?"},
};

Result<int> act(const Verb& verb, const std::string& id_or_name, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const std::string id, find_id(api, id_or_name));
  if (verb.question != nullptr) TRY(context.confirm(fmt::format("{}: {}", id, verb.question)));
  TRY_ASSIGN(const Json answer, api.post(fmt::format("/rollouts/{}/{}", part(id), verb.name), Json::object()));
  context.show(answer, [&] { return line_after(answer, id, verb.done); });
  return kOk;
}

Result<int> devices(const DevicesOptions& options, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const std::string id, find_id(api, options.id));
  TRY_ASSIGN(const Json deployments,
             api.list("/rollouts/" + part(id) + "/deployments", static_cast<std::size_t>(options.limit)));
  context.show(deployments, [&] {
    if (items_of(deployments).empty()) return std::string("it has been offered to no device yet\n");
    Table table({{"DEVICE", Align::left, true},
                 {"STAGE", Align::right},
                 {"STATE"},
                 {"CODE"},
                 {"FETCHED", Align::right},
                 {"SAVED", Align::right},
                 {"DETAIL", Align::left, true}});
    for (const Json& one : items_of(deployments)) {
      const std::string name = text_of(one, "device_name"), code = text_of(one, "code");
      table.add({name.empty() ? text_of(one, "device") : name, std::to_string(number_of(one, "stage") + 1),
                 text_of(one, "state"), code == "ok" ? "" : code,
                 human_bytes(static_cast<std::uint64_t>(number_of(one, "bytes_fetched"))),
                 human_bytes(static_cast<std::uint64_t>(number_of(one, "bytes_saved"))), text_of(one, "detail")});
    }
    return table.render(context.out_style(), context.out_width());
  });
  return kOk;
}

void declare_create(CommandSpec& rollout, Context& context) {
  auto o = std::make_shared<CreateOptions>();
  CommandSpec& c = rollout.sub("create", "Open a rollout of a release to a group, stage by stage");
  c.details =
      "A stage is its size, a share of the group (25%) or a number of devices (10), and settings behind commas:\n"
      "soak=60s: how long to look on after the last needed success\n"
      "max-in-flight=10: devices that install at once\n"
      "failures=10%: halt when more of the devices that tried have failed\n"
      "min=3: devices that must have tried before the share counts, and before promotion\n"
      "success=95%: share of the stage that must have succeeded before promotion (100% when absent)\n"
      "deadline=1h: a device that says nothing final for so long counts as silent (1d when absent)\n"
      "auto: promote without a person";
  c.examples = {
      "drover rollout create --name spring --model mnist --release 1.2.0 --group shops --stage 25%,soak=10m,auto "
      "--stage 100%"};
  c.option("--name", "NAME", &o->name, "its name");
  c.option("--model", "MODEL", &o->model, "the model");
  c.option("--release", "VERSION", &o->release, "the release");
  c.option("--group", "GROUP", &o->group, "the devices");
  c.option("--stage", "STAGE", &o->stages, "a stage; each contains the one before");
  c.option("--file", "FILE", &o->file, "all of it as JSON: name, model, release, group, stages; - for standard input")
      .file();
  c.flag("--watch,-w", o->watch, "follow it, as `drover rollout status --watch` does");
  c.action = [o, &context] { return create(*o, context); };
}

void declare_status(CommandSpec& rollout, Context& context) {
  auto o = std::make_shared<StatusOptions>();
  CommandSpec& c = rollout.sub("status", "Show a rollout's stages and counts");
  c.details =
      "The exit status tells scripts: 0 completed or on its way, 7 halted, 8 waits for promotion, 9 aborted or rolled "
      "back, 10 --timeout passed. "
      "With --watch it follows the rollout until it stands still; with --until until that state (then 0).";
  c.examples = {"drover rollout status spring --watch", "drover rollout status spring --until completed --timeout 1h"};
  c.argument("ID", &o->id, "the rollout's id or name");
  c.flag("--watch,-w", o->watch, "follow it");
  c.option("--until", "STATE", &o->until, "follow it up to this state")
      .one_of(
          {"running", "awaiting_promotion", "paused", "halted", "aborted", "completed", "rolling_back", "rolled_back"});
  c.option("--timeout", "TIME", &o->timeout, "follow it for at most so long (90s, 1h)");
  c.action = [o, &context] { return status(*o, context); };
}

}  // namespace

void add_rollout_commands(CommandSpec& root, Context& context) {
  CommandSpec& rollout = root.sub("rollout", "Bring a release to a group in stages; stop it, take it back");
  declare_create(rollout, context);
  rollout.sub("list", "List rollouts").action = [&context] { return list(context); };
  declare_status(rollout, context);
  auto d = std::make_shared<DevicesOptions>();
  CommandSpec& each = rollout.sub("devices", "Show how it went on each device");
  each.argument("ID", &d->id, "the rollout's id or name");
  each.option("--limit", "N", &d->limit, "at most so many; 1000 when absent").between(1, kMaxDeployments);
  each.action = [d, &context] { return devices(*d, context); };
  auto p = std::make_shared<PromoteOptions>();
  CommandSpec& c = rollout.sub("promote", "Open the next stage");
  c.details = "When somebody else was faster the server refuses (exit status 5), so that nothing is promoted twice.";
  c.argument("ID", &p->id, "the rollout's id or name");
  c.option("--from-stage", "N", &p->from_stage, "only from this stage, counted from 1; the present one when absent")
      .between(1, wire::kMaxStages);
  c.action = [p, &context] { return promote(*p, context); };
  for (const Verb& verb : kVerbs) {
    auto id = std::make_shared<std::string>();
    CommandSpec& v = rollout.sub(verb.name, verb.help);
    v.argument("ID", id.get(), "the rollout's id or name");
    v.action = [id, &verb, &context] { return act(verb, *id, context); };
  }
}

}  // namespace drover::cli
