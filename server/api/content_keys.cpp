// Content keys: handed over by people, sealed to the wrapping key; given to devices, each sealed to its own key. In the
// clear a key exists for the moment between opening one box and closing the other, in locked memory that is wiped. The
// wrapping key is read from its file for that moment too.
#include <nlohmann/json.hpp>

#include "common/crypto/box_key.h"
#include "common/crypto/hash.h"
#include "common/obs/log.h"
#include "common/package/manifest.h"
#include "common/tuf/assignment.h"
#include "proto/wire/content_key.h"
#include "server/api/change.h"
#include "server/api/resources.h"

namespace drover::api {
namespace {

Result<crypto::BoxKey> wrapping_key(const Settings& settings) {
  if (settings.wrapping_key.empty()) return Error(Code::unavailable, "this server has no wrapping key");
  auto key = crypto::BoxKey::load(settings.wrapping_key);
  if (key) return key;
  log::failure("the wrapping key cannot be read", key.error());
  return Error(Code::unavailable, "the server's wrapping key is not there now; it is put there for as long as content "
                                  "keys are given out");
}

// Opened, and the one that the manifest was signed with.
Result<crypto::ContentKey> open_handed(const Api& api, const crypto::Digest& package, const wire::HandedContentKey& key) {
  TRY_ASSIGN(const Bytes manifest_bytes, api.blobs.read(package, package::kMaxDocumentBytes));
  TRY_ASSIGN(const package::Manifest manifest, package::parse_manifest(manifest_bytes));
  if (!manifest.confidential()) return Error(Code::invalid_argument, "this package is not encrypted");
  TRY_ASSIGN(const crypto::BoxKey wrapping, wrapping_key(api.settings));
  if (key.wrapping_key != to_hex(wrapping.public_key()))
    return Error(Code::conflict, "it is sealed to another wrapping key than this server's; look at GET /trust again");
  TRY_ASSIGN(const Bytes sealed, from_hex(key.sealed).within("sealed"));
  TRY_ASSIGN(crypto::ContentKey content, crypto::open_content_key(sealed, package, wrapping));
  TRY(crypto::check_content_key(content, manifest.content_key));
  return content;
}

// --- for devices -----------------------------------------------------------------------------------------------------

struct Asked {
  wire::ContentKeyRequest request;
  Claims claims;
  crypto::Digest package;
  crypto::BoxPublicKey box_key{};
};

Status check_signed(const store::Device& device, const wire::ContentKeyRequest& request) {
  TRY_ASSIGN(const Bytes signature, from_hex(request.signature).within("signature"));
  const std::string message = wire::content_key_message(request.package, request.box_key);
  if (crypto::verify(device.key, as_bytes(message), signature)) return {};
  return Error(Code::bad_signature, "the request is not signed by this device's key");
}

Result<bool> is_assigned(const store::Reader& reader, store::DeviceNo no, const crypto::Digest& package) {
  TRY_ASSIGN(const auto stored, reader.devices.assignment(no));
  if (!stored) return false;
  TRY_ASSIGN(const tuf::Envelope envelope, tuf::parse_envelope(as_bytes(stored->document), tuf::kMaxAssignmentBytes));
  TRY_ASSIGN(const tuf::Assignment assignment, tuf::parse_assignment(envelope));
  for (const auto& [path, target] : assignment.targets)
    if (target.variant == package) return true;
  return false;
}

// A device gets the keys of what it was told to run, and of what it runs: it may have lost them.
Status check_entitled(const store::Reader& reader, store::DeviceNo no, const Asked& asked) {
  TRY_ASSIGN(const bool assigned, is_assigned(reader, no, asked.package));
  if (assigned) return {};
  TRY_ASSIGN(const auto installed, reader.devices.installed(no));
  for (const wire::Installed& one : installed)
    if (one.package == asked.request.package) return {};
  return Error(Code::permission_denied, "this package is not assigned to this device");
}

Result<store::ContentKeyRow> find_key(const store::Reader& reader, const Asked& asked) {
  TRY_ASSIGN(const auto device, reader.devices.find(asked.claims.device_no));
  if (!device || device->view.id != asked.claims.device_id)
    return Error(Code::unauthenticated, "the session's device is not known here; open a new session");
  if (device->view.state != fleet::DeviceState::active)
    return Error(device->view.state == fleet::DeviceState::pending ? Code::pending : Code::gone,
                 "this device is not active");
  TRY(check_signed(*device, asked.request));
  TRY(check_entitled(reader, device->no, asked));
  TRY_ASSIGN(const auto row, reader.releases.content_key(asked.request.package));
  if (row) return *row;
  return Error(Code::pending, "nobody has handed the content key of this package to the server; drover release push "
                              "does, with the release's key file");
}

Result<std::string> seal_for(const Settings& settings, const Asked& asked, const store::ContentKeyRow& row) {
  TRY_ASSIGN(const crypto::BoxKey wrapping, wrapping_key(settings));
  if (row.wrapping_key != to_hex(wrapping.public_key()))
    return Error(Code::pending, "the content key of this package is sealed to a wrapping key that the server no longer "
                                "has; push the release with its key file again");
  TRY_ASSIGN(const Bytes sealed, from_hex(row.sealed));
  TRY_ASSIGN(const crypto::ContentKey content, crypto::open_content_key(sealed, asked.package, wrapping));
  return to_hex(crypto::seal_content_key(content, asked.package, asked.box_key));
}

}  // namespace

boost::asio::awaitable<std::optional<std::string>> wrapping_public_key(Api& api) {
  async::BlockingFn<std::string> load = [&api]() -> Result<std::string> {
    TRY_ASSIGN(const crypto::BoxKey key, wrapping_key(api.settings));
    return to_hex(key.public_key());
  };
  Result<std::string> key = co_await api.disk.run(std::move(load));
  if (!key) co_return std::nullopt;
  co_return std::move(*key);
}

Answer put_content_key(Api& api, Call& call) {
  CO_TRY_ASSIGN(const crypto::Digest package, crypto::Digest::parse(call.param(0)));
  CO_TRY_ASSIGN(wire::HandedContentKey decoded, wire::decode_handed_content_key(call.request.body));
  const auto handed = std::make_shared<const wire::HandedContentKey>(std::move(decoded));
  async::BlockingFn<void> check = [&api, package, handed]() -> Status {
    TRY(open_handed(api, package, *handed));
    return {};
  };
  Status good = co_await api.disk.run(std::move(check));
  if (!good) co_return std::move(good).error();
  ChangeFn fn = [package, handed, by = call.who.name, now = api.clock.wall()](store::Writer& writer) -> Result<Effect> {
    TRY(writer.releases.put_content_key({package.text(), handed->wrapping_key, handed->sealed, by, now}));
    const nlohmann::json body = {{"package", package.text()}, {"wrapping_key", handed->wrapping_key}};
    Effect effect = json_effect(200, body);
    effect.action = "content_key.put";
    effect.subject = package.text();
    effect.detail = "sealed to " + handed->wrapping_key;
    return effect;
  };
  co_return co_await change(api, call, std::move(fn));
}

Answer post_device_content_key(Api& api, Call& call) {
  const auto asked = std::make_shared<Asked>();
  CO_TRY_ASSIGN(asked->request, wire::decode_content_key_request(call.request.body));
  asked->claims = *call.session;
  CO_TRY_ASSIGN(asked->package, crypto::Digest::parse(asked->request.package).within("package"));
  CO_TRY_ASSIGN(asked->box_key, crypto::parse_box_public_key(asked->request.box_key).within("box_key"));
  store::ReadFn<store::ContentKeyRow> find = [asked](const store::Reader& reader) { return find_key(reader, *asked); };
  Result<store::ContentKeyRow> row = co_await api.store.read(std::move(find));
  if (!row) co_return std::move(row).error();
  async::BlockingFn<std::string> seal = [&api, asked, kept = std::move(*row)] {
    return seal_for(api.settings, *asked, kept);
  };
  Result<std::string> sealed = co_await api.disk.run(std::move(seal));
  if (!sealed) co_return std::move(sealed).error();
  api.counters.content_keys.add();
  log::info("a content key is given out", {{"device", asked->claims.device_id}, {"package", asked->request.package}});
  wire::ContentKeyAnswer answer;
  answer.sealed = std::move(*sealed);
  co_return json_response(200, wire::encode(answer));
}

}  // namespace drover::api
