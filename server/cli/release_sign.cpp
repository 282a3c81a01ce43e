// release sign, withdraw.
#include <fmt/format.h>

#include "common/crypto/pem_verify.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/files.h"
#include "server/cli/human.h"
#include "server/cli/release_commands.h"
#include "server/cli/signers.h"

namespace drover::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kReleaseDays = 365;
constexpr std::int64_t kMaxDays = 3650;

struct SignOptions {
  std::string folder, base, targets, merge;
  std::vector<std::string> keys;
  std::int64_t days = kReleaseDays, release_counter = 0;
  PassphraseOption passphrase;
};

struct WithdrawOptions {
  std::string model, version, out;
  std::vector<std::string> keys;
  std::int64_t days = kReleaseDays;
  PassphraseOption passphrase;
};

Result<tuf::Document> read_document(const std::string& file) {
  TRY_ASSIGN(const std::string text, read_file(file));
  return tuf::Document::parse(as_bytes(text)).within(file);
}

Result<std::string> trusted_targets_text(const SignOptions& options, Context& context) {
  if (!options.targets.empty()) return read_file(options.targets);
  TRY_ASSIGN(const fs::path folder, profile_folder(context));
  auto kept = read_file(folder / "trust" / "targets.json");
  if (kept || kept.error().code() != Code::not_found) return kept;
  return Error(Code::invalid_argument,
               "without the server, --base needs --targets FILE: the server's targets.json says who may sign");
}

// Without the server: what people carried over on a stick, checked against each other and against the pinned root.
Result<SigningRole> offline_role(const SignOptions& options, const std::string& model, Context& context) {
  TRY_ASSIGN(const std::string text, trusted_targets_text(options, context));
  TRY_ASSIGN(const tuf::Envelope envelope,
             tuf::parse_envelope(as_bytes(text), tuf::kMaxTargetsBytes).within("targets"));
  TRY_ASSIGN(const tuf::Targets targets, tuf::parse_targets(envelope).within("targets"));
  TRY_ASSIGN(const fs::path folder, profile_folder(context));
  if (const auto root_text = read_file(folder / "trust" / "root.json")) {
    TRY_ASSIGN(const tuf::Envelope root_envelope, tuf::parse_envelope(as_bytes(*root_text), tuf::kMaxRootBytes));
    TRY_ASSIGN(const tuf::Root root, tuf::parse_root(root_envelope));
    TRY(tuf::verify_threshold(root.keys, root.roles.at(std::string(tuf::kTargets)), envelope, crypto::verify_pem)
            .within("targets"));
  } else {
    context.note("note: this profile has no root of the server, so targets.json is taken as it is");
  }
  const tuf::Delegation* delegation = targets.delegation(model);
  if (delegation == nullptr)
    return Error(Code::not_found, fmt::format("targets.json lets nobody sign releases of {}", model));
  SigningRole role{.current = std::nullopt, .keys = targets.delegation_keys, .role = delegation->keys};
  if (options.base != "none") {
    TRY_ASSIGN(role.current, read_document(options.base));
    TRY_ASSIGN(const tuf::Envelope base, role.current->envelope());
    TRY(tuf::verify_threshold(role.keys, role.role, base, crypto::verify_pem).within(options.base));
  }
  return role;
}

Result<SigningRole> current_role(const SignOptions& options, const std::string& model, Context& context) {
  if (!options.base.empty() || !options.targets.empty()) {
    if (options.base.empty())
      return Error(Code::invalid_argument,
                   "--targets needs --base FILE, the model's current metadata (none, for a first release)");
    return offline_role(options, model, context);
  }
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(Trust trust, Trust::refresh_for_signing(api, context));
  return trust.signing_role(api, model);
}

Result<std::int64_t> chosen_counter(const SignOptions& options, const ReleaseFolder& release, const SigningRole& role) {
  TRY_ASSIGN(const std::int64_t highest, highest_counter(role.current));
  const std::int64_t wanted =
      options.release_counter > 0 ? options.release_counter : release.release_counter.value_or(highest);
  if (wanted < highest)
    return Error(Code::counter_below_floor,
                 fmt::format("release counter {} is below {}, which {} has reached: devices would refuse it", wanted,
                             highest, release.model()));
  return wanted;
}

bool same_target(const tuf::Target& a, const tuf::Target& b) {
  return a.length == b.length && a.hashes == b.hashes && a.custom == b.custom;
}

// What is to be signed: what the role says now, and this release.
Result<tuf::Document> next_document(const SignOptions& options, const ReleaseFolder& release, const SigningRole& role,
                                    Context& context) {
  TRY_ASSIGN(const std::int64_t counter, chosen_counter(options, release, role));
  const tuf::Target target = release_target(release, counter);
  TRY_ASSIGN(const tuf::Targets listed, parse_role(role.current));
  if (const auto at = listed.targets.find(release.target_path()); at != listed.targets.end())
    return Error(Code::already_exists,
                 same_target(at->second, target)
                     ? fmt::format("{} {} is published already", release.model(), release.version())
                     : fmt::format("{} {} is published with other content; choose a new version", release.model(),
                                   release.version()));
  const WallTime expires = context.clock.wall() + std::chrono::days(options.days);
  tuf::Document next = role.current ? *role.current : tuf::make_targets(expires);
  if (role.current) next.bump(expires);
  TRY(tuf::add_target(next, release.target_path(), target));
  return next;
}

// Everything but the expiry, which the first signer chose.
bool same_content(const tuf::Document& a, const tuf::Document& b) {
  Json left = a.signed_part(), right = b.signed_part();
  left.erase("expires");
  right.erase("expires");
  return left == right;
}

// The document in the folder, when it is what this person would make too: nobody signs what somebody else slipped in.
Result<tuf::Document> started_document(const ReleaseFolder& release, tuf::Document next, Context& context) {
  const auto text = read_file(release.metadata_file());
  if (!text) {
    if (text.error().code() == Code::not_found) return next;
    return text.error();
  }
  TRY_ASSIGN(tuf::Document started, tuf::Document::parse(as_bytes(*text)).within(release.metadata_file().string()));
  if (same_content(started, next)) return started;
  if (started.version() < next.version()) {
    context.note(fmt::format("note: {} moved on meanwhile; signatures made for version {} are dropped", release.model(),
                             started.version()));
    return next;
  }
  return Error(
      Code::metadata_mismatch,
      fmt::format("{} says something else than the present metadata plus this release; delete it to begin anew",
                  release.metadata_file().string()));
}

Json sign_json(const ReleaseFolder& release, const tuf::Document& document, const tuf::SignatureState& state) {
  return {{"model", release.model()},
          {"version", release.version()},
          {"metadata_version", document.version()},
          {"index", release.index.digest.text()},
          {"signed_by", state.signed_by},
          {"missing", state.missing},
          {"threshold", state.threshold},
          {"complete", state.complete()}};
}

Result<int> sign(const SignOptions& options, Context& context) {
  if (options.keys.empty() && options.merge.empty())
    return Error(Code::invalid_argument, "give --key KEY (or --merge FILE)");
  TRY_ASSIGN(const ReleaseFolder release, open_release(options.folder));
  TRY_ASSIGN(const SigningRole role, current_role(options, release.model(), context));
  TRY_ASSIGN(tuf::Document fresh, next_document(options, release, role, context));
  TRY_ASSIGN(tuf::Document document, started_document(release, std::move(fresh), context));
  if (!options.merge.empty()) {
    TRY_ASSIGN(const tuf::Document other, read_document(options.merge));
    TRY(document.merge(other).within(options.merge));
  }
  TRY_ASSIGN(const auto keys, open_keys(options.keys, options.passphrase, context));
  TRY(sign_with(document, keys, role.role, "releases of " + release.model()));
  TRY(make_folder(release.metadata_file().parent_path()));
  TRY(write_file(release.metadata_file(), document.encode()));
  TRY_ASSIGN(const tuf::SignatureState state, tuf::signature_state(document, role.keys, role.role, crypto::verify_pem));
  context.show(sign_json(release, document, state), [&] {
    const std::string next = state.complete() ? fmt::format("drover release push {}", options.folder)
                                              : fmt::format("drover release sign {} --key ANOTHER", options.folder);
    return fmt::format("{} {}: {}\nnext: {}\n", release.model(), release.version(), describe_signatures(state), next);
  });
  return kOk;
}

Result<tuf::Document> document_without(const WithdrawOptions& options, const SigningRole& role,
                                       const Context& context) {
  const std::string path = options.model + "/" + options.version;
  TRY_ASSIGN(const tuf::Targets listed, parse_role(role.current));
  if (!listed.targets.contains(path))
    return Error(Code::not_found, fmt::format("{} {} is not published (any more)", options.model, options.version));
  tuf::Document document = *role.current;
  TRY(tuf::remove_target(document, path));
  document.bump(context.clock.wall() + std::chrono::days(options.days));
  return document;
}

// With --out an earlier signer's file is gone on with, if it says what this person wants too.
Result<tuf::Document> withdrawal(const WithdrawOptions& options, const SigningRole& role, const Context& context) {
  TRY_ASSIGN(tuf::Document document, document_without(options, role, context));
  if (options.out.empty()) return document;
  const auto text = read_file(options.out);
  if (!text) return document;
  TRY_ASSIGN(tuf::Document started, tuf::Document::parse(as_bytes(*text)).within(options.out));
  if (same_content(started, document)) return started;
  return Error(Code::metadata_mismatch,
               fmt::format("{} says something else than the present metadata without {} {}; delete it to begin anew",
                           options.out, options.model, options.version));
}

Result<int> withdraw(const WithdrawOptions& options, Context& context) {
  TRY(check_release_name(options.model, options.version));
  TRY_ASSIGN(Api api, connect(context));
  TRY_ASSIGN(Trust trust, Trust::refresh_for_signing(api, context));
  TRY_ASSIGN(const SigningRole role, trust.signing_role(api, options.model));
  TRY_ASSIGN(tuf::Document document, withdrawal(options, role, context));
  TRY(context.confirm(fmt::format("withdraw {} {}? No device will install it again.", options.model, options.version)));
  TRY_ASSIGN(const auto keys, open_keys(options.keys, options.passphrase, context));
  TRY(sign_with(document, keys, role.role, "releases of " + options.model));
  TRY_ASSIGN(const tuf::SignatureState state, tuf::signature_state(document, role.keys, role.role, crypto::verify_pem));
  const Json result = {
      {"model", options.model},       {"version", options.version},   {"metadata_version", document.version()},
      {"signed_by", state.signed_by}, {"threshold", state.threshold}, {"published", state.complete()}};
  if (!state.complete() && options.out.empty())
    return Error(Code::threshold_not_met, fmt::format("{}: {}; give more --key, or --out FILE to collect them",
                                                      options.model, describe_signatures(state)));
  if (!options.out.empty()) TRY(write_file(options.out, document.encode()));
  if (state.complete()) TRY(api.post_raw("/metadata/" + options.model, document.encode()));
  context.show(result, [&] {
    if (state.complete()) return fmt::format("{} {} is withdrawn\n", options.model, options.version);
    return fmt::format("{}: {}\nwritten to {}; the next person runs the same command with their key\n", options.model,
                       describe_signatures(state), options.out);
  });
  return kOk;
}

}  // namespace

void declare_release_sign(CommandSpec& release, Context& context) {
  auto o = std::make_shared<SignOptions>();
  CommandSpec& c = release.sub("sign", "Add a signature to a release folder");
  c.details =
      "Reads the model's present metadata from the server (checked from the pinned root on), adds this release, signs, "
      "and keeps the result in "
      "DIR/drover/MODEL.json until enough people have signed. Nothing is published.\n"
      "On a machine without network: --base with the model's present metadata and --targets with the server's "
      "targets.json.";
  c.examples = {"drover release sign mnist-1.2.0 --key alice.key",
                "drover release sign mnist-1.2.0 --key alice.key --base mnist.json --targets targets.json"};
  c.argument("DIR", &o->folder, "the release folder").folder();
  c.option("--key", "KEY", &o->keys, "private key of a release manager").file();
  c.option("--release-counter", "N", &o->release_counter, "as for build").between(1, std::int64_t{1} << 53);
  c.option("--expires-days", "N", &o->days, "days until the model's metadata expires; 365 when absent")
      .between(1, kMaxDays);
  c.option("--base", "FILE", &o->base, "without the server: the model's present metadata; none for a first release")
      .file();
  c.option("--targets", "FILE", &o->targets, "without the server: its targets.json; what the profile keeps when absent")
      .file();
  c.option("--merge", "FILE", &o->merge, "take over the signatures of another copy of DIR/drover/MODEL.json").file();
  o->passphrase.declare(c);
  c.action = [o, &context] { return sign(*o, context); };
}

void declare_release_withdraw(CommandSpec& release, Context& context) {
  auto o = std::make_shared<WithdrawOptions>();
  CommandSpec& c = release.sub("withdraw", "Take a release back: no device installs it any more");
  c.details =
      "Signs and publishes the model's metadata without it. Devices that run it go on until a rollout or rollback "
      "moves them.";
  c.examples = {"drover release withdraw mnist 1.3.0 --key alice.key --key bob.key"};
  c.argument("MODEL", &o->model, "the model");
  c.argument("VERSION", &o->version, "the release");
  c.option("--key", "KEY", &o->keys, "private key of a release manager").require().file();
  c.option("--expires-days", "N", &o->days, "days until the model's metadata expires; 365 when absent")
      .between(1, kMaxDays);
  c.option("--out", "FILE", &o->out, "collect signatures in this file; published when they are complete").file();
  o->passphrase.declare(c);
  c.action = [o, &context] { return withdraw(*o, context); };
}

}  // namespace drover::cli
