// keys rotate; trust online rotate; trust renew.
#include <fmt/format.h>

#include <algorithm>

#include "common/crypto/ed25519.h"
#include "server/cli/human.h"
#include "server/cli/trust/change_command.h"
#include "server/cli/trust/commands.h"
#include "server/cli/trust/edits.h"
#include "server/cli/trust_store.h"

namespace drover::cli {
namespace {

struct RotateOptions {
  std::string old_key, new_key;
  ChangeOptions change;
};

struct OnlineOptions {
  std::vector<std::string> roles;
  ChangeOptions change;
};

struct RenewOptions {
  std::string role;
  ChangeOptions change;
};

// Among all keys that people hold.
Result<std::string> find_anywhere(const Change& change, const std::string& text) {
  TRY_ASSIGN(const tuf::Root root, change.root());
  TRY_ASSIGN(const tuf::Targets targets, change.targets());
  RoleView all;
  for (const std::string_view role : {tuf::kRoot, tuf::kTargets})
    for (const std::string& id : root.roles.find(role)->second.keyids) all.role.keyids.push_back(id);
  for (const tuf::Delegation& one : targets.delegations)
    if (one.name != tuf::kDirector)
      all.role.keyids.insert(all.role.keyids.end(), one.keys.keyids.begin(), one.keys.keyids.end());
  return find_key(all, "the metadata", text)
      .within("`drover trust doctor` lists all keys, and `drover trust online rotate` renews the server's");
}

Result<int> rotate(const RotateOptions& options, Context& context) {
  TRY_ASSIGN(const tuf::Key key, read_public_key(options.new_key));
  return make_change(options.change, context, [&](Change& change, Api*) -> Status {
    TRY_ASSIGN(const std::string id, find_anywhere(change, options.old_key));
    TRY_ASSIGN(const std::vector<std::string> roles, roles_of_key(change, id));
    context.note(fmt::format("key {} stands in: {}", short_keyid(id), fmt::join(roles, ", ")));
    return replace_key(change, id, key, options.change.expires(context));
  });
}

// In a dry run the server is asked for no key: the one that waits there, or a stand-in.
Result<tuf::Key> key_to_come(const std::string& role, const OnlineOptions& options, Api& api, Context& context) {
  if (!options.change.dry_run) {
    const Json roles = Json::array({role});
    const Json body = {{"roles", roles}};
    TRY_ASSIGN(const Json made, api.post("/trust/keys", body));
    return tuf::read_key(member_of(member_of(made, "keys"), role)).within("the server's new key");
  }
  TRY_ASSIGN(const Json trust, api.get("/trust"));
  const Json& waiting = member_of(member_of(trust, "next_keys"), role);
  if (!waiting.is_null()) return tuf::read_key(waiting).within("the server's new key");
  context.note(
      fmt::format("note: the server makes its new {} key when this runs for real; the one below stands for it", role));
  return tuf::make_key(crypto::KeyPair::generate(context.rng).public_key());
}

Result<int> rotate_online(OnlineOptions options, Context& context) {
  if (!options.change.from.empty())
    return Error(
        Code::invalid_argument,
        "the server makes these keys: run this with --out FILE where it is reached, and carry the file to those "
        "who sign");
  if (options.roles.empty()) options.roles = {"snapshot", "timestamp", "director"};
  for (const std::string& role : options.roles)
    if (role != tuf::kSnapshot && role != tuf::kTimestamp && role != tuf::kDirector)
      return Error(Code::invalid_argument, "the online roles are snapshot, timestamp and director");
  return make_change(options.change, context, [&](Change& change, Api* api) -> Status {
    for (const std::string& role : options.roles) {
      TRY_ASSIGN(const tuf::Key key, key_to_come(role, options, *api, context));
      TRY(set_online_key(change, role, key, options.change.expires(context)));
    }
    return {};
  });
}

Result<int> renew(const RenewOptions& options, Context& context) {
  if (options.role != tuf::kRoot && options.role != tuf::kTargets && !tuf::is_model_name(options.role))
    return Error(Code::invalid_argument,
                 fmt::format("\"{}\" is neither root nor targets nor a model", printable(options.role)));
  return make_change(options.change, context, [&](Change& change, Api*) -> Status {
    TRY(view_role(change, options.role));
    TRY(change.edit(options.role, options.change.expires(context)));
    return {};
  });
}

}  // namespace

void declare_keys_rotate(CommandSpec& keys, Context& context) {
  auto o = std::make_shared<RotateOptions>();
  CommandSpec& c = keys.sub("rotate", "Put a new key in the place of an old one, wherever that stands");
  c.details =
      "Finds the roles in which the old key stands: root, targets, models. One change puts the new one there, and has "
      "signed anew what counted on the old one's signature. If the old key is lost, the others of its roles sign.";
  c.examples = {"drover keys rotate alice.key alice-2027.key --key targets-a.key --key alice-2027.key",
                "drover keys rotate 3f0cab12 carol.key.pub --dry-run"};
  c.argument("OLD", &o->old_key, "its id (8 digits or more), .pub file or key file").file();
  c.argument("NEW", &o->new_key, "the new public key: a .pub file, a key file or 64 hexadecimal digits").file();
  o->change.declare(c);
  c.action = [o, &context] { return rotate(*o, context); };
}

void declare_trust_online(CommandSpec& trust, Context& context) {
  CommandSpec& online = trust.sub("online", "The keys that the server signs with by itself");
  auto o = std::make_shared<OnlineOptions>();
  CommandSpec& c = online.sub("rotate", "Let the server make new online keys, and sign them in");
  c.details =
      "The server makes new keys and goes on with the old ones until root and targets that name the new ones are "
      "published; then it switches in that moment. Whatever is killed in between, one of the two always signs.";
  c.examples = {"drover trust online rotate --key root-a.key --key root-b.key --key targets-a.key",
                "drover trust online rotate timestamp --out change.json"};
  OptionSpec& roles = c.argument("ROLE", &o->roles, "snapshot, timestamp, director; all three when absent");
  roles.required = false;
  o->change.declare(c);
  c.action = [o, &context] { return rotate_online(*o, context); };
}

void declare_trust_renew(CommandSpec& trust, Context& context) {
  auto o = std::make_shared<RenewOptions>();
  CommandSpec& c = trust.sub("renew", "Sign a role anew before it expires, without other changes");
  c.examples = {"drover trust renew mnist --key alice.key", "drover trust renew root --key root-a.key --out root.json"};
  c.argument("ROLE", &o->role, "root, targets or a model");
  o->change.declare(c);
  c.action = [o, &context] { return renew(*o, context); };
}

}  // namespace drover::cli
