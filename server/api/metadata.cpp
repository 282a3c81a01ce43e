#include <charconv>
#include <nlohmann/json.hpp>

#include "common/crypto/hash.h"
#include "common/tuf/author.h"
#include "common/tuf/verify.h"
#include "server/api/change.h"
#include "server/api/journey/publish.h"
#include "server/api/resources.h"

namespace drover::api {
namespace {

struct FileName {
  std::string role;
  std::int64_t version = 0;  // 0: the newest
};

// "3.root.json", "timestamp.json"
Result<FileName> parse_file_name(std::string_view name) {
  const Error none(Code::not_found, "there is no such metadata file");
  if (!name.ends_with(".json")) return none;
  name.remove_suffix(std::string_view(".json").size());
  if (name == tuf::kTimestamp) return FileName{std::string(name), 0};
  FileName out;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), out.version);
  if (error != std::errc() || end == name.data() + name.size() || *end != '.' || out.version < 1) return none;
  out.role = name.substr(static_cast<std::size_t>(end - name.data()) + 1);
  // One file has one name: "01.root.json" is none.
  if (std::to_string(out.version) != name.substr(0, static_cast<std::size_t>(end - name.data()))) return none;
  return out;
}

struct Published {
  std::vector<CheckedRelease> releases;
};

// The new releases' blobs, looked at outside the writer: it reads files.
Result<Published> check_blobs(const store::Blobs& blobs, const store::Control& control, std::string_view role,
                              std::string_view bytes) {
  Published out;
  if (role == tuf::kRoot || role == tuf::kTargets) return out;
  TRY_ASSIGN(const tuf::Envelope envelope, tuf::parse_envelope(as_bytes(bytes), tuf::kMaxTargetsBytes));
  TRY_ASSIGN(const tuf::Targets targets, tuf::parse_targets(envelope));
  TRY_ASSIGN(const std::vector<release::Listed> listed, listed_releases(role, targets));
  for (const release::Listed& one : listed) {
    if (control.release(role, one.version) != nullptr) continue;
    TRY_ASSIGN(CheckedRelease checked, check_release(blobs, role, one));
    out.releases.push_back(std::move(checked));
  }
  return out;
}

Status check_role_name(std::string_view role) {
  if (role == tuf::kRoot || role == tuf::kTargets || tuf::is_model_name(role)) return {};
  return Error(Code::invalid_argument, "the role is root, targets or a model's name");
}

nlohmann::json encode_role(const store::MetadataRow& file, int threshold, const std::vector<std::string>& keyids) {
  nlohmann::json expires;
  if (const auto document = tuf::Document::parse(as_bytes(file.bytes)); document)
    if (const auto when = document->expires(); when) expires = format_time(*when);
  return {{"role", file.role},
          {"version", file.version},
          {"expires", expires},
          {"threshold", threshold},
          {"keyids", keyids}};
}

struct TrustView {
  std::int64_t root_version = 0;
  bool initialised = false;
  nlohmann::json roles = nlohmann::json::array();
};

Result<TrustView> load_trust(const store::Reader& reader) {
  TRY_ASSIGN(const auto files, reader.metadata.current());
  std::optional<tuf::Root> root;
  std::optional<tuf::Targets> targets;
  for (const store::MetadataRow& file : files) {
    if (file.role != tuf::kRoot && file.role != tuf::kTargets) continue;
    TRY_ASSIGN(const tuf::Envelope envelope, tuf::parse_envelope(as_bytes(file.bytes), tuf::kMaxTargetsBytes));
    if (file.role == tuf::kRoot) {
      TRY_ASSIGN(root, tuf::parse_root(envelope));
    } else {
      TRY_ASSIGN(targets, tuf::parse_targets(envelope));
    }
  }
  TrustView out;
  out.initialised = root && targets;
  if (!root) return out;
  out.root_version = root->version;
  for (const store::MetadataRow& file : files) {
    const auto top = root->roles.find(file.role);
    const tuf::Delegation* delegation = targets ? targets->delegation(file.role) : nullptr;
    const tuf::RoleKeys* keys = top != root->roles.end() ? &top->second : delegation ? &delegation->keys : nullptr;
    if (keys != nullptr) out.roles.push_back(encode_role(file, keys->threshold, keys->keyids));
  }
  return out;
}

}  // namespace

Answer get_metadata(Api& api, Call& call) {
  CO_TRY_ASSIGN(const FileName name, parse_file_name(call.param(0)));
  store::ReadFn<std::optional<store::MetadataRow>> read = [name](const store::Reader& reader) {
    return name.version == 0 ? reader.metadata.latest(name.role) : reader.metadata.find(name.role, name.version);
  };
  Result<std::optional<store::MetadataRow>> file = co_await api.store.read(std::move(read));
  if (!file) co_return std::move(file).error();
  if (!*file) co_return Error(Code::not_found, "there is no metadata file " + call.param(0).substr(0, 100));
  net::Response response(200, kJson, std::move((*file)->bytes));
  std::string etag = "\"";
  etag += crypto::sha256(std::get<std::string>(response.body)).hex();
  etag += '"';
  response.headers.add("ETag", etag);
  response.headers.add("Cache-Control", name.version == 0 ? "no-cache" : "public, max-age=31536000, immutable");
  if (call.request.header("If-None-Match") == etag) {
    response.status = 304;
    response.body = std::string();
    response.content_type = "";
  }
  co_return response;
}

Answer post_metadata(Api& api, Call& call) {
  const std::string role = call.param(0);
  CO_TRY(check_role_name(role));
  const auth::Decision allowed = auth::authorise_publication(call.who, role);
  if (!allowed.allowed) {
    co_await record_refusal(api, call, allowed.code);
    co_return Error(allowed.code, allowed.why);
  }
  const auto bytes = std::make_shared<const std::string>(call.request.body);
  store::ReadFn<void> precheck = [&api, role, bytes, now = api.clock.wall()](const store::Reader& reader) {
    return check_metadata(api, reader.metadata, role, *bytes, now);
  };
  Status trusted = co_await api.store.read(std::move(precheck));
  if (!trusted) co_return std::move(trusted).error();
  async::BlockingFn<Published> check = [&api, role, bytes, control = api.store.control()] {
    return check_blobs(api.blobs, *control, role, *bytes);
  };
  Result<Published> checked = co_await api.disk.run(std::move(check));
  if (!checked) co_return std::move(checked).error();
  const std::vector<CheckedRelease> added = checked->releases;
  ChangeFn fn = [&api, role, bytes, checked = std::move(*checked), now = api.clock.wall()](
                    store::Writer& writer) -> Result<Effect> {
    TRY_ASSIGN(const std::int64_t version, publish(api, writer, role, *bytes, checked.releases, now));
    const nlohmann::json body = {{"role", role}, {"version", version}};
    Effect effect = json_effect(201, body);
    effect.action = "metadata.publish";
    effect.subject = role;
    effect.detail = "version " + std::to_string(version) + " " + crypto::sha256(*bytes).text();
    return effect;
  };
  Result<net::Response> published = co_await change(api, call, std::move(fn));
  if (published && api.deltas != nullptr)
    for (const CheckedRelease& one : added) api.deltas->want(one.row.model, one.row.version);
  co_return published;
}

Answer get_trust(Api& api, Call&) {
  store::ReadFn<TrustView> read = [](const store::Reader& reader) { return load_trust(reader); };
  Result<TrustView> trust = co_await api.store.read(std::move(read));
  if (!trust) co_return std::move(trust).error();
  const std::optional<std::string> wrapping = co_await wrapping_public_key(api);
  nlohmann::json body = {{"initialised", trust->initialised},
                               {"keys",
                                {{"snapshot", tuf::make_key(api.keys.snapshot.public_key()).object},
                                 {"timestamp", tuf::make_key(api.keys.timestamp.public_key()).object},
                                 {"director", tuf::make_key(api.keys.director.public_key()).object}}},
                               {"root_version", trust->root_version},
                               {"roles", trust->roles}};
  body["wrapping_key"] = wrapping ? nlohmann::json(*wrapping) : nlohmann::json();
  co_return json_response(200, body);
}

}  // namespace drover::api
