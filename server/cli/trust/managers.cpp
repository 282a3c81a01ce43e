// trust delegate; trust manager add, remove, threshold.
#include <fmt/format.h>

#include "server/cli/human.h"
#include "server/cli/trust/change_command.h"
#include "server/cli/trust/commands.h"
#include "server/cli/trust/edits.h"

namespace drover::cli {
namespace {

constexpr const char* kSignedAnew =
    "Where the model's metadata as it is published counts on a signature that is not worth anything any more, it is "
    "signed "
    "anew in the same change, by keys of those who remain: devices never see one without the other.";

struct DelegateOptions {
  std::string model;
  std::vector<std::string> release_keys;
  std::int64_t threshold = 1;
  ChangeOptions change;
};

struct ManagerOptions {
  std::string model;
  std::vector<std::string> given;
  std::int64_t threshold = 0;
  ChangeOptions change;

  std::optional<int> new_threshold() const {
    return threshold > 0 ? std::optional(static_cast<int>(threshold)) : std::nullopt;
  }
};

Result<int> delegate(const DelegateOptions& options, Context& context) {
  if (!tuf::is_model_name(options.model))
    return Error(Code::invalid_argument,
                 fmt::format("\"{}\" is no model name: lower-case letters, digits, '.', '_' and '-', at most 64",
                             printable(options.model)));
  TRY_ASSIGN(const auto keys, read_public_keys(options.release_keys));
  if (options.threshold > static_cast<std::int64_t>(keys.size()))
    return Error(Code::invalid_argument, fmt::format("a threshold of {} needs {} keys; {} given with --release-key",
                                                     options.threshold, options.threshold, keys.size()));
  return make_change(options.change, context, [&](Change& change, Api*) -> Status {
    TRY_ASSIGN(tuf::Document * targets, change.edit(std::string(tuf::kTargets), options.change.expires(context)));
    return tuf::set_delegation(*targets,
                               tuf::model_delegation(options.model, keys, static_cast<int>(options.threshold)));
  });
}

Result<int> add(const ManagerOptions& options, Context& context) {
  KeyEdit edit;
  TRY_ASSIGN(edit.add, read_public_keys(options.given));
  edit.threshold = options.new_threshold();
  return make_change(options.change, context, [&](Change& change, Api*) {
    return edit_managers(change, options.model, edit, options.change.expires(context));
  });
}

Result<int> remove(const ManagerOptions& options, Context& context) {
  return make_change(options.change, context, [&](Change& change, Api*) -> Status {
    TRY_ASSIGN(const RoleView view, view_role(change, options.model));
    KeyEdit edit;
    edit.threshold = options.new_threshold();
    for (const std::string& text : options.given) {
      TRY_ASSIGN(std::string id, find_key(view, options.model, text));
      edit.remove.push_back(std::move(id));
    }
    return edit_managers(change, options.model, edit, options.change.expires(context));
  });
}

Result<int> set_threshold(const ManagerOptions& options, Context& context) {
  KeyEdit edit;
  edit.threshold = options.new_threshold();
  return make_change(options.change, context, [&](Change& change, Api*) {
    return edit_managers(change, options.model, edit, options.change.expires(context));
  });
}

void declare_delegate(CommandSpec& trust, Context& context) {
  auto o = std::make_shared<DelegateOptions>();
  CommandSpec& c = trust.sub("delegate", "Say who may sign releases of a model");
  c.details =
      std::string("Replaces what was said of that model before: withdrawn keys are simply left out. ") + kSignedAnew;
  c.examples = {
      "drover trust delegate mnist --release-key alice.key.pub --release-key bob.key.pub --threshold 2 --targets-key "
      "targets-a.key"};
  c.argument("MODEL", &o->model, "the model's name");
  c.option("--release-key", "PUB", &o->release_keys, "public key of a release manager").require().file();
  c.option("--threshold", "N", &o->threshold, "how many of them must sign a release; 1 when absent")
      .between(1, kMaxThreshold);
  o->change.declare(c, "--targets-key,--key");
  c.action = [o, &context] { return delegate(*o, context); };
}

void declare_manager_edit(CommandSpec& manager, Context& context, bool adding) {
  auto o = std::make_shared<ManagerOptions>();
  CommandSpec& c = adding ? manager.sub("add", "Let another person sign releases of a model")
                          : manager.sub("remove", "Let somebody sign releases of a model no more");
  if (!adding) c.details = kSignedAnew;
  c.examples = {adding ? "drover trust manager add mnist carol.key.pub --threshold 2 --key targets-a.key"
                       : "drover trust manager remove mnist alice.key.pub --key targets-a.key --key bob.key"};
  c.argument("MODEL", &o->model, "the model");
  c.argument("KEY", &o->given,
             adding ? "public keys: .pub files, key files or 64 hexadecimal digits"
                    : "key ids (8 digits or more), .pub files or key files")
      .file();
  c.option("--threshold", "N", &o->threshold, "and how many must sign a release from now on").between(1, kMaxThreshold);
  o->change.declare(c);
  c.action = [o, adding, &context] { return adding ? add(*o, context) : remove(*o, context); };
}

void declare_manager(CommandSpec& trust, Context& context) {
  CommandSpec& manager = trust.sub("manager", "Add and remove a model's release managers, change their threshold");
  declare_manager_edit(manager, context, true);
  declare_manager_edit(manager, context, false);
  auto o = std::make_shared<ManagerOptions>();
  CommandSpec& c = manager.sub("threshold", "Change how many people must sign a release of a model");
  c.details = kSignedAnew;
  c.examples = {"drover trust manager threshold mnist 2 --key targets-a.key --key alice.key --key bob.key"};
  c.argument("MODEL", &o->model, "the model");
  c.argument("N", &o->threshold, "how many must sign").between(1, kMaxThreshold);
  o->change.declare(c);
  c.action = [o, &context] { return set_threshold(*o, context); };
}

}  // namespace

void declare_trust_managers(CommandSpec& trust, Context& context) {
  declare_delegate(trust, context);
  declare_manager(trust, context);
}

}  // namespace drover::cli
