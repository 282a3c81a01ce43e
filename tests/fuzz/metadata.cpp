// Metadata files of every role, read as each of them.
#include "common/tuf/metadata.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/repository.h"

namespace drover::fuzz {
namespace {

void look_at(const tuf::Root& root, const tuf::Envelope& envelope) {
  for (const auto& [name, role] : root.roles) {
    require(role.threshold >= 1, "a threshold is at least 1");
    const auto signers = tuf::valid_signers(root.keys, role, envelope, easy_signature);
    require(signers.size() <= role.keyids.size(), "no more signers than keys");
    const bool met = tuf::verify_threshold(root.keys, role, envelope, easy_signature).has_value();
    require(met == (signers.size() >= static_cast<std::size_t>(role.threshold)), "the threshold counts signers");
  }
}

void look_at(const tuf::Targets& targets) {
  for (const auto& [path, target] : targets.targets) {
    (void)target.digest();
    (void)tuf::parse_release_name(path);
    (void)tuf::parse_release_custom(target.custom);
    (void)tuf::verify_target_bytes(target, as_bytes(path));
  }
  for (const std::string_view path : {"mnist/1", "", "a/b/c", "mnist/"})
    for (const tuf::Delegation& delegation : targets.delegations) (void)delegation.covers(path);
  if (!targets.bins) return;
  for (const std::string_view path : {"mnist/1", ""})
    require(targets.bins->has(targets.bins->bin_of(path)), "a path's bin is one of the bins");
}

void written_again(ByteView input, const tuf::Envelope& envelope) {
  const auto document = tuf::Document::parse(input);
  require(document.has_value(), "what is an envelope is a document");
  (void)document->version();
  (void)document->expires();
  const auto again = document->envelope();
  require(again && again->canonical == envelope.canonical, "a document keeps what is signed");
  (void)tuf::Document::describe(input);
}

}  // namespace

void run(ByteView input) {
  const auto envelope = tuf::parse_envelope(input, tuf::kMaxTargetsBytes);
  if (!envelope) return;
  if (const auto root = tuf::parse_root(*envelope)) look_at(*root, *envelope);
  if (const auto timestamp = tuf::parse_timestamp(*envelope)) (void)tuf::verify_listed(timestamp->snapshot, input);
  if (const auto snapshot = tuf::parse_snapshot(*envelope))
    for (const auto& [name, file] : snapshot->meta) (void)tuf::verify_listed(file, input);
  if (const auto targets = tuf::parse_targets(*envelope)) look_at(*targets);
  written_again(input, *envelope);
}

std::vector<std::string> seeds() {
  tuf::Document root = easy_root(), targets = easy_targets();
  (void)tuf::add_root_key(root, tuf::kRoot, easy_key("b"));
  (void)tuf::set_root_threshold(root, tuf::kRoot, 2);
  (void)tuf::add_target(targets, "mnist/2", easy_target());
  targets.edit()["delegations"]["roles"][0].erase("paths");
  targets.edit()["delegations"]["roles"][0]["path_hash_prefixes"] = {"0", "ab"};
  tuf::Document binned = easy_targets();
  binned.edit()["delegations"].erase("roles");
  binned.edit()["delegations"]["succinct_roles"] = {
      {"keyids", {easy_key("a").id}}, {"threshold", 1}, {"bit_length", 5}, {"name_prefix", "bin"}};
  const tuf::MetaFile listed{.version = 1, .length = 10, .hashes = {{"sha256", std::string(64, 'b')}}};
  return {signed_file(root, {"a", "b"}),
          signed_file(targets, {"a"}),
          signed_file(binned, {"a"}),
          signed_file(easy_model(), {"a", "b"}),
          signed_file(tuf::make_snapshot(1, kExpires, {{"targets.json", listed}, {"mnist.json", listed}}), {"a"}),
          signed_file(tuf::make_timestamp(1, kExpires, kNow, listed), {"a"})};
}

}  // namespace drover::fuzz
