// trust root add-key, remove-key, threshold; the same of trust targets.
#include <fmt/format.h>

#include "server/cli/trust/change_command.h"
#include "server/cli/trust/commands.h"
#include "server/cli/trust/edits.h"

namespace drover::cli {
namespace {

struct RoleOptions {
  std::vector<std::string> given;  // keys
  std::int64_t threshold = 0;
  ChangeOptions change;

  std::optional<int> new_threshold() const {
    return threshold > 0 ? std::optional(static_cast<int>(threshold)) : std::nullopt;
  }
};

Result<int> add_keys(const std::string& role, const RoleOptions& options, Context& context) {
  KeyEdit edit;
  TRY_ASSIGN(edit.add, read_public_keys(options.given));
  edit.threshold = options.new_threshold();
  return make_change(options.change, context, [&](Change& change, Api*) {
    return edit_root_role(change, role, edit, options.change.expires(context));
  });
}

Result<int> remove_keys(const std::string& role, const RoleOptions& options, Context& context) {
  return make_change(options.change, context, [&](Change& change, Api*) -> Status {
    TRY_ASSIGN(const RoleView view, view_role(change, role));
    KeyEdit edit;
    edit.threshold = options.new_threshold();
    for (const std::string& text : options.given) {
      TRY_ASSIGN(std::string id, find_key(view, role, text));
      edit.remove.push_back(std::move(id));
    }
    return edit_root_role(change, role, edit, options.change.expires(context));
  });
}

Result<int> set_threshold(const std::string& role, const RoleOptions& options, Context& context) {
  KeyEdit edit;
  edit.threshold = options.new_threshold();
  return make_change(options.change, context, [&](Change& change, Api*) {
    return edit_root_role(change, role, edit, options.change.expires(context));
  });
}

void declare_role(CommandSpec& trust, Context& context, const std::string& role) {
  CommandSpec& group = trust.sub(role, fmt::format("Add and remove keys of {}, change its threshold", role));
  const std::string key = role == tuf::kRoot ? "root-a.key" : "root-a.key --key targets-a.key";

  auto added = std::make_shared<RoleOptions>();
  CommandSpec& add = group.sub("add-key", fmt::format("Let another person sign {}", role));
  add.details = "Signed by the keys of root, those before and those after.";
  add.examples = {
      fmt::format("drover trust {} add-key carol.key.pub --threshold 2 --key root-a.key --key root-b.key", role)};
  add.argument("KEY", &added->given, "public keys: .pub files, key files or 64 hexadecimal digits").file();
  add.option("--threshold", "N", &added->threshold, "and how many must sign from now on").between(1, kMaxThreshold);
  added->change.declare(add);
  add.action = [added, role, &context] { return add_keys(role, *added, context); };

  auto removed = std::make_shared<RoleOptions>();
  CommandSpec& remove = group.sub("remove-key", fmt::format("Let somebody sign {} no more", role));
  remove.details =
      role == tuf::kTargets
          ? "Where targets as it is published counts on that key's signature, targets is signed anew in the "
            "same change."
          : "A key that is lost or stolen: signed by the keys that remain.";
  remove.examples = {fmt::format("drover trust {} remove-key 3f0cab12 --key {}", role, key)};
  remove.argument("KEY", &removed->given, "key ids (8 digits or more), .pub files or key files").file();
  remove.option("--threshold", "N", &removed->threshold, "and how many must sign from now on")
      .between(1, kMaxThreshold);
  removed->change.declare(remove);
  remove.action = [removed, role, &context] { return remove_keys(role, *removed, context); };

  auto set = std::make_shared<RoleOptions>();
  CommandSpec& threshold = group.sub("threshold", fmt::format("Change how many people must sign {}", role));
  threshold.examples = {fmt::format("drover trust {} threshold 2 --key root-a.key --key root-b.key", role)};
  threshold.argument("N", &set->threshold, "how many must sign").between(1, kMaxThreshold);
  set->change.declare(threshold);
  threshold.action = [set, role, &context] { return set_threshold(role, *set, context); };
}

}  // namespace

void declare_trust_roles(CommandSpec& trust, Context& context) {
  declare_role(trust, context, std::string(tuf::kRoot));
  declare_role(trust, context, std::string(tuf::kTargets));
}

}  // namespace drover::cli
