// release push.
#include <fmt/format.h>

#include "common/crypto/pem_verify.h"
#include "server/cli/commands.h"
#include "server/cli/content_keys.h"
#include "server/cli/exit_code.h"
#include "server/cli/files.h"
#include "server/cli/human.h"
#include "server/cli/progress.h"
#include "server/cli/release_commands.h"
#include "server/cli/signers.h"

namespace drover::cli {
namespace {

struct Sent {
  std::size_t blobs = 0, present = 0;
  std::uint64_t bytes = 0;
};

// Found before the bytes travel: a push that the server would refuse at its end costs nobody an hour.
Result<std::optional<tuf::Document>> signed_document(const ReleaseFolder& release, const SigningRole& role) {
  TRY_ASSIGN(const tuf::Targets listed, parse_role(role.current));
  if (const auto at = listed.targets.find(release.target_path()); at != listed.targets.end()) {
    const auto hash = at->second.hashes.find("sha256");
    if (hash != at->second.hashes.end() && hash->second == release.index.digest.hex())
      return std::optional<tuf::Document>();
    return Error(Code::already_exists, fmt::format("{} {} is published with other content; choose a new version",
                                                   release.model(), release.version()));
  }
  const std::string again = fmt::format("drover release sign {} --key KEY", release.layout.folder().string());
  const auto text = read_file(release.metadata_file());
  if (!text && text.error().code() == Code::not_found)
    return Error(Code::threshold_not_met,
                 fmt::format("{} {} is not signed yet; run: {}", release.model(), release.version(), again));
  if (!text) return text.error();
  TRY_ASSIGN(tuf::Document document, tuf::Document::parse(as_bytes(*text)).within(release.metadata_file().string()));
  const std::int64_t expected = role.current ? role.current->version() + 1 : 1;
  if (document.version() != expected)
    return Error(
        Code::conflict,
        fmt::format("the metadata of {} has moved on since it was signed (version {}, now {} is needed); run: {}",
                    release.model(), document.version(), expected, again));
  TRY_ASSIGN(const tuf::Targets next, parse_role(std::optional(document)));
  const auto target = next.targets.find(release.target_path());
  if (target == next.targets.end())
    return Error(Code::target_not_listed,
                 fmt::format("{} does not list {}", release.metadata_file().string(), release.target_path()));
  TRY(tuf::verify_target_bytes(target->second, release.index.bytes)
          .within("the signed release is another one than in the folder"));
  TRY_ASSIGN(const tuf::SignatureState state, tuf::signature_state(document, role.keys, role.role, crypto::verify_pem));
  if (!state.complete())
    return Error(Code::threshold_not_met, fmt::format("{} {}: {}; run: {}", release.model(), release.version(),
                                                      describe_signatures(state), again));
  return std::optional(std::move(document));
}

Result<Sent> send_blobs(const ReleaseFolder& release, Api& api, Context& context) {
  TRY_ASSIGN(const auto blobs, package::release_blobs(release.layout, release.index));
  std::uint64_t total = 0;
  for (const auto& blob : blobs) total += blob.size;
  Progress progress(context, "pushing", total);
  Sent sent;
  for (const auto& blob : blobs) {
    progress.item(fmt::format("{} of {}", sent.blobs + 1, blobs.size()));
    std::uint64_t counted = 0;
    const Moved moved = [&](std::uint64_t bytes) {
      counted += bytes;
      progress.moved(bytes);
    };
    TRY_ASSIGN(
        const bool present,
        api.upload(release.layout.blob_path(blob.digest), blob.digest, blob.size, moved).within(blob.digest.text()));
    if (counted < blob.size) progress.moved(blob.size - counted);
    ++sent.blobs;
    if (present)
      ++sent.present;
    else
      sent.bytes += blob.size;
  }
  return sent;
}

struct PushOptions {
  std::string folder, key_file;
};

// Before the bytes travel too. A release that is published already may be pushed again without its keys.
Result<bool> keys_at_hand(const ReleaseFolder& release, const std::string& given, bool published) {
  if (!is_confidential(release)) return false;
  const std::filesystem::path file = given.empty() ? default_key_file(release.layout.folder()) : std::filesystem::path(given);
  std::error_code error;
  if (std::filesystem::exists(file, error)) return true;
  if (published && given.empty()) return false;
  return Error(Code::not_found, fmt::format("{} {} is encrypted, and its key file {} is not there; give it with "
                                            "--content-keys",
                                            release.model(), release.version(), file.string()));
}

Result<int> push(const PushOptions& options, Context& context) {
  TRY_ASSIGN(const ReleaseFolder release, open_release(options.folder));
  TRY_ASSIGN(Api api, connect(context));
  return push_release(release, options.key_file, api, context);
}

}  // namespace

Result<int> push_release(const ReleaseFolder& release, const std::string& key_file, Api& api, Context& context) {
  TRY_ASSIGN(Trust trust, Trust::refresh_for_signing(api, context));
  TRY_ASSIGN(const SigningRole role, trust.signing_role(api, release.model()));
  TRY_ASSIGN(const auto document, signed_document(release, role));
  TRY_ASSIGN(const bool keys, keys_at_hand(release, key_file, !document.has_value()));
  TRY_ASSIGN(const Sent sent, send_blobs(release, api, context));
  if (keys) TRY(hand_over_content_keys(release, key_file, api));
  if (document) TRY(api.post_raw("/metadata/" + release.model(), document->encode()).within("publishing"));
  const Json result = {{"model", release.model()},
                       {"version", release.version()},
                       {"index", release.index.digest.text()},
                       {"blobs", sent.blobs},
                       {"blobs_present", sent.present},
                       {"bytes_sent", sent.bytes},
                       {"published", document.has_value()},
                       {"content_keys", keys}};
  context.show(result, [&] {
    const std::string what = fmt::format("{} sent, {} of {} were there already", human_bytes(sent.bytes), sent.present,
                                         counted(static_cast<std::int64_t>(sent.blobs), "blob"));
    return document ? fmt::format("published {} {} ({})\n", release.model(), release.version(), what)
                    : fmt::format("{} {} was published already ({})\n", release.model(), release.version(), what);
  });
  return kOk;
}

void declare_release_push(CommandSpec& release, Context& context) {
  auto o = std::make_shared<PushOptions>();
  CommandSpec& c = release.sub("push", "Upload a signed release folder and publish it");
  c.details =
      "Sends only the blobs that the server lacks, goes on where a broken upload stopped, then publishes the metadata. "
      "May be run again at any time.\n"
      "The keys of an encrypted release go along, sealed to the server's wrapping key. After that key was changed, push "
      "again.";
  c.argument("DIR", &o->folder, "the release folder").folder();
  c.option("--content-keys", "FILE", &o->key_file, "the key file of an encrypted release; DIR.keys when absent").file();
  c.action = [o, &context] { return push(*o, context); };
}

}  // namespace drover::cli
