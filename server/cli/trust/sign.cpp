// trust review, sign, publish: what waits in a file.
#include <fmt/format.h>

#include "server/cli/exit_code.h"
#include "server/cli/files.h"
#include "server/cli/trust/change_command.h"
#include "server/cli/trust/commands.h"
#include "server/cli/trust/describe.h"

namespace drover::cli {
namespace {

struct SignOptions {
  std::string file, merge;
  std::vector<std::string> keys;
  PassphraseOption passphrase;
};

// What is in the file, checked from the root that this machine has pinned.
Result<Change> open_change(const std::string& file, Context& context) {
  TRY_ASSIGN(Change change, read_change(file));
  TRY_ASSIGN(const auto pinned, pinned_root(context));
  if (!pinned)
    context.note(
        "note: this machine has pinned no root, so that what the file says of the present is believed as it is");
  TRY(verify_present(change.present(), pinned ? &*pinned : nullptr).within(file));
  return change;
}

Status show_result(const Change& change, const std::string& file, bool published, Context& context) {
  TRY_ASSIGN(Json description, describe_change(change));
  description["published"] = published;
  const bool complete = flag_of(description, "complete");
  context.show(description, [&] {
    const std::string next = published ? "published\n"
                             : complete
                                 ? fmt::format("complete; on a machine with network: drover trust publish {}\n", file)
                                 : fmt::format("the next person runs: drover trust sign {} --key KEY\n", file);
    return render_change(description, context.clock.wall(), context.out_style()) + next;
  });
  return {};
}

Result<int> review(const std::string& file, Context& context) {
  TRY_ASSIGN(const Change change, open_change(file, context));
  TRY(show_result(change, file, false, context));
  return kOk;
}

Result<int> sign(const SignOptions& options, Context& context) {
  if (options.keys.empty() && options.merge.empty())
    return Error(Code::invalid_argument, "give --key KEY (or --merge FILE)");
  TRY_ASSIGN(Change change, open_change(options.file, context));
  if (!options.merge.empty()) {
    TRY_ASSIGN(const Change other, read_change(options.merge));
    TRY(change.merge(other).within(options.merge));
  }
  if (!options.keys.empty() && context.terminal.can_ask() && !context.yes) {
    TRY_ASSIGN(const Json description, describe_change(change));
    context.note(render_change(description, context.clock.wall(), context.err_style()));
    TRY(context.confirm("Is this what you want to sign?"));
  }
  TRY_ASSIGN(const auto keys, open_keys(options.keys, options.passphrase, context));
  TRY(sign_change(change, keys, context));
  TRY(write_file(options.file, change.encode()));
  TRY(show_result(change, options.file, false, context));
  return kOk;
}

Result<int> publish(const std::string& file, Context& context) {
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(const Change change, open_change(file, context));
  TRY_ASSIGN(const std::string missing, first_missing(change));
  if (!missing.empty()) return Error(Code::threshold_not_met, missing);
  TRY(publish_change(change, api));
  TRY(show_result(change, file, true, context));
  return kOk;
}

}  // namespace

void declare_trust_sign(CommandSpec& trust, Context& context) {
  auto looked = std::make_shared<std::string>();
  CommandSpec& show = trust.sub("review", "Show what a change in a file would change, and who has signed it");
  show.details = "Needs neither network nor key: the file carries what it changes, checked from the pinned root on.";
  show.argument("FILE", looked.get(), "what --out wrote").file();
  show.action = [looked, &context] { return review(*looked, context); };

  auto o = std::make_shared<SignOptions>();
  CommandSpec& c = trust.sub("sign", "Add a signature to a change that waits in a file");
  c.details =
      "Needs no network. Each key signs all files of the change that it may sign. Two copies that were signed apart "
      "are put "
      "together with --merge.";
  c.examples = {"drover trust sign change.json --key root-b.key",
                "drover trust sign change.json --merge from-bob.json"};
  c.argument("FILE", &o->file, "what --out wrote").file();
  c.option("--key", "KEY", &o->keys, "private key of a role that the change touches").file();
  c.option("--merge", "FILE", &o->merge, "take over the signatures of another copy").file();
  o->passphrase.declare(c);
  c.action = [o, &context] { return sign(*o, context); };

  auto p = std::make_shared<std::string>();
  CommandSpec& publish_it = trust.sub("publish", "Publish a change from a file once its signatures are complete");
  publish_it.argument("FILE", p.get(), "what --out wrote").file();
  publish_it.action = [p, &context] { return publish(*p, context); };
}

}  // namespace drover::cli
