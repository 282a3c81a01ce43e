#include <charconv>
#include <nlohmann/json.hpp>

#include "common/crypto/hash.h"
#include "proto/json/reader.h"
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

// The new releases' blobs, looked at outside the writer: it reads files.
Result<std::vector<CheckedRelease>> check_blobs(const store::Blobs& blobs, const store::Control& control,
                                                const Publication& publication) {
  std::vector<CheckedRelease> out;
  for (const SignedFile& file : publication.files()) {
    if (file.role == tuf::kRoot || file.role == tuf::kTargets) continue;
    TRY_ASSIGN(const tuf::Targets targets, targets_of(file.bytes));
    TRY_ASSIGN(const std::vector<release::Listed> listed, listed_releases(file.role, targets));
    for (const release::Listed& one : listed) {
      if (control.release(file.role, one.version) != nullptr) continue;
      TRY_ASSIGN(CheckedRelease checked, check_release(blobs, file.role, one));
      out.push_back(std::move(checked));
    }
  }
  return out;
}

// {"files": {"root": "the file's text", ...}}
Result<Publication> decode_publication(std::string_view body) {
  TRY_ASSIGN(const json::Value document, json::parse(body, kMaxPublicationBody));
  json::Reader in(document);
  std::vector<SignedFile> files;
  for (auto& [role, text] :
       in.text_map_or_none("files", kMaxPublishedFiles, tuf::kMaxTextLength, tuf::kMaxTargetsBytes))
    files.push_back({role, std::move(text)});
  TRY(in.finish());
  return Publication::of(std::move(files));
}

Effect published_effect(const Publication& publication, const PublishedVersions& versions) {
  nlohmann::json items = nlohmann::json::array();
  Effect effect;
  for (const SignedFile& file : publication.files()) {
    const std::int64_t version = versions.at(file.role);
    items.push_back({{"role", file.role}, {"version", version}});
    effect.subject += (effect.subject.empty() ? "" : ",") + file.role;
    effect.detail += (effect.detail.empty() ? "" : "; ") + (publication.files().size() > 1 ? file.role + " " : "") +
                     "version " + std::to_string(version) + " " + crypto::sha256(file.bytes).text();
  }
  effect.status = 201;
  effect.body = nlohmann::json({{"files", items}}).dump();
  effect.action = "metadata.publish";
  return effect;
}

Status authorise_files(const Call& call, const Publication& publication) {
  for (const SignedFile& file : publication.files()) {
    auth::Decision allowed = auth::authorise_publication(call.who, file.role);
    if (!allowed.allowed) return Error(allowed.code, std::move(allowed.why));
  }
  return {};
}

Answer publish_files(Api& api, Call& call, Publication files) {
  const auto publication = std::make_shared<const Publication>(std::move(files));
  CO_TRY(authorise_files(call, *publication));
  store::ReadFn<void> precheck = [&api, publication, now = api.clock.wall()](const store::Reader& reader) {
    return check_publication(*api.keys.online, reader.metadata, *publication, now);
  };
  Status trusted = co_await api.store.read(std::move(precheck));
  if (!trusted) co_return std::move(trusted).error();
  async::BlockingFn<std::vector<CheckedRelease>> check = [&api, publication, control = api.store.control()] {
    return check_blobs(api.blobs, *control, *publication);
  };
  Result<std::vector<CheckedRelease>> checked = co_await api.disk.run(std::move(check));
  if (!checked) co_return std::move(checked).error();
  const std::vector<CheckedRelease> added = *checked;
  ChangeFn fn = [&api, publication, checked = std::move(*checked), now = api.clock.wall()](
                    store::Writer& writer) -> Result<Effect> {
    TRY_ASSIGN(const PublishedVersions versions, publish(api, writer, *publication, checked, now));
    return published_effect(*publication, versions);
  };
  Result<net::Response> published = co_await change(api, call, std::move(fn));
  if (!published) co_return published;
  co_await reload_trust(api);
  if (api.deltas != nullptr)
    for (const CheckedRelease& one : added) api.deltas->want(one.row.model, one.row.version);
  co_return published;
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
  std::vector<SignedFile> one;
  one.push_back({call.param(0), call.request.body});
  CO_TRY_ASSIGN(Publication publication, Publication::of(std::move(one)));
  Result<net::Response> published = co_await publish_files(api, call, std::move(publication));
  if (!published || published->status != 201) co_return published;
  // One file's answer is its own, not a list of one.
  const auto answer = nlohmann::json::parse(std::get<std::string>(published->body));
  if (!answer.contains("files")) co_return published;  // kept by an earlier version, for a repetition
  const nlohmann::json file = answer["files"].front();
  co_return json_response(201, file);
}

Answer post_publication(Api& api, Call& call) {
  CO_TRY_ASSIGN(Publication publication, decode_publication(call.request.body));
  Result<net::Response> published = co_await publish_files(api, call, std::move(publication));
  co_return published;
}

}  // namespace drover::api
