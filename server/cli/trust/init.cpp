// trust init.
#include <fmt/format.h>

#include <algorithm>

#include "server/cli/trust/change_command.h"
#include "server/cli/trust/commands.h"
#include "server/cli/trust_store.h"

namespace drover::cli {
namespace {

struct InitOptions {
  std::vector<std::string> root_keys, targets_keys;
  std::string out;
  std::int64_t threshold = 1, root_threshold = 0, targets_threshold = 0;
  std::int64_t root_days = kTrustDays, targets_days = kTrustDays;
  bool dry_run = false;
  PassphraseOption passphrase;

  int root_needs() const { return static_cast<int>(root_threshold > 0 ? root_threshold : threshold); }
  int targets_needs() const { return static_cast<int>(targets_threshold > 0 ? targets_threshold : threshold); }
};

WallTime days_on(const Context& context, std::int64_t days) { return context.clock.wall() + std::chrono::days(days); }

Status check_threshold(int threshold, std::size_t keys, std::string_view option) {
  if (threshold <= static_cast<int>(keys)) return {};
  return Error(Code::invalid_argument,
               fmt::format("a threshold of {} needs {} keys; {} given with {}", threshold, threshold, keys, option));
}

Result<tuf::Key> online_key(const Json& trust, const char* role) {
  const Json& key = member_of(member_of(trust, "keys"), role);
  if (key.is_null()) return Error(Code::malformed, fmt::format("the server has no key for {}", role));
  return tuf::read_key(key).within(fmt::format("the server's key for {}", role));
}

Result<tuf::Document> new_root(const InitOptions& options, const Json& trust, const Context& context) {
  tuf::Document root = tuf::make_root(days_on(context, options.root_days));
  TRY_ASSIGN(const auto root_keys, read_public_keys(options.root_keys));
  TRY_ASSIGN(const auto targets_keys, read_public_keys(options.targets_keys));
  TRY(check_threshold(options.root_needs(), root_keys.size(), "--root-key"));
  TRY(check_threshold(options.targets_needs(), targets_keys.size(), "--targets-key"));
  for (const tuf::Key& key : root_keys) TRY(tuf::add_root_key(root, tuf::kRoot, key));
  for (const tuf::Key& key : targets_keys) TRY(tuf::add_root_key(root, tuf::kTargets, key));
  TRY_ASSIGN(const tuf::Key snapshot, online_key(trust, "snapshot"));
  TRY_ASSIGN(const tuf::Key timestamp, online_key(trust, "timestamp"));
  TRY(tuf::add_root_key(root, tuf::kSnapshot, snapshot));
  TRY(tuf::add_root_key(root, tuf::kTimestamp, timestamp));
  TRY(tuf::set_root_threshold(root, tuf::kRoot, options.root_needs()));
  TRY(tuf::set_root_threshold(root, tuf::kTargets, options.targets_needs()));
  return root;
}

Result<tuf::Document> new_targets(const InitOptions& options, const Json& trust, const Context& context) {
  TRY_ASSIGN(const tuf::Key director, online_key(trust, "director"));
  tuf::Document targets = tuf::make_targets(days_on(context, options.targets_days));
  TRY(tuf::set_delegation(targets, tuf::director_delegation(director)));
  return targets;
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

Result<Change> first_change(const InitOptions& options, const Json& trust, Api& api, const Context& context) {
  Present present;
  FolderMetadataStore store = trust_store(api.profile());
  const bool started = number_of(trust, "root_version") > 0;
  if (started) {
    TRY_ASSIGN(tuf::Document root, started_root(api, store));
    present.roots.push_back(std::move(root));
  }
  Change change(std::move(present));
  if (!started) {
    TRY_ASSIGN(tuf::Document root, new_root(options, trust, context));
    change.create(std::string(tuf::kRoot), std::move(root));
  }
  TRY_ASSIGN(tuf::Document targets, new_targets(options, trust, context));
  change.create(std::string(tuf::kTargets), std::move(targets));
  return change;
}

// Private key files among both lists, each once; the public ones stand for people who sign elsewhere.
std::vector<std::string> signing_files(const InitOptions& options) {
  std::vector<std::string> files;
  for (const auto* list : {&options.root_keys, &options.targets_keys})
    for (const std::string& file : *list)
      if (is_private_key_file(file) && std::find(files.begin(), files.end(), file) == files.end())
        files.push_back(file);
  return files;
}

Result<int> init(const InitOptions& options, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Json trust, api.get("/trust"));
  if (flag_of(trust, "initialised"))
    return Error(Code::already_exists, "this server's trust is initialised already; `drover trust show` shows it");
  TRY_ASSIGN(Change change, first_change(options, trust, api, context));
  ChangeOptions end;
  end.keys = signing_files(options);
  end.out = options.out;
  end.dry_run = options.dry_run;
  end.passphrase = options.passphrase;
  const bool first = change.has(std::string(tuf::kRoot));
  TRY_ASSIGN(const tuf::Root root, change.root());
  TRY_ASSIGN(const int done, finish_change(std::move(change), end, &api, context));
  if (first && !options.dry_run)
    context.note(
        fmt::format("root keys: {}\nkeep root and targets keys offline. Next: drover trust delegate MODEL "
                    "--release-key PUB --targets-key KEY",
                    describe_root(root)));
  return done;
}

}  // namespace

void declare_trust_init(CommandSpec& trust, Context& context) {
  auto o = std::make_shared<InitOptions>();
  CommandSpec& c = trust.sub("init", "Give a new server its root and targets metadata");
  c.details =
      "Fetches the server's online public keys, makes root.json and targets.json, signs them here and publishes them. "
      "Private keys stay here. "
      "A .pub file counts as a key of somebody who does not sign today; with --out everybody signs in turn, on a "
      "machine "
      "without network too (`drover trust sign`).";
  c.examples = {
      "drover trust init --root-key root-a.key --root-key root-b.key --targets-key targets-a.key --targets-key "
      "targets-b.key --threshold 2",
      "drover trust init --root-key a.pub --root-key b.pub --root-key c.pub --targets-key t.pub --root-threshold 2 "
      "--out "
      "first.json"};
  c.option("--root-key", "KEY", &o->root_keys, "a key of the root role").require().file();
  c.option("--targets-key", "KEY", &o->targets_keys, "a key of the targets role").require().file();
  c.option("--threshold", "N", &o->threshold, "how many of the keys must sign, for both roles; 1 when absent")
      .between(1, kMaxThreshold);
  c.option("--root-threshold", "N", &o->root_threshold, "for root alone").between(1, kMaxThreshold);
  c.option("--targets-threshold", "N", &o->targets_threshold, "for targets alone").between(1, kMaxThreshold);
  c.option("--root-days", "N", &o->root_days, "days until root expires; 365 when absent").between(1, kMaxTrustDays);
  c.option("--targets-days", "N", &o->targets_days, "days until targets expires; 365 when absent")
      .between(1, kMaxTrustDays);
  c.flag("--dry-run", o->dry_run, "show what would be made and who must sign; sign and send nothing");
  c.option("--out", "FILE", &o->out, "write it to a file, to collect signatures of several people").file();
  o->passphrase.declare(c);
  c.action = [o, &context] { return init(*o, context); };
}

}  // namespace drover::cli
