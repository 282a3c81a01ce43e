// trust init, delegate, renew, sign, publish, fetch, show.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "common/crypto/pem_verify.h"
#include "server/cli/api.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/files.h"
#include "server/cli/human.h"
#include "server/cli/signers.h"
#include "server/cli/table.h"
#include "server/cli/trust_store.h"

namespace drover::cli {
namespace {

constexpr std::int64_t kRootDays = 365;
constexpr std::int64_t kTargetsDays = 365;
constexpr std::int64_t kMaxDays = 3650;
constexpr std::int64_t kMaxThreshold = 64;

struct InitOptions {
  std::vector<std::string> root_keys, targets_keys;
  std::int64_t threshold = 1, root_days = kRootDays, targets_days = kTargetsDays;
  PassphraseOption passphrase;
};

struct DelegateOptions {
  std::string model, out;
  std::vector<std::string> release_keys, targets_keys;
  std::int64_t threshold = 1, days = kTargetsDays;
  PassphraseOption passphrase;
};

struct SignOptions {
  std::string file;
  std::vector<std::string> keys;
  PassphraseOption passphrase;
};

struct FetchOptions {
  std::string folder;
  std::vector<std::string> models;
};

struct RenewOptions {
  std::string role, out;
  std::vector<std::string> keys;
  std::int64_t days = kTargetsDays;
  PassphraseOption passphrase;
};

WallTime days_on(const Context& context, std::int64_t days) { return context.clock.wall() + std::chrono::days(days); }

// Private key files among them, opened; the public ones stand for people who sign elsewhere.
Result<std::vector<NamedKey>> open_private(const std::vector<std::string>& files, const PassphraseOption& passphrase,
                                           Context& context) {
  std::vector<std::string> mine;
  for (const std::string& file : files)
    if (is_private_key_file(file)) mine.push_back(file);
  return open_keys(mine, passphrase, context);
}

Status check_threshold(std::int64_t threshold, std::size_t keys, std::string_view option) {
  if (threshold <= static_cast<std::int64_t>(keys)) return {};
  return Error(Code::invalid_argument,
               fmt::format("a threshold of {} needs {} keys; {} given with {}", threshold, threshold, keys, option));
}

Result<tuf::Key> online_key(const Json& trust, const char* role) {
  const Json& key = member_of(member_of(trust, "keys"), role);
  if (key.is_null()) return Error(Code::malformed, fmt::format("the server has no key for {}", role));
  return tuf::read_key(key).within(fmt::format("the server's key for {}", role));
}

Result<tuf::Document> new_root(const InitOptions& options, const Json& trust, Context& context) {
  tuf::Document root = tuf::make_root(days_on(context, options.root_days));
  TRY_ASSIGN(const auto root_keys, read_public_keys(options.root_keys));
  TRY_ASSIGN(const auto targets_keys, read_public_keys(options.targets_keys));
  TRY(check_threshold(options.threshold, root_keys.size(), "--root-key"));
  TRY(check_threshold(options.threshold, targets_keys.size(), "--targets-key"));
  for (const tuf::Key& key : root_keys) TRY(tuf::add_root_key(root, tuf::kRoot, key));
  for (const tuf::Key& key : targets_keys) TRY(tuf::add_root_key(root, tuf::kTargets, key));
  TRY_ASSIGN(const tuf::Key snapshot, online_key(trust, "snapshot"));
  TRY_ASSIGN(const tuf::Key timestamp, online_key(trust, "timestamp"));
  TRY(tuf::add_root_key(root, tuf::kSnapshot, snapshot));
  TRY(tuf::add_root_key(root, tuf::kTimestamp, timestamp));
  TRY(tuf::set_root_threshold(root, tuf::kRoot, static_cast<int>(options.threshold)));
  TRY(tuf::set_root_threshold(root, tuf::kTargets, static_cast<int>(options.threshold)));
  return root;
}

Result<tuf::Root> parse_root(const tuf::Document& document) {
  TRY_ASSIGN(const tuf::Envelope envelope, document.envelope());
  return tuf::parse_root(envelope);
}

// Signs for one of root's roles and insists on the threshold.
Status sign_fully(tuf::Document& document, const tuf::Root& root, std::string_view role,
                  const std::vector<NamedKey>& keys) {
  const auto found = root.roles.find(role);
  if (found == root.roles.end()) return Error(Code::malformed, fmt::format("root has no role {}", role));
  TRY(sign_with(document, keys, found->second, role));
  TRY_ASSIGN(const tuf::SignatureState state,
             tuf::signature_state(document, root.keys, found->second, crypto::verify_pem));
  return require_complete(state, role);
}

// The root of an init that broke off behind it: the one that this profile pinned, if it is the server's too.
Result<tuf::Document> started_root(Api& api, FolderMetadataStore& store) {
  auto mine = store.load(tuf::kRoot);
  TRY_ASSIGN(const std::string theirs, api.metadata("1.root.json", tuf::kMaxRootBytes));
  if (!mine || as_text(*mine) != theirs)
    return Error(Code::conflict,
                 "the server has a root that was not made from this profile; its maker finishes `drover trust init`");
  return tuf::Document::parse(*mine);
}

Result<tuf::Document> signed_root(const InitOptions& options, const Json& trust, Context& context) {
  TRY_ASSIGN(tuf::Document root, new_root(options, trust, context));
  TRY_ASSIGN(const tuf::Root parsed, parse_root(root));
  TRY_ASSIGN(const auto keys, open_private(options.root_keys, options.passphrase, context));
  TRY(sign_fully(root, parsed, tuf::kRoot, keys));
  return root;
}

Result<tuf::Document> signed_targets(const InitOptions& options, const Json& trust, const tuf::Root& root,
                                     Context& context) {
  TRY_ASSIGN(const auto keys, open_private(options.targets_keys, options.passphrase, context));
  TRY_ASSIGN(const tuf::Key director, online_key(trust, "director"));
  tuf::Document targets = tuf::make_targets(days_on(context, options.targets_days));
  TRY(tuf::set_delegation(targets, tuf::director_delegation(director)));
  TRY(sign_fully(targets, root, tuf::kTargets, keys));
  return targets;
}

Result<int> init(const InitOptions& options, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json trust, api.get("/trust"));
  if (flag_of(trust, "initialised"))
    return Error(Code::already_exists, "this server's trust is initialised already; `drover trust show` shows it");
  FolderMetadataStore store = trust_store(api.profile());
  const bool started = number_of(trust, "root_version") > 0;
  TRY_ASSIGN(const tuf::Document root, started ? started_root(api, store) : signed_root(options, trust, context));
  TRY_ASSIGN(const tuf::Root parsed, parse_root(root));
  TRY_ASSIGN(const tuf::Document targets, signed_targets(options, trust, parsed, context));
  if (!started) {
    // The pin first: if the connection breaks between the two, this person still knows which root is theirs.
    TRY(store.forget());
    TRY(store.save(tuf::kRoot, as_bytes(root.encode())));
    TRY(api.post_raw("/metadata/root", root.encode()));
  }
  TRY(api.post_raw("/metadata/targets", targets.encode()));
  TRY_ASSIGN(const Json now, api.get("/trust"));
  context.show(now, [&] {
    return fmt::format(
        "trust is set up; root keys: {}\nkeep root and targets keys offline. Next: drover trust delegate MODEL "
        "--release-key PUB --targets-key KEY\n",
        describe_root(parsed));
  });
  return kOk;
}

// Posts what is complete; writes what is not to `out` for the next person.
Result<int> publish_or_keep(Api& api, const tuf::Document& document, const tuf::SignatureState& state,
                            std::string_view role, const std::string& out, Context& context) {
  Json result = {{"role", role},
                 {"version", document.version()},
                 {"signed_by", state.signed_by},
                 {"threshold", state.threshold},
                 {"published", state.complete()}};
  if (!state.complete()) {
    if (out.empty())
      return Error(Code::threshold_not_met,
                   fmt::format("{}: {}; give --out FILE to collect signatures with `drover trust sign`", role,
                               describe_signatures(state)));
    TRY(write_file(out, document.encode()));
    context.show(result, [&] {
      return fmt::format("{}: {}\nwritten to {}; the next person runs: drover trust sign {} --key KEY\n", role,
                         describe_signatures(state), out, out);
    });
    return kOk;
  }
  if (!out.empty()) TRY(write_file(out, document.encode()));
  TRY(api.post_raw(fmt::format("/metadata/{}", role), document.encode()));
  context.show(result, [&] {
    return fmt::format("published {} version {} ({})\n", role, document.version(), describe_signatures(state));
  });
  return kOk;
}

const tuf::RoleKeys& role_of(const tuf::Root& root, std::string_view role) { return root.roles.find(role)->second; }

Result<int> delegate(const DelegateOptions& options, Context& context) {
  if (!tuf::is_model_name(options.model))
    return Error(Code::invalid_argument,
                 fmt::format("\"{}\" is no model name: lower-case letters, digits, '.', '_' and '-', at most 64",
                             printable(options.model)));
  TRY_ASSIGN(auto release_keys, read_public_keys(options.release_keys));
  TRY(check_threshold(options.threshold, release_keys.size(), "--release-key"));
  TRY_ASSIGN(const auto keys, open_keys(options.targets_keys, options.passphrase, context));
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(Trust trust, Trust::refresh_for_signing(api, context));
  TRY_ASSIGN(tuf::Document targets, trust.document(tuf::kTargets));
  TRY(tuf::set_delegation(
      targets, tuf::model_delegation(options.model, std::move(release_keys), static_cast<int>(options.threshold))));
  targets.bump(days_on(context, options.days));
  const tuf::RoleKeys& role = role_of(trust.set().root(), tuf::kTargets);
  TRY(sign_with(targets, keys, role, "targets"));
  TRY_ASSIGN(const tuf::SignatureState state,
             tuf::signature_state(targets, trust.set().root().keys, role, crypto::verify_pem));
  return publish_or_keep(api, targets, state, tuf::kTargets, options.out, context);
}

Result<int> renew(const RenewOptions& options, Context& context) {
  TRY_ASSIGN(const auto keys, open_keys(options.keys, options.passphrase, context));
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(Trust trust, Trust::refresh_for_signing(api, context));
  TRY_ASSIGN(SigningRole role, trust.signing_role(api, options.role));
  if (!role.current) return Error(Code::not_found, fmt::format("{} has no metadata yet", options.role));
  tuf::Document& document = *role.current;
  document.bump(days_on(context, options.days));
  TRY(sign_with(document, keys, role.role, options.role));
  TRY_ASSIGN(const tuf::SignatureState state, tuf::signature_state(document, role.keys, role.role, crypto::verify_pem));
  return publish_or_keep(api, document, state, options.role, options.out, context);
}

// Which role a metadata file is of: a delegated one is known by its targets' common model.
Result<std::string> role_of_document(const tuf::Document& document, const tuf::Targets& targets) {
  if (document.type() == tuf::kRoot) return std::string(tuf::kRoot);
  if (document.type() != tuf::kTargets)
    return Error(Code::invalid_argument, "only root, targets and releases are signed by people");
  TRY_ASSIGN(const tuf::Envelope envelope, document.envelope());
  TRY_ASSIGN(const tuf::Targets parsed, tuf::parse_targets(envelope));
  if (parsed.targets.empty() || !parsed.delegations.empty()) return std::string(tuf::kTargets);
  TRY_ASSIGN(const tuf::ReleaseName name, tuf::parse_release_name(parsed.targets.begin()->first));
  if (targets.delegation(name.model) == nullptr)
    return Error(Code::unknown_key, "nobody may sign releases of " + name.model);
  return name.model;
}

struct Pending {
  tuf::Document document;
  std::string role;
  SigningRole signers;
};

Result<Pending> open_pending(const std::string& file, Trust& trust, Api& api) {
  TRY_ASSIGN(const std::string text, read_file(file));
  auto document = tuf::Document::parse(as_bytes(text));
  if (!document) return std::move(document).error().within(file);
  TRY_ASSIGN(std::string role, role_of_document(*document, trust.targets()).within(file));
  TRY_ASSIGN(SigningRole signers, trust.signing_role(api, role));
  const std::int64_t expected = signers.current ? signers.current->version() + 1 : 1;
  if (document->version() != expected)
    return Error(Code::conflict, fmt::format("{}: is version {}, but the server waits for version {}; make it anew",
                                             file, document->version(), expected));
  return Pending{std::move(*document), std::move(role), std::move(signers)};
}

Result<int> sign(const SignOptions& options, bool publish, Context& context) {
  TRY_ASSIGN(const auto keys, open_keys(options.keys, options.passphrase, context));
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(Trust trust, Trust::refresh_for_signing(api, context));
  TRY_ASSIGN(Pending pending, open_pending(options.file, trust, api));
  TRY(sign_with(pending.document, keys, pending.signers.role, pending.role));
  TRY_ASSIGN(const tuf::SignatureState state,
             tuf::signature_state(pending.document, pending.signers.keys, pending.signers.role, crypto::verify_pem));
  if (publish) {
    TRY(require_complete(state, pending.role));
    return publish_or_keep(api, pending.document, state, pending.role, "", context);
  }
  TRY(write_file(options.file, pending.document.encode()));
  const Json result = {{"role", pending.role},
                       {"signed_by", state.signed_by},
                       {"missing", state.missing},
                       {"threshold", state.threshold}};
  context.show(result, [&] {
    return fmt::format("{}: {}\n{}", pending.role, describe_signatures(state),
                       state.complete() ? fmt::format("next: drover trust publish {}\n", options.file) : "");
  });
  return kOk;
}

Status fetch_one(const tuf::Document& document, const std::filesystem::path& file, Json& written) {
  TRY(write_file(file, document.encode()));
  written.push_back(file.string());
  return {};
}

// For people who sign on a machine without network.
Result<int> fetch(const FetchOptions& options, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(Trust trust, Trust::refresh_for_signing(api, context));
  const std::filesystem::path folder = options.folder;
  TRY(make_folder(folder));
  Json written = Json::array();
  TRY_ASSIGN(const tuf::Document root, trust.document(tuf::kRoot));
  TRY(fetch_one(root, folder / "root.json", written));
  TRY_ASSIGN(const tuf::Document targets, trust.document(tuf::kTargets));
  TRY(fetch_one(targets, folder / "targets.json", written));
  for (const std::string& model : options.models) {
    TRY_ASSIGN(const SigningRole role, trust.signing_role(api, model));
    if (role.current)
      TRY(fetch_one(*role.current, folder / (model + ".json"), written));
    else
      context.note(fmt::format("note: {} has no release yet; sign its first one with --base none", model));
  }
  context.show({{"written", written}}, [&] {
    std::string out;
    for (const Json& file : written) out += file.get<std::string>() + "\n";
    return out;
  });
  return kOk;
}

Result<int> show(Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json trust, api.get("/trust"));
  context.show(trust, [&] {
    if (!flag_of(trust, "initialised"))
      return std::string("not initialised; an administrator runs: drover trust init\n");
    Table table({{"ROLE"}, {"VERSION", Align::right}, {"EXPIRES"}, {"NEEDS"}, {"KEYS", Align::left, true}});
    for (const Json& role : items_of(trust, "roles")) {
      std::vector<std::string> ids;
      for (const Json& id : items_of(role, "keyids"))
        if (id.is_string()) ids.push_back(id.get<std::string>());
      const auto expires = parse_time(text_of(role, "expires"));
      const bool soon = expires && *expires - context.clock.wall() < std::chrono::days(14);
      const bool online = text_of(role, "role") == "snapshot" || text_of(role, "role") == "timestamp";
      table.add({text_of(role, "role"), std::to_string(number_of(role, "version")),
                 Cell(relative_time(text_of(role, "expires"), context.clock.wall()),
                      soon && !online ? Colour::yellow : Colour::none),
                 fmt::format("{} of {}", number_of(role, "threshold"), ids.size()), describe_keyids(ids)});
    }
    return table.render(context.out_style(), context.out_width());
  });
  return kOk;
}

void declare_init(CommandSpec& trust, Context& context) {
  auto o = std::make_shared<InitOptions>();
  CommandSpec& c = trust.sub("init", "Give a new server its root and targets metadata");
  c.details =
      "Fetches the server's online public keys, makes root.json and targets.json, signs them here and publishes them. "
      "Private keys stay here. "
      "A .pub file counts as a key of somebody who does not sign today.";
  c.examples = {
      "drover trust init --root-key root-a.key --root-key root-b.key --targets-key targets-a.key --targets-key "
      "targets-b.key --threshold 2"};
  c.option("--root-key", "KEY", &o->root_keys, "a key of the root role").require().file();
  c.option("--targets-key", "KEY", &o->targets_keys, "a key of the targets role").require().file();
  c.option("--threshold", "N", &o->threshold, "how many of the keys must sign, for both roles; 1 when absent")
      .between(1, kMaxThreshold);
  c.option("--root-days", "N", &o->root_days, "days until root expires; 365 when absent").between(1, kMaxDays);
  c.option("--targets-days", "N", &o->targets_days, "days until targets expires; 365 when absent").between(1, kMaxDays);
  o->passphrase.declare(c);
  c.action = [o, &context] { return init(*o, context); };
}

void declare_delegate(CommandSpec& trust, Context& context) {
  auto o = std::make_shared<DelegateOptions>();
  CommandSpec& c = trust.sub("delegate", "Say who may sign releases of a model");
  c.details = "Replaces what was said of that model before: withdrawn keys are simply left out.";
  c.examples = {
      "drover trust delegate mnist --release-key alice.key.pub --release-key bob.key.pub --threshold 2 --targets-key "
      "targets-a.key"};
  c.argument("MODEL", &o->model, "the model's name");
  c.option("--release-key", "PUB", &o->release_keys, "public key of a release manager").require().file();
  c.option("--threshold", "N", &o->threshold, "how many of them must sign a release; 1 when absent")
      .between(1, kMaxThreshold);
  c.option("--targets-key", "KEY", &o->targets_keys, "private key of the targets role").require().file();
  c.option("--expires-days", "N", &o->days, "days until targets expires; 365 when absent").between(1, kMaxDays);
  c.option("--out", "FILE", &o->out, "keep it in a file, to collect more signatures").file();
  o->passphrase.declare(c);
  c.action = [o, &context] { return delegate(*o, context); };
}

void declare_renew(CommandSpec& trust, Context& context) {
  auto o = std::make_shared<RenewOptions>();
  CommandSpec& c = trust.sub("renew", "Sign a role anew before it expires, without other changes");
  c.examples = {"drover trust renew mnist --key alice.key", "drover trust renew root --key root-a.key --out root.json"};
  c.argument("ROLE", &o->role, "root, targets or a model");
  c.option("--key", "KEY", &o->keys, "private key of that role").require().file();
  c.option("--expires-days", "N", &o->days, "days until it expires; 365 when absent").between(1, kMaxDays);
  c.option("--out", "FILE", &o->out, "keep it in a file, to collect more signatures").file();
  o->passphrase.declare(c);
  c.action = [o, &context] { return renew(*o, context); };
}

void declare_sign(CommandSpec& trust, Context& context) {
  auto o = std::make_shared<SignOptions>();
  CommandSpec& c = trust.sub("sign", "Add a signature to metadata that waits in a file");
  c.argument("FILE", &o->file, "what --out wrote").file();
  c.option("--key", "KEY", &o->keys, "private key of its role").require().file();
  o->passphrase.declare(c);
  c.action = [o, &context] { return sign(*o, false, context); };
  auto p = std::make_shared<SignOptions>();
  CommandSpec& publish = trust.sub("publish", "Publish metadata from a file once its signatures are complete");
  publish.argument("FILE", &p->file, "what --out wrote").file();
  publish.action = [p, &context] { return sign(*p, true, context); };
}

void declare_fetch(CommandSpec& trust, Context& context) {
  auto o = std::make_shared<FetchOptions>();
  CommandSpec& c = trust.sub("fetch", "Write the present metadata to a folder, for signing without network");
  c.details = "Everything is checked from the pinned root on before it is written.";
  c.examples = {"drover trust fetch stick --model mnist"};
  c.argument("DIR", &o->folder, "the folder").folder();
  c.option("--model", "MODEL", &o->models, "this model's metadata too");
  c.action = [o, &context] { return fetch(*o, context); };
}

}  // namespace

void add_trust_commands(CommandSpec& root, Context& context) {
  CommandSpec& trust = root.sub("trust", "Who may sign what: root, targets and the models' release keys");
  declare_init(trust, context);
  declare_delegate(trust, context);
  declare_renew(trust, context);
  declare_sign(trust, context);
  declare_fetch(trust, context);
  trust.sub("show", "Show the roles, their keys, thresholds and expiry").action = [&context] { return show(context); };
}

}  // namespace drover::cli
