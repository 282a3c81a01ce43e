// release list, show; and what the release commands share.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "proto/json/reader.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/files.h"
#include "server/cli/human.h"
#include "server/cli/release_commands.h"
#include "server/cli/rollout_view.h"
#include "server/cli/table.h"

namespace drover::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxModels = 4096;
constexpr std::size_t kMaxReleases = 10'000;
constexpr std::size_t kMaxReleaseFile = 4096;
constexpr std::int64_t kMaxCounter = std::int64_t{1} << 53;

fs::path release_file(const fs::path& folder) { return folder / "drover" / "release.json"; }

Result<std::optional<std::int64_t>> read_counter(const fs::path& folder) {
  const auto text = read_file(release_file(folder), kMaxReleaseFile);
  if (!text) {
    if (text.error().code() == Code::not_found) return std::optional<std::int64_t>();
    return text.error();
  }
  TRY_ASSIGN(const json::Value document, json::parse(*text, kMaxReleaseFile).within(release_file(folder).string()));
  json::Reader in(document);
  const std::int64_t counter = in.integer("release_counter", 1, kMaxCounter);
  TRY(in.finish().within(release_file(folder).string()));
  return std::optional(counter);
}

std::uint64_t release_bytes(const Json& release) {
  std::uint64_t bytes = 0;
  for (const Json& variant : items_of(release, "variants"))
    bytes += static_cast<std::uint64_t>(number_of(variant, "bytes"));
  return bytes;
}

std::string kinds_of(const Json& release) {
  std::string kinds;
  for (const Json& variant : items_of(release, "variants")) {
    kinds += (kinds.empty() ? "" : ", ") + text_of(variant, "kind");
    if (const std::string precision = text_of(variant, "precision"); !precision.empty())
      kinds += " (" + precision + ")";
  }
  return kinds;
}

Cell state_cell(const std::string& state) { return Cell(state, state == "withdrawn" ? Colour::red : Colour::green); }

std::string list_text(const Json& releases, const Context& context) {
  if (items_of(releases).empty()) return "no releases yet; make one with: drover release build\n";
  Table table({{"MODEL"},
               {"VERSION"},
               {"STATE"},
               {"COUNTER", Align::right},
               {"VARIANTS", Align::left, true},
               {"SIZE", Align::right},
               {"PUBLISHED"}});
  for (const Json& release : items_of(releases))
    table.add({text_of(release, "model"), text_of(release, "version"), state_cell(text_of(release, "state")),
               std::to_string(number_of(release, "release_counter")), kinds_of(release),
               human_bytes(release_bytes(release)),
               relative_time(text_of(release, "published_at"), context.clock.wall())});
  return table.render(context.out_style(), context.out_width());
}

std::string model_name(const Json& model) {
  return model.is_string()                ? model.get<std::string>()
         : text_of(model, "name").empty() ? text_of(model, "model")
                                          : text_of(model, "name");
}

Result<int> list(const std::string& model, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  std::vector<std::string> models = {model};
  if (model.empty()) {
    TRY_ASSIGN(const Json all, api.list("/models", kMaxModels));
    models.clear();
    for (const Json& one : items_of(all)) models.push_back(model_name(one));
  }
  Json releases = {{"items", Json::array()}, {"next", nullptr}};
  for (const std::string& one : models) {
    TRY_ASSIGN(const Json page, api.list(fmt::format("/models/{}/releases", part(one)), kMaxReleases));
    for (const Json& release : items_of(page)) releases["items"].push_back(release);
  }
  context.show(releases, [&] { return list_text(releases, context); });
  return kOk;
}

std::string show_text(const Json& release, const Context& context) {
  const std::string state = text_of(release, "state");
  std::vector<std::pair<std::string, Cell>> fields = {
      {"release", text_of(release, "model") + " " + text_of(release, "version")},
      {"state", state_cell(state)},
      {"counter", std::to_string(number_of(release, "release_counter"))},
      {"index", text_of(release, "index")},
      {"published", relative_time(text_of(release, "published_at"), context.clock.wall())}};
  if (const auto found = release.find("deltas"); found != release.end())
    if (const auto progress = wire::decode_delta_progress(*found)) fields.push_back({"deltas", delta_line(*progress)});
  std::string out = render_fields(fields, context.out_style());
  Table table({{"KIND"},
               {"ARCHITECTURE"},
               {"PRECISION"},
               {"ENCRYPTED"},
               {"SIZE", Align::right},
               {"PACKAGE", Align::left, true}});
  for (const Json& variant : items_of(release, "variants"))
    table.add({text_of(variant, "kind"), text_of(variant, "architecture"), text_of(variant, "precision"),
               flag_of(variant, "encrypted") ? "yes" : "no",
               human_bytes(static_cast<std::uint64_t>(number_of(variant, "bytes"))), text_of(variant, "manifest")});
  return out + "\n" + table.render(context.out_style(), context.out_width());
}

Result<int> show(const std::string& model, const std::string& version, Context& context) {
  TRY(check_release_name(model, version));
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json release, api.get(fmt::format("/models/{}/releases/{}", part(model), part(version))));
  context.show(release, [&] { return show_text(release, context); });
  return kOk;
}

}  // namespace

Result<ReleaseFolder> open_release(const fs::path& folder) {
  TRY_ASSIGN(package::Layout layout, package::Layout::open(folder));
  TRY(package::verify_layout(layout).within(folder.string()));
  TRY_ASSIGN(package::StoredIndex index, layout.read_index());
  TRY(check_release_name(index.index.model, index.index.version).within(folder.string()));
  TRY_ASSIGN(const std::optional<std::int64_t> counter, read_counter(folder));
  return ReleaseFolder{std::move(layout), std::move(index), counter};
}

Status save_release_counter(const fs::path& folder, std::int64_t counter) {
  TRY(make_folder(release_file(folder).parent_path()));
  return write_file(release_file(folder), Json({{"release_counter", counter}}).dump() + "\n");
}

tuf::Target release_target(const ReleaseFolder& release, std::int64_t counter) {
  tuf::Target target;
  target.length = release.index.size;
  target.hashes["sha256"] = release.index.digest.hex();
  target.custom = tuf::release_custom_json(tuf::ReleaseCustom{counter, release.index.index.kinds()});
  return target;
}

Result<tuf::Targets> parse_role(const std::optional<tuf::Document>& role) {
  if (!role) return tuf::Targets{};
  TRY_ASSIGN(const tuf::Envelope envelope, role->envelope());
  return tuf::parse_targets(envelope);
}

Result<std::int64_t> highest_counter(const std::optional<tuf::Document>& role) {
  TRY_ASSIGN(const tuf::Targets listed, parse_role(role));
  std::int64_t highest = 1;
  for (const auto& [path, target] : listed.targets) {
    TRY_ASSIGN(const tuf::ReleaseCustom custom, tuf::parse_release_custom(target.custom).within(path));
    highest = std::max(highest, custom.release_counter);
  }
  return highest;
}

Status check_release_name(const std::string& model, const std::string& version) {
  if (!tuf::is_model_name(model))
    return Error(Code::invalid_argument,
                 fmt::format("\"{}\" is no model name: lower-case letters, digits, '.', '_' and '-', at most 64",
                             printable(model)));
  if (!tuf::is_release_version(version))
    return Error(
        Code::invalid_argument,
        fmt::format("\"{}\" is no version: letters, digits, '.', '_', '+' and '-', at most 64", printable(version)));
  return {};
}

void declare_release_list(CommandSpec& release, Context& context) {
  auto model = std::make_shared<std::string>();
  CommandSpec& all = release.sub("list", "List releases, of one model or of all");
  all.option("MODEL", "MODEL", model.get(), "the model; all when absent");
  all.action = [model, &context] { return list(*model, context); };
  auto name = std::make_shared<std::pair<std::string, std::string>>();
  CommandSpec& one = release.sub("show", "Show a release and its variants");
  one.argument("MODEL", &name->first, "the model");
  one.argument("VERSION", &name->second, "the release");
  one.action = [name, &context] { return show(name->first, name->second, context); };
}

void add_release_commands(CommandSpec& root, Context& context) {
  CommandSpec& release = root.sub("release", "Build, sign, publish and withdraw releases of models");
  declare_release_build(release, context);
  declare_release_sign(release, context);
  declare_release_push(release, context);
  declare_release_list(release, context);
  declare_release_withdraw(release, context);
  declare_release_transfer(release, context);
}

}  // namespace drover::cli
