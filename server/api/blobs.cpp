#include "common/net/http_files.h"
#include "server/api/resources.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace drover::api {
namespace {

// The token may be older than the device's decommissioning.
boost::asio::awaitable<Status> check_still_active(Api& api, const Call& call) {
  if (!call.session || call.session->revision == api.store.revision()) co_return Status();
  store::ReadFn<std::optional<store::Device>> read = [no = call.session->device_no](const store::Reader& reader) {
    return reader.devices.find(no);
  };
  Result<std::optional<store::Device>> device = co_await api.store.read(std::move(read));
  if (!device) co_return std::move(device).error();
  if (!*device || (*device)->view.state != fleet::DeviceState::active)
    co_return Error(Code::gone, "this device was decommissioned");
  co_return Status();
}

// An immutable file; `name` is its identity, and with quotes its ETag.
Result<net::Response> serve_file(const net::Request& request, const std::string& path, std::uint64_t size,
                                 const std::string& name) {
  TRY_ASSIGN(auto file, net::File::open(path));
  std::string etag = "\"";
  etag += name;
  etag += '"';
  net::Response response = net::file_response(request, std::move(file), size, etag, "application/octet-stream");
  response.headers.add("Cache-Control", "private, max-age=31536000, immutable");
  return response;
}

// "a,b,c"; an empty text has none. invalid_argument beyond `limit`.
Result<std::vector<std::string_view>> list_of(std::string_view text, std::size_t limit) {
  std::vector<std::string_view> items;
  while (!text.empty()) {
    if (items.size() == limit)
      return Error(Code::invalid_argument, "more than " + std::to_string(limit) + " in a list");
    const std::size_t comma = std::min(text.find(','), text.size());
    items.push_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

Result<std::int64_t> codec_of(std::string_view text) {
  std::int64_t codec = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), codec);
  if (fault != std::errc() || end != text.data() + text.size() || codec < 1)
    return Error(Code::invalid_argument, "a codec is a number from 1");
  return codec;
}

// What a device says that names none, because it is older than the question.
Result<std::vector<std::int64_t>> codecs_of(const net::Request& request) {
  std::vector<std::int64_t> codecs;
  const std::string text = request.query_param("codecs").value_or("");
  TRY_ASSIGN(const auto items, list_of(text, wire::kMaxCodecs));
  for (const std::string_view item : items) {
    TRY_ASSIGN(const std::int64_t codec, codec_of(item));
    codecs.push_back(codec);
  }
  if (codecs.empty()) codecs.push_back(wire::kFirstCodec);
  return codecs;
}

Result<std::vector<crypto::Digest>> held_of(const net::Request& request) {
  std::vector<crypto::Digest> held;
  const std::string text = request.query_param("have").value_or("");
  TRY_ASSIGN(const auto items, list_of(text, wire::kMaxHeldFiles));
  for (const std::string_view item : items) {
    TRY_ASSIGN(const crypto::Digest digest, crypto::Digest::parse(item));
    held.push_back(digest);
  }
  return held;
}

// A device that says nothing of it looks for itself.
Result<std::uint64_t> room_of(const net::Request& request) {
  const auto text = request.query_param("room");
  std::uint64_t room = 0;
  if (!text) return UINT64_MAX;
  const auto [end, fault] = std::from_chars(text->data(), text->data() + text->size(), room);
  if (fault != std::errc() || end != text->data() + text->size())
    return Error(Code::invalid_argument, "room is a number of bytes");
  return room;
}

// The beginning of a download: what is resumed, asked about or cached is not counted again.
bool begins_download(const net::Request& request, const net::Response& response) {
  return request.method == net::Method::get && response.status == 200;
}

std::uint64_t whole_size(const Api& api, const crypto::Digest& target) { return api.blobs.size(target).value_or(0); }

}  // namespace

Answer get_blob(Api& api, Call& call) {
  CO_TRY_ASSIGN(const crypto::Digest digest, crypto::Digest::parse(call.param(0)));
  Status active = co_await check_still_active(api, call);
  if (!active) co_return std::move(active).error();
  const auto size = api.blobs.size(digest);
  if (!size) co_return Error(Code::not_found, "there is no blob " + digest.text());
  CO_TRY_ASSIGN(net::Response response,
                serve_file(call.request, api.blobs.path(digest).string(), *size, digest.text()));
  if (*size >= deltas::kLeastFile && begins_download(call.request, response)) api.counters.blobs_served.add();
  co_return response;
}

Answer get_delta(Api& api, Call& call) {
  CO_TRY_ASSIGN(const crypto::Digest target, crypto::Digest::parse(call.param(0)));
  CO_TRY_ASSIGN(const crypto::Digest base, crypto::Digest::parse(call.param(1)));
  Status active = co_await check_still_active(api, call);
  if (!active) co_return std::move(active).error();
  const std::string named = call.request.query_param("codec").value_or("1");
  CO_TRY_ASSIGN(const std::int64_t codec, codec_of(named));
  const auto found = api.deltas == nullptr ? std::nullopt : api.deltas->find(target, base, codec);
  if (!found) co_return Error(Code::not_found, "there is no delta from " + base.text() + " (yet)");
  CO_TRY_ASSIGN(net::Response response, serve_file(call.request, found->path, found->size,
                                                   target.hex() + "-" + base.hex() + "-v" + std::to_string(codec)));
  if (begins_download(call.request, response)) {
    const bool packed = base == deltas::nothing();
    (packed ? api.counters.packed_served : api.counters.deltas_served).add();
    if (packed)
      api.counters.packed_bytes_saved.add(whole_size(api, target) - std::min(whole_size(api, target), found->size));
    api.deltas->note_served(target, base, codec);
  }
  co_return response;
}

void add_delta_progress(const Api& api, const std::string& model, const std::string& version, nlohmann::json& out) {
  const auto progress = api.deltas == nullptr ? std::nullopt : api.deltas->progress(model, version);
  if (progress) out["deltas"] = wire::encode(*progress);
}

Answer plan_delta(Api& api, Call& call) {
  CO_TRY_ASSIGN(const crypto::Digest target, crypto::Digest::parse(call.param(0)));
  CO_TRY_ASSIGN(const auto held, held_of(call.request));
  CO_TRY_ASSIGN(const auto codecs, codecs_of(call.request));
  CO_TRY_ASSIGN(const std::uint64_t room, room_of(call.request));
  Status active = co_await check_still_active(api, call);
  if (!active) co_return std::move(active).error();
  wire::DeltaPlan plan;
  if (api.deltas != nullptr) plan = api.deltas->plan_for(target, held, codecs, room);
  co_return json_response(200, wire::encode(plan));
}

}  // namespace drover::api
