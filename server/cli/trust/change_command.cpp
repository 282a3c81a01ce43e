#include "server/cli/trust/change_command.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/cli/exit_code.h"
#include "server/cli/files.h"
#include "server/cli/trust/describe.h"
#include "server/cli/trust/edits.h"
#include "server/cli/trust_store.h"

namespace drover::cli {
namespace {

namespace fs = std::filesystem;

Result<tuf::Document> read_document(const fs::path& file) {
  TRY_ASSIGN(const std::string text, read_file(file));
  return tuf::Document::parse(as_bytes(text)).within(file.string());
}

// "1.root.json" to "N.root.json", as far as they are there, and root.json as the last.
Result<std::vector<tuf::Document>> read_chain(const fs::path& folder) {
  TRY_ASSIGN(tuf::Document last, read_document(folder / "root.json"));
  std::vector<tuf::Document> roots;
  for (std::int64_t version = std::max<std::int64_t>(1, last.version() - tuf::kMaxRootRotations);
       version < last.version(); ++version) {
    auto root = read_document(folder / fmt::format("{}.root.json", version));
    if (root)
      roots.push_back(std::move(*root));
    else if (root.error().code() == Code::not_found)
      roots.clear();
    else
      return std::move(root).error();
  }
  roots.push_back(std::move(last));
  return roots;
}

// What snapshot.json lists has a file in the folder, or was left out when it was fetched.
Result<std::optional<tuf::Document>> read_model(const fs::path& folder, const std::string& model) {
  auto document = read_document(folder / (model + ".json"));
  if (document) return std::optional(std::move(*document));
  if (document.error().code() != Code::not_found) return std::move(document).error();
  TRY_ASSIGN(const tuf::Document snapshot, read_document(folder / "snapshot.json"));
  TRY_ASSIGN(const tuf::Envelope envelope, snapshot.envelope());
  TRY_ASSIGN(const tuf::Snapshot listed, tuf::parse_snapshot(envelope));
  if (!listed.meta.contains(model + ".json")) return std::optional<tuf::Document>();
  return Error(Code::not_found, fmt::format("{} lacks {}.json, which this change touches; fetch it too: drover trust "
                                            "fetch DIR --model {}",
                                            folder.string(), model, model));
}

bool may_sign(const std::vector<Needed>& needed, const std::string& keyid, const std::string& role) {
  return std::any_of(needed.begin(), needed.end(), [&](const Needed& one) {
    const auto& ids = one.signers.keyids;
    return (role.empty() || one.role == role) && std::find(ids.begin(), ids.end(), keyid) != ids.end();
  });
}

Error no_signer(const std::vector<Needed>& needed, const std::string& file, const std::string& keyid) {
  std::string takes;
  for (const Needed& one : needed)
    takes += fmt::format("{}{} takes {} of {}", takes.empty() ? "" : "; ", one.role, one.signers.threshold,
                         describe_keyids(one.signers.keyids));
  return Error(Code::unknown_key,
               fmt::format("{} (key {}) may sign nothing of this change: {}", file, short_keyid(keyid), takes));
}

// A key that may sign nothing here: not needed, when it has a role that this change does not touch; else a mistake.
Status pass_over(const Change& change, const std::vector<Needed>& needed, const std::string& file,
                 const std::string& keyid, const Context& context) {
  TRY_ASSIGN(const std::vector<std::string> roles, roles_of_key(change, keyid));
  if (roles.empty()) return no_signer(needed, file, keyid);
  context.note(fmt::format("note: {}, a key of {}, is not needed for this change", file, fmt::join(roles, " and ")));
  return {};
}

// What the keys would sign, without opening them.
Result<Json> plan_signatures(const Change& change, const std::vector<std::string>& files, const Context& context) {
  TRY_ASSIGN(const std::vector<Needed> needed, change.needed());
  Json out = Json::array();
  for (const std::string& file : files) {
    TRY_ASSIGN(const tuf::Key key, read_public_key(file));
    Json roles = Json::array();
    for (const std::string& role : change.roles())
      if (may_sign(needed, key.id, role)) roles.push_back(role);
    if (roles.empty()) {
      TRY(pass_over(change, needed, file, key.id, context));
      continue;
    }
    out.push_back({{"key", file}, {"keyid", key.id}, {"signs", roles}});
  }
  return out;
}

Result<int> show_plan(const Change& change, const ChangeOptions& options, Context& context) {
  TRY_ASSIGN(Json description, describe_change(change));
  TRY_ASSIGN(description["would_sign"], plan_signatures(change, options.keys, context));
  description["dry_run"] = true;
  description["published"] = false;
  context.show(description, [&] {
    std::string out = "this change, as it stands:\n";
    out += render_change(description, context.clock.wall(), context.out_style());
    for (const Json& one : items_of(description, "would_sign"))
      out += fmt::format("  {} would sign {}\n", text_of(one, "key"),
                         fmt::join(one["signs"].get<std::vector<std::string>>(), ", "));
    return out + "--dry-run: nothing was signed, written or sent\n";
  });
  return kOk;
}

Status check_signed(const Change& change, const ChangeOptions& options, bool online) {
  TRY_ASSIGN(const std::string missing, first_missing(change));
  if (!options.out.empty()) return {};
  if (!online)
    return Error(Code::invalid_argument, "--from works without the server: give --out FILE to carry the change there");
  if (missing.empty()) return {};
  return Error(
      Code::threshold_not_met,
      fmt::format("{}; give --out FILE to collect signatures with `drover trust sign`, or more --key", missing));
}

std::string next_step(const Json& description, const ChangeOptions& options) {
  if (flag_of(description, "published")) return "published\n";
  if (flag_of(description, "complete"))
    return fmt::format("written to {}; on a machine with network: drover trust publish {}\n", options.out, options.out);
  return fmt::format("written to {}; the next person runs: drover trust sign {} --key KEY\n", options.out, options.out);
}

}  // namespace

void ChangeOptions::declare(CommandSpec& command, std::string key_names) {
  command.option(std::move(key_names), "KEY", &keys, "private key that signs; of any role that the change touches")
      .file();
  command.flag("--dry-run", dry_run,
               "show what would change, who must sign and what devices do; sign and send nothing");
  command.option("--out", "FILE", &out, "write the change to a file, to collect signatures of several people").file();
  command.option("--from", "DIR", &from, "without the server: the present metadata, as `drover trust fetch` wrote it")
      .folder();
  command.option("--expires-days", "N", &days, "days until what is signed expires; 365 when absent")
      .between(1, kMaxTrustDays);
  passphrase.declare(command);
}

WallTime ChangeOptions::expires(const Context& context) const { return context.clock.wall() + std::chrono::days(days); }

Result<std::optional<tuf::Document>> pinned_root(const Context& context) {
  const auto folder = profile_folder(context);
  if (!folder) return std::optional<tuf::Document>();
  auto root = read_document(*folder / "trust" / "root.json");
  if (root) return std::optional(std::move(*root));
  if (root.error().code() == Code::not_found) return std::optional<tuf::Document>();
  return std::move(root).error();
}

Result<std::vector<tuf::Document>> root_chain(Api& api, std::int64_t version) {
  std::vector<tuf::Document> roots;
  for (std::int64_t at = std::max<std::int64_t>(1, version - tuf::kMaxRootRotations); at <= version; ++at) {
    TRY_ASSIGN(const std::string text, api.metadata(fmt::format("{}.root.json", at), tuf::kMaxRootBytes));
    TRY_ASSIGN(tuf::Document root, tuf::Document::parse(as_bytes(text), tuf::kMaxRootBytes));
    roots.push_back(std::move(root));
  }
  return roots;
}

Result<Present> present_of_server(Api& api, Context& context) {
  TRY_ASSIGN(Trust walked, Trust::refresh_for_signing(api, context));
  const auto trust = std::make_shared<Trust>(std::move(walked));
  Present out;
  TRY_ASSIGN(tuf::Document root, trust->document(tuf::kRoot));
  out.roots.push_back(std::move(root));
  TRY_ASSIGN(out.targets, trust->document(tuf::kTargets));
  out.load = [trust, &api](const std::string& model) { return trust->role(api, model); };
  return out;
}

Result<Present> present_of_folder(const std::string& folder, Context& context) {
  Present out;
  TRY_ASSIGN(out.roots, read_chain(folder));
  TRY_ASSIGN(out.targets, read_document(fs::path(folder) / "targets.json"));
  TRY_ASSIGN(const auto pinned, pinned_root(context));
  if (!pinned) context.note("note: this machine has pinned no root, so that the files are believed as they are");
  TRY(verify_present(out, pinned ? &*pinned : nullptr).within(folder));
  TRY_ASSIGN(const tuf::Targets targets, parse_targets(*out.targets));
  out.load = [folder, targets](const std::string& name) -> Result<std::optional<tuf::Document>> {
    TRY_ASSIGN(std::optional<tuf::Document> model, read_model(folder, name));
    if (model) TRY(verify_model(targets, name, *model).within(folder));
    return model;
  };
  return out;
}

Status sign_change(Change& change, const std::vector<NamedKey>& keys, const Context& context) {
  TRY_ASSIGN(const std::vector<Needed> needed, change.needed());
  for (const NamedKey& key : keys)
    if (!may_sign(needed, key.key.id, "")) TRY(pass_over(change, needed, key.file, key.key.id, context));
  for (const std::string& role : change.roles())
    for (const NamedKey& key : keys)
      if (may_sign(needed, key.key.id, role)) TRY(add_signature(change.file(role), key));
  return {};
}

// The pin first: if the connection breaks between the two, this person still knows which root is theirs.
Status pin_first_root(const Change& change, Api& api) {
  const std::string role(tuf::kRoot);
  if (change.before(role) != nullptr || !change.has(role)) return {};
  FolderMetadataStore store = trust_store(api.profile());
  TRY(store.forget());
  return store.save(tuf::kRoot, as_bytes(change.file(role).encode()));
}

Status publish_change(const Change& change, Api& api) {
  TRY(pin_first_root(change, api));
  const std::vector<std::string> roles = change.roles();
  if (roles.size() == 1) {
    TRY(api.post_raw("/metadata/" + part(roles.front()), change.file(roles.front()).encode()));
    return {};
  }
  TRY(api.post("/metadata", change.publication()));
  return {};
}

Result<Change> read_change(const std::string& file) {
  TRY_ASSIGN(const std::string text, read_file(file, kMaxChangeFile));
  auto change = Change::decode(text);
  if (change) return change;
  return Error(change.error().code(), file + ": " + change.error().message());
}

Result<int> finish_change(Change change, const ChangeOptions& options, Api* api, Context& context) {
  if (options.dry_run) return show_plan(change, options, context);
  TRY_ASSIGN(const auto keys, open_keys(options.keys, options.passphrase, context));
  TRY(sign_change(change, keys, context));
  TRY(check_signed(change, options, api != nullptr));
  TRY_ASSIGN(Json description, describe_change(change));
  const bool published = api != nullptr && flag_of(description, "complete");
  if (!options.out.empty()) {
    if (api != nullptr && !change.present().roots.empty()) {
      TRY_ASSIGN(change.present().roots, root_chain(*api, change.present().roots.back().version()));
    }
    TRY(write_file(options.out, change.encode()));
  }
  if (published) TRY(publish_change(change, *api));
  description["published"] = published;
  description["dry_run"] = false;
  context.show(description, [&] {
    return render_change(description, context.clock.wall(), context.out_style()) + next_step(description, options);
  });
  return kOk;
}

Result<int> make_change(const ChangeOptions& options, Context& context, const Edit& edit) {
  std::optional<Api> api;
  if (options.from.empty()) {
    TRY_ASSIGN(Api opened, connect(context));
    api.emplace(std::move(opened));
  }
  TRY_ASSIGN(Present present, api ? present_of_server(*api, context) : present_of_folder(options.from, context));
  Change change(std::move(present));
  TRY(edit(change, api ? &*api : nullptr));
  if (change.roles().empty()) return Error(Code::invalid_argument, "this changes nothing");
  TRY(change.follow(context.clock.wall(), options.expires(context)));
  return finish_change(std::move(change), options, api ? &*api : nullptr, context);
}

}  // namespace drover::cli
